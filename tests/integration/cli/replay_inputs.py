"""Inputs of the replay tests: bad lines, a module that fixes them; and reading the results."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batcher.cli import main

if TYPE_CHECKING:
    import pytest

LINES = ['{"id": 0}', "bad one", '{"id": 1}', "", "bad two"]
FIX = """
import json, pathlib, sys

def fix(payload):
    if payload == b"bad two":
        raise ValueError("no way")
    return {"was": payload.decode()}

def slow(payload):
    print("working", flush=True)
    sys.stdin.readline()
    return fix(payload)

async def wait(payload):
    return payload

nothing = None
"""
"""The user's module."""


def write(destination: str) -> None:
    """Write five lines, of which three are bad."""
    Path("events").write_text("".join(f"{line}\n" for line in LINES))
    assert main(["write", "events", destination]) == 0


def read_output(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Return the JSON line on standard output, and standard error."""
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def lines_in(folder: Path, pattern: str) -> list[Any]:
    """Return the lines of files, in the order of their names."""
    files = sorted(folder.rglob(pattern), key=lambda path: path.name)
    texts = (gzip.decompress(path.read_bytes()) for path in files)
    return [json.loads(line) for text in texts for line in text.splitlines()]
