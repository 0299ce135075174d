"""Before a store that enforces a limit a prefix: how much of it is used, how much is refused.

The whole stack as it writes, on a virtual clock: nothing here depends on the machine.
`bench/pacing.py` asks the same of a real server in real time.
"""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from batcher.errors import RetryableError
from batcher.stores import ObjectAttributes
from batcher.stores.retrying import RetryingStore
from batcher.testing import virtual_loop as virtual
from integration.rate_limits.virtual_stores import Limited, key, now, paced, played
from support.fakes import Call

pytestmark = pytest.mark.slow

PER_S = 50
MINUTE_S = 60.0
NUMBERS = count()
"""Of objects: no key comes twice."""


@pytest.fixture(autouse=True)
def long_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes of requests take more steps than an invocation."""
    monkeypatch.setattr(virtual, "MAX_STEPS", 10_000_000)


async def write(store: RetryingStore, salts: list[str], workers: int, until_s: float) -> None:
    """Put objects one after another under these salts, as fast as the store bears."""

    async def work(salt: str) -> None:
        while now() < until_s:
            await store.put(key(salt, next(NUMBERS)), b"", ObjectAttributes())

    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(work(salts[number % len(salts)]))


@pytest.mark.parametrize("burst_s", [1.0, 0.1])
@pytest.mark.parametrize(
    ("told", "least_used", "most_refused"), [(3_500.0, 0.85, 0.02), (float(PER_S), 0.97, 0.001)]
)
def test_a_prefix_is_used_to_its_limit_and_little_is_refused(
    burst_s: float, told: float, least_used: float, most_refused: float
) -> None:
    """From the second minute on, whether the writer is told the limit or has to find it out."""

    async def program() -> None:
        limited = Limited(PER_S, burst_s=burst_s)
        inner = paced(limited, most_per_s=told)
        store = RetryingStore(inner, jitter=lambda: 0.5)
        await write(store, ["0000"], 32, MINUTE_S)
        refused = sum(limited.seen.refused.values())
        sent = len(limited.seen.began_s["events/0000"])
        await write(store, ["0000"], 32, 4 * MINUTE_S)
        refused = sum(limited.seen.refused.values()) - refused
        sent = len(limited.seen.began_s["events/0000"]) - sent
        assert refused / sent <= most_refused
        assert (sent - refused) / (3 * MINUTE_S * PER_S) >= least_used

    played(program())


def test_one_prefix_at_its_limit_leaves_the_others_all_they_want() -> None:
    """One salt is greedy, with 50 a second to be had; another one has 300, and sees nothing."""

    async def program() -> None:
        hot = Limited(PER_S)
        free = Limited(3_500.0)

        async def before(call: Call) -> None:
            await (hot if "/0000/" in call.key else free)(call)

        store = RetryingStore(paced(before, concurrency=24), jitter=lambda: 0.5)
        async with asyncio.TaskGroup() as group:
            group.create_task(write(store, ["0000"], 100, MINUTE_S))
            group.create_task(write(store, ["0001"], 6, MINUTE_S))
        assert not free.seen.refused
        assert len(free.seen.began_s["events/0001"]) / MINUTE_S == pytest.approx(300, rel=0.01)
        taken = len(hot.seen.began_s["events/0000"]) - hot.seen.refused["events/0000"]
        assert taken / MINUTE_S >= 0.8 * PER_S

    played(program())


def test_when_the_limit_rises_the_rate_follows() -> None:
    """S3 has split the prefix: within a few minutes twice as much goes through."""

    async def program() -> None:
        limited = Limited(PER_S)
        store = RetryingStore(paced(limited), jitter=lambda: 0.5)
        await write(store, ["0000"], 32, 2 * MINUTE_S)
        limited.per_s = 3 * PER_S
        await write(store, ["0000"], 32, 5 * MINUTE_S)
        sent = len(limited.seen.began_s["events/0000"])
        await write(store, ["0000"], 32, 6 * MINUTE_S)
        sent = len(limited.seen.began_s["events/0000"]) - sent
        assert sent / MINUTE_S >= 0.85 * 3 * PER_S

    played(program())


def test_when_the_limit_falls_the_rate_follows_within_seconds() -> None:
    """From 200 a second to 20: a minute later hardly anything is refused."""

    async def program() -> None:
        limited = Limited(200.0)
        store = RetryingStore(paced(limited), jitter=lambda: 0.5)
        await write(store, ["0000"], 32, MINUTE_S)
        limited.per_s = 20.0
        await write(store, ["0000"], 32, 2 * MINUTE_S)
        before = limited.seen.refused.total()
        sent = len(limited.seen.began_s["events/0000"])
        await write(store, ["0000"], 32, 3 * MINUTE_S)
        sent = len(limited.seen.began_s["events/0000"]) - sent
        refused = limited.seen.refused.total() - before
        assert refused / sent <= 0.05
        assert (sent - refused) / MINUTE_S >= 0.7 * 20

    played(program())


@pytest.mark.parametrize(("writers", "per_s"), [(4, 20.0), (100, 10.0)])
def test_those_who_share_a_prefix_share_it(writers: int, per_s: float) -> None:
    """Four processes or a hundred, which can't know of each other: each has its part of it.

    The hundred have a request in ten seconds each.
    """

    async def program() -> None:
        limited = Limited(per_s, jitter=0.5)
        counts = [0] * writers

        async def work(number: int) -> None:
            store = RetryingStore(paced(limited), jitter=lambda: number * 0.37 % 1.0)
            while now() < 15 * MINUTE_S:
                try:
                    await store.put(key("0000", next(NUMBERS)), b"", ObjectAttributes())
                except RetryableError:
                    await asyncio.sleep(1.0)  # handed back
                else:
                    counts[number] += now() > 5 * MINUTE_S

        async with asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(work(number))
            await asyncio.sleep(5 * MINUTE_S)
            refused_before = limited.seen.refused.total()
        refused = limited.seen.refused.total() - refused_before
        stored, mean = sum(counts), sum(counts) / writers
        assert stored >= 0.9 * per_s * 10 * MINUTE_S
        assert refused <= 0.05 * stored
        assert min(counts) >= 0.1 * mean
        assert stored**2 / writers / sum(each**2 for each in counts) >= 0.55  # Jain's index

    played(program())
