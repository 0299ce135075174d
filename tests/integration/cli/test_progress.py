"""The progress bar: one line in every terminal, and none where nobody reads it."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest
from rich.cells import cell_len

from integration.cli.processes import command, environ_of

LINES = b'{"n":1,"text":"%s"}\n' % (b"x" * 1_000) * 1_000
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CURSOR_UP = "\x1b[1A"
"""Rich moves there to draw more than one line again, and once to remove the line at the end."""


ENVIRON = {**environ_of({"TERM": "xterm-256color"}), "COLUMNS": "", "LINES": ""}


def open_terminal(columns: int) -> tuple[int, int]:
    """Open a terminal of this width; return its two sides."""
    terminal, side = pty.openpty()
    ioctl(side, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return terminal, side


def read_to_end(terminal: int) -> str:
    """Return what is printed until the other side is closed, and close this one."""
    printed = b""
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # the process has closed its side
            break
        printed += piece
    os.close(terminal)
    return printed.decode()


def run_in_terminal(
    arguments: list[str], columns: int, stdin: bytes | None = None
) -> tuple[int, str]:
    """Run a command whose standard error is a terminal; return its code and what it printed."""
    terminal, side = open_terminal(columns)
    with subprocess.Popen(  # noqa: S603  # our own command
        command(arguments),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=side,
        env=ENVIRON,
    ) as process:
        os.close(side)
        if stdin is not None:
            assert process.stdin is not None
            process.stdin.write(stdin)
            process.stdin.close()
        printed = read_to_end(terminal)
    return process.returncode, printed


def frames_of(printed: str) -> list[str]:
    """Return what the line showed, one after another."""
    texts = (ESCAPE.sub("", text).rstrip() for text in re.split(r"[\r\n]+", printed))
    return [text for text in texts if "writing" in text or "draining" in text]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_progress_is_one_line_however_narrow_the_terminal_is(tmp_path: Path, columns: int) -> None:
    """With percentage, bytes read and durable, and which file is read, from 60 columns on."""
    for number in range(30):
        (tmp_path / f"{number:02}").write_bytes(LINES)
    out = tmp_path / "out"
    code, printed = run_in_terminal(
        ["write", str(tmp_path), str(out), "--max-bytes", "1MiB"], columns
    )
    assert code == 0, printed
    frames = frames_of(printed)
    assert frames
    assert max(map(cell_len, frames)) <= columns
    assert printed.count(CURSOR_UP) <= 1
    writing = [frame for frame in frames if "writing" in frame]
    assert all(re.search(r"[0-9]+% +[0-9.]+/30\.[0-9] MB", frame) for frame in writing)
    last = frames[-1]
    assert "draining" in last
    assert "%" not in last  # all is read, but not all is durable
    if columns >= 60:
        assert re.search(r"[0-9.]+ [kM]?B durable", last)
        assert re.search(r"[0-9]:[0-9]{2}:[0-9]{2}", last)
    if columns >= 80:
        assert re.search(r"file [0-9]+ of 30", last)
    if columns >= 120:
        assert re.search(r" MB +(\?|[0-9.]+ MB/s) ", last)


@pytest.mark.parametrize("columns", [60, 120])
def test_a_pipe_has_bytes_and_rate(tmp_path: Path, columns: int) -> None:
    """Its size is not known, so there is neither a percentage nor a bar."""
    code, printed = run_in_terminal(["write", "-", str(tmp_path)], columns, LINES * 40)
    assert code == 0, printed
    frames = frames_of(printed)
    assert max(map(cell_len, frames)) <= columns
    assert printed.count(CURSOR_UP) <= 1
    assert re.search(r" [0-9.]+ MB +(\?|[0-9.]+ MB/s) ", frames[-1])  # a short run has no rate
    assert "%" not in frames[-1]


def test_what_is_durable_is_shown_while_a_pipe_is_idle(tmp_path: Path) -> None:
    """It never exceeds what was read: bytes of input whose records have receipts."""
    terminal, side = open_terminal(60)
    shown: list[tuple[float, float]] = []
    with subprocess.Popen(  # noqa: S603  # our own command
        command(["write", "-", str(tmp_path), "--linger-s", "0.1"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=side,
        env=ENVIRON,
    ) as process:
        os.close(side)
        assert process.stdin is not None
        process.stdin.write(LINES * 9)
        process.stdin.flush()
        printed = ""
        while not shown or shown[-1][1] < 5:  # without it the test's timeout ends this
            printed += os.read(terminal, 65_536).decode()
            found = re.findall(r" ([0-9.]+) MB .* ([0-9.]+) MB durable", ESCAPE.sub("", printed))
            shown = [(float(read), float(durable)) for read, durable in found]
        process.stdin.close()
        read_to_end(terminal)
    assert process.returncode == 0
    assert all(durable <= read for read, durable in shown)
    assert shown == sorted(shown)


@pytest.mark.parametrize("flags", [["--quiet"], ["--log-format", "json"]])
def test_there_is_no_progress_where_it_would_be_in_the_way(
    tmp_path: Path, flags: list[str]
) -> None:
    (tmp_path / "in").write_bytes(LINES)
    code, printed = run_in_terminal(["write", f"{tmp_path}/in", f"{tmp_path}/out", *flags], 80)
    assert code == 0, printed
    assert frames_of(printed) == []
    assert "\x1b" not in printed
