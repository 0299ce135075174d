"""Wrappers: what a PUT costs through the wrappers around a store, over what it costs without them.

Both send the same bodies over the same connections of one process to the sink over TLS, in turn,
round after round; nothing fails, so this is what every clean request pays for the others.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from importlib.util import find_spec
from statistics import median

from batcher.settings import Settings
from batcher.stores import ObjectAttributes, ObjectStore, open_store
from batcher.stores.rate_limits.store import RateLimitedStore
from batcher.stores.retrying import RetryingStore
from contenders import ENGINES
from report import Ratio, Result, Table, arguments, chosen, finish, ratio, start
from sink_environment import sink_environment

BODIES = (1024, 256 * 1024)
"""A small object, and about what an event of 1 KiB records makes."""
PUTS = 60
"""In one round of one store."""
ABOUT = ObjectAttributes("application/gzip", {"batcher-records": "1"})


async def cpu_us(store: ObjectStore, body: bytes, puts: int) -> float:
    """Send `puts` objects one after another; give the CPU microseconds of one."""
    started_s = time.process_time()
    for _ in range(puts):
        await store.put(f"wrappers/{secrets.token_hex(8)}", body, ABOUT)
    return (time.process_time() - started_s) / puts * 1e6


async def measure(
    engine: str, rounds: int
) -> tuple[list[tuple[str, int, float, float]], list[Ratio]]:
    """Measure each size of body through one engine."""
    wrapped = open_store(Settings(bucket="wrappers", engine=engine))
    assert isinstance(wrapped, RetryingStore)  # noqa: S101  # what open_store gives for S3
    assert isinstance(wrapped.inner, RateLimitedStore)  # noqa: S101  # as above
    bare = wrapped.inner.inner
    rows, ratios = [], []
    for size_bytes in BODIES:
        body = secrets.token_bytes(size_bytes)
        await cpu_us(bare, body, PUTS)
        pairs = []
        for number in range(rounds):
            first, second = (bare, wrapped) if number % 2 else (wrapped, bare)
            one, two = await cpu_us(first, body, PUTS), await cpu_us(second, body, PUTS)
            pairs.append((one, two) if first is bare else (two, one))
        without, with_them = zip(*pairs, strict=True)
        rows.append((engine, size_bytes, median(without), median(with_them)))
        name = f"{engine}, {size_bytes:,} B: with wrappers / without"
        ratios.append(ratio(name, with_them, without))
    await wrapped.aclose()
    return rows, ratios


def main() -> None:
    """Start the sink, measure, and print."""
    found = chosen(arguments(__doc__, rounds=20, short_rounds=8))
    setting = start()
    result = Result("wrappers")
    rows = []
    with sink_environment() as shared:
        os.environ.clear()
        os.environ.update(shared.env)
        for engine in ENGINES:
            if find_spec(engine) is None:
                result.notes.append(f"{engine} is not installed")
                continue
            measured, ratios = asyncio.run(measure(engine, found.rounds))
            rows += measured
            result.ratios += ratios
    columns = ("engine", "body, B", "bare, CPU us a PUT", "wrapped, CPU us a PUT")
    result.tables.append(Table("One PUT", columns, rows))
    finish(result, setting, found.json)


if __name__ == "__main__":
    main()
