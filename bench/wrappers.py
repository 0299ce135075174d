"""Wrappers: what a PUT costs through the wrappers around a store, over what it costs without them.

Both send the same bodies over the same connections of one process to the sink over TLS, in turn,
round after round; nothing fails, so this is what every clean request pays for the others.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import tempfile
import time
from pathlib import Path
from statistics import median

from certificate import write_certificate
from child import Child
from report import about
from throughput import environment

from batcher.settings import Settings
from batcher.stores import About, ObjectStore
from batcher.stores.retrying import RetryingStore
from batcher.stores.s3 import S3Store

BODIES = (1024, 256 * 1024)
"""A small object, and about what an event of 1 KiB records makes."""
ROUNDS = 20
PUTS = 60
"""In one round of one store."""
ABOUT = About("application/gzip", {"batcher-records": "1"})


async def cpu_us(store: ObjectStore, body: bytes, puts: int) -> float:
    """Send `puts` objects one after another; give the CPU microseconds of one."""
    started_s = time.process_time()
    for _ in range(puts):
        await store.put(f"wrappers/{secrets.token_hex(8)}", body, ABOUT)
    return (time.process_time() - started_s) / puts * 1e6


async def measure(rounds: int) -> None:
    """Measure each size of body, and print."""
    bare = S3Store(Settings(bucket="wrappers"))
    wrapped = RetryingStore(bare)
    print(f"\n{'body':>12}{'bare, us':>12}{'wrapped, us':>14}{'ratio':>8}   spread of the ratio")
    for size_bytes in BODIES:
        body = secrets.token_bytes(size_bytes)
        await cpu_us(bare, body, PUTS)
        pairs = []
        for number in range(rounds):
            first, second = (bare, wrapped) if number % 2 else (wrapped, bare)
            one, two = await cpu_us(first, body, PUTS), await cpu_us(second, body, PUTS)
            pairs.append((one, two) if first is bare else (two, one))
        ratios = sorted(with_them / without for without, with_them in pairs)
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(
            f"{size_bytes:>10} B{median(p[0] for p in pairs):>12.0f}"
            f"{median(p[1] for p in pairs):>14.0f}{median(ratios):>8.3f}"
            f"   {low:.3f} to {high:.3f} (quartiles), {ratios[0]:.3f} to {ratios[-1]:.3f}"
        )
    await wrapped.aclose()


def main() -> None:
    """Start the sink, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    print("\n".join(f"{name + ':':<16}{value}" for name, value in about().items()), flush=True)
    with tempfile.TemporaryDirectory(prefix="batcher-bench-") as name:
        certificate, key = write_certificate(Path(name))
        with Child("sink.py", str(certificate), str(key), env=os.environ) as sink:
            chosen_environment = environment(sink.greeting()["port"], certificate)
            os.environ.clear()
            os.environ.update(chosen_environment)
            asyncio.run(measure(chosen.rounds))


if __name__ == "__main__":
    main()
