"""Pacing: how much of a prefix's limit a writer uses, with and without `prefix_rate` set to it.

A proxy before a real S3 server (SeaweedFS) accepts 50 writes per second for each prefix and refuses
the rest (`throttling_proxy.py`): Amazon's 3,500, scaled down. Two writers for each engine, each
with a prefix of its own, put small objects as fast as they may, in real time: one has the limit as
its `prefix_rate`, one has the default. Figures are from the second minute on.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from batcher.errors import RetryableError
from batcher.settings import Settings
from batcher.settings.types import EngineName
from batcher.stores import ObjectAttributes, open_store
from batcher.tools.demo.seaweedfs import EmbeddedS3
from child_process import Child
from client_environment import HIDDEN
from report import (
    Cell,
    Curve,
    Curves,
    Ratio,
    Result,
    Table,
    finish,
    make_parser,
    parse_options,
    start,
)

BUCKET = "pacing"
ENGINES = ("obstore", "aioboto3")
BODY = secrets.token_bytes(1024)
WORKERS = 48
"""Concurrent PUTs of a writer."""
TARGETS = {"default rate": (0.85, 0.02), "rate set": (0.97, 0.001)}
"""The least share of the limit that is used, and the most that is refused."""
STEP_S = 5


@dataclass
class WriterCounts:
    """Objects of one writer."""

    prefix: str
    objects: int = 0
    handed_back: int = 0


async def write(settings: Settings, until_s: float) -> WriterCounts:
    """Put small objects as fast as the store lets us."""
    store = open_store(settings)
    written = WriterCounts(settings.root)

    async def work() -> None:
        while time.monotonic() < until_s:
            key = f"{settings.root}/dt=2026-11-23/{secrets.token_hex(8)}"
            try:
                async with asyncio.timeout(max(0.001, until_s - time.monotonic())):
                    await store.put(key, BODY, ObjectAttributes())
            except (RetryableError, TimeoutError):
                written.handed_back += 1
            else:
                written.objects += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())
    await store.aclose()
    return written


async def write_all(
    engines: Sequence[EngineName], limit: float, lasts_s: float
) -> dict[tuple[str, str], WriterCounts]:
    """Run all writers at once: two for each engine."""
    until_s = time.monotonic() + lasts_s
    rates = {
        (engine, how): rate
        for engine in engines
        for how, rate in (("default rate", 3_500), ("rate set", round(limit)))
    }
    writing = [
        write(
            Settings(
                bucket=BUCKET, root=f"{engine}/{how.replace(' ', '-')}", fanout=1, engine=engine,
                prefix_rate=rate,
            ),
            until_s,
        )
        for (engine, how), rate in rates.items()
    ]  # fmt: skip
    return dict(zip(rates, await asyncio.gather(*writing), strict=True))


def rate_used(
    engine: str, how: str, counts: list[list[int]], limit: float, since_s: int
) -> tuple[list[Cell], list[Ratio]]:
    """Return a row, and the ratios that have targets, of requests accepted and refused."""
    steady = counts[since_s:]
    taken, refused = (sum(one[n] for one in steady) for n in (0, 1))
    used, share = taken / (limit * len(steady)), refused / max(1, taken + refused)
    first_taken, first_refused = (sum(one[n] for one in counts[:since_s]) for n in (0, 1))
    steps = [
        sum(one[0] for one in steady[second : second + STEP_S]) / (STEP_S * limit)
        for second in range(0, len(steady) - STEP_S + 1, STEP_S)
    ]
    least, most = TARGETS[how]
    name, over, under = f"{engine}, {how}", f">= {least:g}", f"<= {most:g}"
    ratios = [
        Ratio(f"{name}: of the limit used", used, min(steps), max(steps), over, used >= least),
        Ratio(f"{name}: refused", share, share, share, under, share <= most),
    ]
    at_first = 100 * first_taken / (limit * since_s)
    first_share = 100 * first_refused / max(1, first_taken + first_refused)
    return [engine, how, 100 * used, 100 * share, at_first, first_share], ratios


def main() -> None:
    """Start server and proxy, write, and print."""
    parser = make_parser(__doc__, rounds=1, short_rounds=1)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="default: both")
    parser.add_argument(
        "--limit", type=float, default=50.0, help="a second and prefix (%(default)s)"
    )
    parser.add_argument("--burst-s", type=float, default=0.2, help="of unused limit (%(default)s)")
    parser.add_argument("--minutes", type=float, help="default 4, with --short 0.7")
    options = parse_options(parser)
    engines = options.engine or [name for name in ENGINES if find_spec(name) is not None]
    lasts_s = round(60 * (options.minutes or (0.7 if options.short else 4.0)))
    since_s = min(60, lasts_s // 3)
    setting = start()
    result = Result("pacing")
    for name in [name for name in os.environ if name.startswith(HIDDEN)]:
        del os.environ[name]
    with EmbeddedS3() as server:
        server.create_bucket(BUCKET)
        os.environ.update(server.environ)
        place = urlsplit(server.url).netloc
        with Child(
            "throttling_proxy.py", place, str(options.limit), str(options.burst_s), env=os.environ
        ) as limiter:
            os.environ["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{limiter.greeting()['port']}"
            written = asyncio.run(write_all(engines, options.limit, lasts_s))
            rows, curves = [], []
            for (engine, how), one in written.items():
                seen = limiter.ask(prefix=one.prefix)
                counts = [seen.get(str(second), [0, 0]) for second in range(lasts_s - 1)]
                row, ratios = rate_used(engine, how, counts, options.limit, since_s)
                rows.append([*row, one.objects, one.handed_back])
                result.ratios += ratios
                curves.append(_curve(f"{engine}, {how}", counts))
    columns = (
        "engine", "limit", "used, %", "refused, %", "at first: used, %", "refused, %", "objects",
        "handed back",
    )  # fmt: skip
    title = f"{options.limit:g} a second and prefix; from second {since_s} to {lasts_s - 1}"
    result.tables.append(Table(title, columns, rows))
    result.charts.append(
        Curves(
            "pacing",
            f"One prefix, {options.limit:g} writes a second",
            "s",
            "taken a second",
            curves,
        )
    )
    finish(result, setting, options.json)


def _curve(how: str, counts: list[list[int]]) -> Curve:
    seconds = range(0, len(counts) - STEP_S + 1, STEP_S)
    taken = [sum(one[0] for one in counts[s : s + STEP_S]) / STEP_S for s in seconds]
    return Curve(f"batcher, {how}", list(seconds), taken)


if __name__ == "__main__":
    main()
