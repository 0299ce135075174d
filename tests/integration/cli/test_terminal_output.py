"""Reports on a terminal: as wide as it is, wrapped at words, with colour; in a pipe plain."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import termios
from contextlib import closing
from pathlib import Path

import pytest

from batcher.cli import main
from batcher.handler import make_handler
from batcher.settings import Settings
from integration.cli.processes import command, environ_of
from support.examples import kinesis_record, message

REPORTS = ["plan --records-per-s 1 --record-bytes 1KiB --partitions 3", "check file://{out}"]
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
GREEN = "\x1b[32m"


def run_on_terminal(words: list[str], **environ: str) -> str:
    """Run a command whose standard output is a terminal, and return what was written to it."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(  # noqa: S603  # our own command
        command(words),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        env=environ_of({"TERM": "xterm-256color", **environ}),
    ) as process:
        os.close(theirs)
        try:
            while piece := os.read(ours, 65_536):
                shown += piece
        except OSError:  # the terminal's other end was closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def run_in_pipe(words: list[str], **environ: str) -> str:
    """Run a command whose standard output is a pipe, and return what was written to it."""
    return subprocess.run(  # noqa: S603  # our own command
        command(words), capture_output=True, text=True, check=True, env=environ_of(environ)
    ).stdout


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("report", REPORTS)
def test_a_report_is_wrapped_at_words(report: str, columns: int, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    words = report.format(out=tmp_path / "out").split()
    shown = ESCAPES.sub("", run_on_terminal(words, COLUMNS=str(columns)))
    plain = run_in_pipe(words, COLUMNS=str(columns))
    assert len(shown.splitlines()) > len(plain.splitlines())
    copied = " ", "make deploy "  # YAML, and a command that must be one line
    paragraphs = [line for line in shown.splitlines() if not line.startswith(copied)]
    assert max(map(len, paragraphs)) <= columns
    sentences = [line for line in plain.splitlines() if line.startswith(("note", "warning", "ok"))]
    assert sentences
    missing = set(" ".join(sentences).split()) - set(shown.split())
    assert all(word in "".join(shown.split()) for word in missing)  # only a long one is cut
    assert all(len(word) > columns / 3 for word in missing), missing


def test_check_has_colour_on_a_terminal_only(tmp_path: Path) -> None:
    """NO_COLOR and FORCE_COLOR have the last word."""
    words = ["check", f"file://{tmp_path}/out"]
    assert GREEN in run_on_terminal(words)
    assert GREEN not in run_on_terminal(words, NO_COLOR="1")
    assert "\x1b" not in run_in_pipe(words)
    assert GREEN in run_in_pipe(words, FORCE_COLOR="1", TERM="xterm-256color")


@pytest.mark.parametrize("columns", [60, 80])
def test_a_message_is_wrapped_at_blanks_on_a_terminal(columns: int, tmp_path: Path) -> None:
    """With an indent. In a pipe, each fault is one line."""
    name = "-".join(["long"] * 30)
    words = ["write", str(tmp_path / name), f"{tmp_path}/x", "--fanout", "3", "--since", "5"]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, columns))
    done = subprocess.run(  # noqa: S603  # our own command
        command(words), stdout=subprocess.PIPE, stderr=theirs, check=False, env=environ_of({})
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode().replace("\r\n", "\n")
    os.close(ours)
    plain = subprocess.run(  # noqa: S603  # as above
        command(words), capture_output=True, check=False, text=True, env=environ_of({})
    )
    assert done.returncode == plain.returncode == 2
    assert shown.split() == plain.stderr.split()
    assert len(plain.stderr.splitlines()) == 5
    assert all(len(line) <= columns for line in shown.splitlines() if name not in line)
    rows = shown.splitlines()
    assert [row for row in rows if row.startswith("    ")]
    assert not [row for row in rows if not row.startswith(("batcher", "  - ", "    ", "try"))]


@pytest.mark.parametrize("columns", [60, 80])
def test_no_word_of_a_verify_report_is_broken(tmp_path: Path, columns: int) -> None:
    """Of programs, a stream with long numbers, and a queue with times; the verdict is coloured."""
    out = tmp_path / "out"
    with closing(make_handler(Settings(bucket=f"file://{out}"))) as handle:
        for records in ([kinesis_record("5" * 56)], [message("a")], [kinesis_record("9", b"bad")]):
            handle({"Records": records}, None)
        handle({"direct": 1}, None)
    shown = run_on_terminal(["verify", str(out)], COLUMNS=str(columns))
    plain = run_in_pipe(["verify", str(out)], COLUMNS=str(columns))
    words = {word.rstrip(":") for word in ESCAPES.sub("", shown).split()}
    assert {word.rstrip(":") for word in plain.split()} - words <= {f"file://{out}"}
    assert GREEN in shown.splitlines()[-1]
    verdict = "fine: 3 records in 3 objects, all as described; 1 record in quarantine"
    assert plain.splitlines()[-1] == verdict
    assert "2026-11-23T07:00:00Z" in plain.split()


def test_what_is_the_same_of_many_objects_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a copy without metadata."""
    out = tmp_path / "out"
    (tmp_path / "in").write_text("1\n" * 8)
    assert main(["write", str(tmp_path / "in"), str(out), "--max-records", "1"]) == 0
    shutil.rmtree(out / ".meta")
    capsys.readouterr()
    assert main(["verify", str(out)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("none of batcher-records") == 1
    assert printed.count(".ndjson.gz\n") == 8
    assert "no_metadata: no metadata of batcher (8)\n" in printed
    assert printed.endswith("\n8 findings: 8 no_metadata\n")
