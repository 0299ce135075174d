"""What `batcher verify` finds: each kind of finding is planted, found and named."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from backports import zstd

from batcher.keys.names import salt
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from support.examples import described
from support.planted_objects import FRESH, KEY, TEXT, plant, plant_stream, verify

WRONG_SALT = "10"[int(salt(FRESH, 2))]


def _cut(body: bytes) -> bytes:
    return body[:-5]


def _turn(body: bytes) -> bytes:
    return body[:20] + bytes([body[20] ^ 0xFF]) + body[21:]


@pytest.mark.parametrize(
    ("key", "body"),
    [
        (KEY, _cut(gzip.compress(TEXT, mtime=0))),
        (KEY, _turn(gzip.compress(TEXT * 9, mtime=0))),
        (KEY, TEXT),
        (KEY, b""),
        (KEY.replace(".gz", ".zst"), _cut(zstd.compress(TEXT))),
        (KEY.replace(".gz", ".zst"), gzip.compress(TEXT, mtime=0)),
        (KEY.replace(".gz", ""), TEXT[:-1]),
    ],
)
def test_a_damaged_object_is_found(
    written: Path, capsys: pytest.CaptureFixture[str], key: str, body: bytes
) -> None:
    """Cut off, changed, or not what its name says."""
    plant(written, key, body, described(TEXT))
    capsys.readouterr()
    code, report = verify(written, capsys)
    assert code == 1
    assert report["findings"]["damaged"] == 1
    assert report["found"][0]["kind"] == "damaged"
    assert report["found"][0]["key"] == key


def test_a_member_that_is_missing_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The body decodes to its end; only the metadata knows that there was more."""
    plant(folder, KEY, gzip.compress(TEXT, mtime=0), described(TEXT * 2))
    code, report = verify(folder, capsys)
    assert (code, report["findings"]) == (1, {"mismatch": 1})
    assert "batcher-records is 4, the body has 2" in report["found"][0]["detail"]
    assert "batcher-crc32" in report["found"][0]["detail"]


@pytest.mark.parametrize("line", [b"{", b"1 2", b"", b'"\xff"'])
def test_a_line_that_is_no_json_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    """Though the object is the one described."""
    text = TEXT + line + b"\n"
    plant(folder, KEY, gzip.compress(text, mtime=0), described(text))
    code, report = verify(folder, capsys)
    assert (code, report["findings"]) == (1, {"bad_line": 1})
    assert report["found"][0]["detail"].startswith("line 3: ")


def test_an_object_without_metadata_is_found_and_a_streamed_one_is_fine(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A streamed upload knows only its first position; that is said."""
    plant(folder, KEY, gzip.compress(TEXT, mtime=0), {"batcher-first": "x:1"})
    code, report = verify(folder, capsys)
    assert (code, report["not_all_known"]) == (0, 1)
    (folder / ".meta" / f"{KEY}.json").unlink()
    code, report = verify(folder, capsys)
    assert (code, report["findings"], report["not_all_known"]) == (1, {"no_metadata": 1}, 0)


def test_overlapping_ranges_of_a_shard_and_partition_are_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other partitions hold other records of the same range; a user may say that it is fine."""
    plant_stream(folder, 10, 19)
    later = plant_stream(folder, 15, 24)
    plant_stream(folder, 10, 24, "p=2")
    code, report = verify(folder, capsys)
    assert (code, report["findings"]) == (1, {"overlap": 1})
    assert report["found"][0]["key"] == later
    assert "15 to 24 overlaps 10 to 19" in report["found"][0]["detail"]
    (stream,) = report["streams"]
    assert stream == {
        "family": "stream",
        "stream": "orders",
        "shard": "shardId-000000000003",
        "objects": 3,
        "records": 6,
        "first": "10",
        "last": "24",
    }
    assert verify(folder, capsys, "--allow-overlaps")[0] == 0


@pytest.mark.parametrize(
    "key",
    ["x.csv", "_other/x", f"wrong/{FRESH}.json", f"{WRONG_SALT}/1/{FRESH}.ndjson", "_quarantine/x"],
)
def test_a_foreign_object_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """By its name or its place; it is not read."""
    plant(folder, key, b"\xff")
    code, report = verify(folder, capsys)
    assert (code, report["findings"], report["objects"]) == (1, {"foreign": 1}, 0)
    assert report["found"][0]["key"] == key


def test_an_upload_that_is_open_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its age."""

    async def leave() -> None:
        upload = await FileStore(folder).create_upload(
            KEY, ObjectAttributes(), part_bytes=MIN_PART_BYTES
        )
        await upload.put_part(1, b"x")

    asyncio.run(leave())
    code, report = verify(folder, capsys)
    assert (code, report["findings"]) == (1, {"open_upload": 1})
    assert report["found"][0]["detail"].startswith("open for ")


def test_quarantine_is_read_too(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged one is as bad as any."""
    (path,) = (written / "_quarantine").rglob("*.gz")
    path.write_bytes(path.read_bytes()[:-3])
    capsys.readouterr()
    code, report = verify(written, capsys)
    assert (code, report["findings"]) == (1, {"damaged": 1})
    assert report["found"][0]["key"].startswith("_quarantine/cli/dt=")
