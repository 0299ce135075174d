"""A root within a folder: what was written as `root/key` is read from `file://folder/root`, too."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from batcher.cli import main
from batcher.handler import make_handler
from batcher.settings import Settings
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from support.examples import kinesis_record
from support.planted_objects import counted

FIRST, LATER = range(100, 110), range(103, 106)


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Write two events of a shard under a root, of which the first has all records of the other."""
    settings = Settings(bucket=f"file://{tmp_path}", root="events/today")
    with closing(make_handler(settings)) as handle:
        for numbers in (FIRST, LATER):
            records = [kinesis_record(str(number), b"%d" % number) for number in numbers]
            handle({"Records": records}, None)
    return f"{settings.bucket}/{settings.root}"


def test_verify_knows_what_the_objects_carry(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Positions and counts are in it."""
    assert main(["verify", place, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert counted(document) == {"duplicate": 1}
    assert document["records"] == len(FIRST) + len(LATER)


def test_cat_leaves_out_what_is_covered(
    place: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """As it does where the folder is the root."""
    assert main(["cat", place, "--ordered"]) == 0
    assert capfdbinary.readouterr().out == b"".join(b"%d\n" % number for number in FIRST)


async def test_what_is_replaced_there_carries_its_own(tmp_path: Path) -> None:
    """As replay does with an object in quarantine; the newer is nearer."""
    key = "a/b.ndjson"
    first = await FileStore(tmp_path).put(f"root/{key}", b"1", ObjectAttributes("", {"n": "1"}))
    below = FileStore(tmp_path / "root")
    assert await below.head(key) == first
    second = await below.put(key, b"22", ObjectAttributes("", {"n": "2"}), if_match=first.etag)
    assert await below.head(key) == second
    assert second.metadata == {"n": "2"}
