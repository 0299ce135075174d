"""Commands that read, where there is no root, an empty one, or nothing that is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher.cli import main

READING = [["ls"], ["cat"], ["verify"], ["replay"], ["ddl", "--engine", "duckdb"]]


@pytest.mark.parametrize("words", READING)
@pytest.mark.parametrize("start", ["", "file://"])
def test_a_folder_that_is_not_there_is_a_fault(
    words: list[str], start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same of every command, and none creates it."""
    folder = tmp_path / "nosuch"
    assert main([*words, f"{start}{folder}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"  - PLACE: {folder}: no such folder\n" in printed.err
    assert not folder.exists()


@pytest.mark.parametrize("words", READING[:-1])
def test_a_folder_that_is_empty_is_warned_of(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was written yet."""
    assert main([*words, str(tmp_path)]) == 0
    assert f"objects found under file://{tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ls", "cat"])
@pytest.mark.parametrize(
    "filters",
    ["--partition hours=21", "--partition 'dt=19*'", "--since 2999-01-01 --partition 'x=*'"],
)
def test_filters_that_choose_nothing_are_named(
    written: Path, command: str, filters: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a partition that exists, however far the folders were looked into."""
    capsys.readouterr()
    words = filters.replace("'", "").split()
    assert main([command, str(written), *words]) == 0
    message = capsys.readouterr().err
    assert f"no objects found under file://{written} for {filters}; there is dt=20" in message
    assert main([command, str(written)]) == 0
    assert "warning" not in capsys.readouterr().err
