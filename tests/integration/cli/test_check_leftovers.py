"""What `batcher check` leaves under a root is none of a reader's business."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batcher.cli import main
from batcher.keys.parse import KeyParseError, is_check_key, parse_key
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from batcher.tools.check.probe import probe_key


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return a place with good and bad records, and what checks have left there."""
    source = tmp_path / "in.ndjson"
    source.write_text('{"n":1}\nnot json\n')
    folder = tmp_path / "out"
    assert main(["write", str(source), f"file://{folder}"]) == 0
    for name in ("0b4c", "1f5e"):
        put = FileStore(folder).put(probe_key("", name), b"check\n", ObjectAttributes())
        asyncio.run(put)
    capsys.readouterr()
    return f"file://{folder}"


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (["ls"], 1),
        (["ls", "--quarantine"], 1),
        (["cat"], 1),
        (["cat", "--quarantine"], 1),
        (["cat", "--quarantine", "--ordered"], 1),
    ],
)
def test_readers_pass_by(
    place: str, command: list[str], lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """They give the one record, and the one that is quarantined, and complain of nothing."""
    assert main([command[0], place, *command[1:]]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n") == lines
    assert "_check" not in printed.out + printed.err
    assert "error" not in printed.err


def test_verify_finds_nothing_wrong(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no foreign object."""
    assert main(["verify", place]) == 0
    assert "_check" not in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--dry-run"], []])
def test_replay_looks_at_quarantine_alone(
    place: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The bad record is still bad, and nothing is damaged."""
    assert main(["replay", place, *flags]) == 0
    assert "_check" not in capsys.readouterr().err


@pytest.mark.parametrize("root", ["", "events", "a/b"])
def test_the_place_of_checks_is_known_by_its_folder(root: str) -> None:
    """Whatever is called there; a folder with a longer name is another one."""
    key = probe_key(root, "x")
    assert is_check_key(key, root)
    assert not is_check_key(key.replace("_check/", "_checks/"), root)
    assert not is_check_key(key.replace("_quarantine/", "_quarantined/"), root)
    assert not is_check_key(f"x/{key}", root)
    with pytest.raises(KeyParseError):
        parse_key(key, root)
