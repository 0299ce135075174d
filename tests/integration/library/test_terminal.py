"""What a terminal shows of an error: one message, at most one cause, and few frames of batcher."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.store_fixtures import ENGINES
from support.stub_s3 import Faults, StubS3

PACKAGE = str(Path(__file__).parents[3] / "batcher")
START = """
import asyncio, sys
from batcher import Batcher, Settings, SyncBatcher, read_objects

settings = Settings(bucket="bucket", root="x", engine=sys.argv[1], partition_by="k={field:n}")
records = [{"n": n} for n in range(20)]
"""
PROGRAMS = {
    "leaving": """
async def main():
    async with Batcher(settings) as batcher:
        await batcher.submit_many(records)
asyncio.run(main())
""",
    "ticket": """
async def main():
    async with Batcher(settings) as batcher:
        ticket = await batcher.submit_many(records)
        await batcher.flush()
    await ticket
asyncio.run(main())
""",
    "gathered": """
async def main():
    async with Batcher(settings) as batcher:
        tickets = [await batcher.submit(record) for record in records]
        flushing = asyncio.ensure_future(batcher.flush())
        await asyncio.gather(*(ticket.wait() for ticket in tickets))
asyncio.run(main())
""",
    "sync": """
with SyncBatcher(settings) as batcher:
    batcher.submit_many(records)
""",
    "reading": """
async def main():
    async with read_objects("s3://bucket/x") as objects:
        async for found in objects:
            pass
asyncio.run(main())
""",
    "value": """
async def main():
    async with Batcher(settings) as batcher:
        await batcher.submit({"n": object()})
asyncio.run(main())
""",
}


@pytest.fixture(scope="module")
def server() -> Iterator[StubS3]:
    """Return a server that refuses everything."""
    with StubS3(Faults(denies=["put", "head", "delete", "create", "bucket"])) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_error_is_one_message_with_one_cause(program: str, engine: str, server: StubS3) -> None:
    """Whatever is awaited when it arrives, and without a word from asyncio."""
    done = subprocess.run(  # noqa: S603  # our own interpreter and program
        [sys.executable, "-c", START + PROGRAMS[program], engine],
        env=server.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stderr.splitlines()
    assert done.returncode == 1
    assert "never retrieved" not in done.stderr
    assert sum("exception" in line and line.startswith(("The", "During")) for line in shown) <= 1
    assert sum(PACKAGE in line for line in shown) <= 5
    assert len(shown) <= 40
    assert "Debug source" not in done.stderr
    last = next(line for line in reversed(shown) if "rror: " in line)
    assert last.startswith(("batcher.errors.", "TypeError: "))
