"""What a command tells: text from anywhere, in lines that a terminal only shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher.cli import main
from batcher.cli.said import shown


@pytest.mark.parametrize(
    ("text", "is_shown_as"),
    [
        ("a\nb", "a\nb"),
        ("caf\u00e9 \u20ac", "caf\u00e9 \u20ac"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("fine\nover\rwritten", "fine\nover\\rwritten"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
    ],
)
def test_lines_stay_and_what_steers_a_terminal_is_escaped(text: str, is_shown_as: str) -> None:
    """Line by line: one that can be printed stays as it is."""
    assert shown(text) == is_shown_as


def test_a_files_name_does_not_reach_the_terminal_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its bad lines are named, and so is a file that is not there."""
    file = tmp_path / "\x1b[31mevents.ndjson"
    file.write_text("no json\n")
    assert main(["write", str(file), f"file://{tmp_path}/out"]) == 0
    assert main(["write", f"{file}.gone", f"file://{tmp_path}/out"]) == 2
    told = capsys.readouterr().err
    assert told.count(r"\x1b[31mevents.ndjson") == 2
    assert "\x1b" not in told
