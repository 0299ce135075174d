"""Inputs of the replay tests: bad lines, a module that fixes them; and reading the results."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batcher.batcher import Batcher
from batcher.cli.line_writer import COMMAND_LINE_ORIGIN
from batcher.records.chunk import Chunk
from batcher.records.columns import ConstantColumn, RangeColumn
from batcher.settings import Settings
from batcher.stores.location import parse_destination
from support.output_schema import parse_output

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

def leave_one(payload):
    leave_one.calls += 1
    return None if leave_one.calls % 2 else {"was": payload.decode()}

leave_one.calls = 0

def forget(payload):
    {"was": payload.decode()}

def keep_two(payload):
    return None if payload != b"bad two" else {"was": "two"}

async def wait(payload):
    return payload

nothing = None
"""
"""The user's module."""


def write(destination: str) -> None:
    """Write five lines, of which three are bad. `batcher write` would skip the empty one."""
    place: dict[str, Any] = {**parse_destination(destination)}
    settings = Settings.from_env(os.environ, **place)
    positions = RangeColumn("events:", range(1, 1 + len(LINES)))
    arrivals_s = ConstantColumn(time.time(), len(LINES))
    chunk = Chunk(COMMAND_LINE_ORIGIN, LINES, positions, arrivals_s)

    async def submit() -> None:
        async with Batcher(settings) as batcher:
            await batcher.submit_chunk(chunk)

    asyncio.run(submit())


def read_output(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Return the JSON line on standard output, and standard error."""
    printed = capsys.readouterr()
    return parse_output("replay", printed.out), printed.err


def lines_in(folder: Path, pattern: str) -> list[Any]:
    """Return the lines of files, in the order of their names."""
    files = sorted(folder.rglob(pattern), key=lambda path: path.name)
    texts = (gzip.decompress(path.read_bytes()) for path in files)
    return [json.loads(line) for text in texts for line in text.splitlines()]
