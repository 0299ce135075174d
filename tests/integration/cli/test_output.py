"""Messages: text from anywhere is escaped, and log records become messages."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from secrets import token_hex

import pytest

from batcher.cli import main
from batcher.reading.sanitize import sanitize

LOGGING = """
import logging

def speak(payload):
    log = logging.getLogger("batcher")
    log.warning("request_repeated key=%s times=%s", chr(27) + "[2J", 3)
    log.error("deadline_cut")
    log.info("nothing of note")
    return {}
"""


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
    assert sanitize(text) == is_shown_as


def test_a_files_name_does_not_reach_the_terminal_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its bad lines are named, and so is a file that is not there."""
    file = tmp_path / "\x1b[31mevents.ndjson"
    file.write_text('{"n":1}\nno json\n')
    assert main(["write", str(file), f"file://{tmp_path}/out"]) == 0
    assert main(["write", f"{file}.gone", f"file://{tmp_path}/out"]) == 2
    printed = capsys.readouterr().err
    assert printed.count(r"\x1b[31mevents.ndjson") == 2
    assert "\x1b" not in printed


def test_what_batcher_logs_is_said_as_all_else_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once each, also when commands follow one another in a process; what is no warning is not."""
    module = f"logs_{token_hex(4)}"
    (tmp_path / f"{module}.py").write_text(LOGGING)
    caplog.set_level(logging.INFO, "batcher")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("in").write_text("bad\n1\n")
    assert main(["write", "in", "file://out"]) == 0
    before = list(logging.getLogger("batcher").handlers)
    flags = ["--transform", f"{module}:speak", "--dry-run"]
    for _ in range(2):
        capsys.readouterr()
        assert main(["replay", "file://out", *flags]) == 0
        assert capsys.readouterr().err.splitlines() == [
            r"batcher: warning: request_repeated key=\x1b[2J times=3",
            "batcher: error: deadline_cut",
        ]
    assert logging.getLogger("batcher").handlers == before
