"""What lies in a bucket, or is said by a server, cannot speak to the operator's terminal."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.cli import main
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from batcher.tools.check.findings import CheckReport, CheckResult, CheckStatus

NASTY = "\x1b]0;pwned\x07\x1b[2J\nbatcher: all is well\r\x9b31m\u202e"


def is_quiet(text: str) -> bool:
    """Return whether a text moves no cursor and forges no line."""
    return "batcher: all is well\n" not in text and all(
        line.isprintable() for line in text.split("\n")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with objects that somebody else has named, one of them like batcher's."""
    name = "q-1795417200000-" + "ab" * 16
    for key in (
        f"{NASTY}.ndjson.gz",
        f"dt=2026-11-23/{NASTY}/x.gz",
        f"_quarantine/{NASTY}/y.gz",
        f"_quarantine/sqs/dt=2026-11-23/{name}.ndjson.gz",
    ):
        line = b'{"reason":"\\u001b[2J","source":"\\u001b[2J","position":"\\u001b[2J"}\n'
        metadata = {"batcher-records": NASTY, "batcher-crc32": NASTY}
        asyncio.run(FileStore(tmp_path).put(key, line, ObjectAttributes(metadata=metadata)))
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [["verify"], ["ls"], ["ls", "--quarantine"], ["cat", "--quarantine"], ["verify", "--json"]],
)
def test_names_and_metadata_are_shown_escaped(
    folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever may write into the bucket does not write on the terminal."""
    assert main([command[0], f"file://{folder}", *command[1:]]) == 1
    told = capsys.readouterr()
    assert told.out + told.err
    assert is_quiet(told.err)
    assert is_quiet(told.out)


@given(st.text(), st.text(), st.text(), st.sampled_from(CheckStatus))
def test_a_finding_of_check_is_one_line_of_text(
    found: str, todo: str, subject: str, mark: CheckStatus
) -> None:
    """Names of queues, statements and regions come from outside; JSON has the same words."""
    finding = CheckResult(mark, "x", found, todo, subject)
    assert finding.as_line().isprintable()
    assert all(value.isprintable() for value in finding.as_dict().values())
    assert CheckReport([finding]).summary() == f"1 {mark}"


def test_cat_gives_records_as_they_are(tmp_path: Path) -> None:
    """It is for programs: what a terminal would make of C1 characters is said in the page."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out"
    source.write_text('{"a":"\u009b31m"}\n')
    assert main(["write", str(source), f"file://{out}"]) == 0
    command = [sys.executable, "-m", "batcher", "cat", f"file://{out}"]
    done = subprocess.run(command, capture_output=True, check=True, env=dict(os.environ))  # noqa: S603
    assert done.stdout == source.read_bytes()
