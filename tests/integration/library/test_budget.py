"""Batcher as a library: memory is flat however long the input, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from batcher.batcher import Batcher
from batcher.errors import RetryableError
from batcher.limits import MIN_PART_BYTES
from batcher.stores.memory import MemoryStore
from batcher.writing.budget import BATCH_BYTES
from support.examples import make_settings
from support.fakes import Call, Gate, HookedStore, incompressible_bytes, lines_in, no_hook, texts_in

MIB = 1024**2
SLICE_BYTES = MIB
"""What `submit_many` admits at a time."""


PARTITIONS_BUDGET_MB = 16
PARTITIONS_OVERHEAD_MB = {"durable": 12, "refused": 70}
"""A failure is kept until it is raised: 3.7 KB for each of 16,000 batches."""
MANY_PARTITIONS = """
import asyncio, sys
from batcher import Batcher, Settings
from batcher.errors import RejectedError
from batcher.stores.memory import MemoryStore

class Sink(MemoryStore):
    async def _put(self, request):
        if sys.argv[1] == "refused":
            raise RejectedError("no")
        info = await super()._put(request)
        self.objects.clear()
        await asyncio.sleep(0)
        return info

def resident_mb(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) // 1000

async def main():
    options = dict(partition_by="x={field:x}", budget_bytes=16_000_000, linger_s=3_600)
    before_mb = resident_mb("VmRSS")
    try:
        async with Batcher(Settings(bucket="bucket", **options), store=Sink()) as batcher:
            for start in range(0, 16_000, 1_000):
                lines = [b'{"x":"%d"}' % n for n in range(start, start + 1_000)]
                await batcher.submit_many(lines)
            await batcher.flush()
    except RejectedError:
        assert sys.argv[1] == "refused"
    print(resident_mb("VmHWM") - before_mb)

asyncio.run(main())
"""
"""Writes 16,000 partitions of one tiny record, and prints by how much the process has grown."""


def batcher_of(store: HookedStore, **settings: Any) -> Batcher:  # noqa: ANN401
    """Make a batcher whose batches linger for ever, and whose bodies are as large as their text."""
    defaults: dict[str, Any] = {
        "linger_s": 3_600,
        "root": "events",
        "compression": "none",
        "multipart_threshold": 64 * MIB,  # by default it follows the budget
    }
    return Batcher(make_settings(**defaults | settings), store=store)


async def test_submit_waits_when_the_budget_is_spent(
    store: HookedStore, inner: MemoryStore
) -> None:
    """And goes on when an object is durable; those who came first go first."""
    store.before = gate = Gate("put")
    record = b"1" * 399
    async with batcher_of(store, budget_bytes=1_000, max_records=1) as batcher:
        await batcher.submit(record)
        await gate.reached.wait()
        await batcher.submit(record)  # there is room for two, and both are leaving
        order: list[int] = []

        async def wait(number: int) -> None:
            await batcher.submit(record)
            order.append(number)

        waiting = [asyncio.ensure_future(wait(n)) for n in range(3)]
        for _ in range(50):
            await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*waiting)
        assert order == [0, 1, 2]
    assert len(inner.objects) == 5
    assert batcher.budget.peak_bytes <= 1_000
    assert batcher.budget.held_bytes == 0


async def test_a_spent_budget_makes_submit_wait_until_the_store_answers(store: HookedStore) -> None:
    """While nothing is given back, nothing is admitted."""
    store.before = gate = Gate("put")
    async with batcher_of(store, budget_bytes=1_000, max_records=1) as batcher:
        await batcher.submit(b"1" * 899)
        waiting = asyncio.ensure_future(batcher.submit(b"1" * 899))
        await gate.reached.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        was_admitted = waiting.done()
        gate.open.set()
        await waiting
    assert not was_admitted


async def test_pressure_flushes_the_largest_batch(store: HookedStore, inner: MemoryStore) -> None:
    """The others stay open, and grow."""
    async with batcher_of(
        store, budget_bytes=100_000, partition_by="kind={field:kind}", linger_s=3_600
    ) as batcher:
        sizes = {"a": 30_000, "b": 50_000, "c": 15_000}
        tickets = {k: await batcher.submit({"kind": k, "x": "x" * n}) for k, n in sizes.items()}
        await batcher.submit({"kind": "a", "x": "x" * 10_000})
        assert "kind=b" in (await tickets["b"]).key
        assert not tickets["a"].is_settled
        assert not tickets["c"].is_settled
        assert len(inner.objects) == 1
        assert batcher.counts.flushes == Counter(pressure=1)
    assert batcher.budget.peak_bytes <= 100_000


async def test_a_batch_whose_writer_waits_for_text_is_flushed_under_pressure(
    store: HookedStore,
) -> None:
    """All of its text is encoded, so nothing of it leaves until it is sealed."""
    line = b"1" * (MIB + MIB // 4)
    async with batcher_of(store, budget_bytes=4 * MIB, max_bytes=4 * MIB) as batcher:
        first = await batcher.submit_many([line] * 3)
        assert not batcher.counts.flushes
        await batcher.submit(line)  # its batch would linger for an hour
        assert [receipt.records for receipt in await first] == [3]
        assert batcher.counts.flushes == Counter(pressure=1)
    assert batcher.counts.records == 4
    assert batcher.budget.held_bytes == 0


async def test_many_small_batches_under_pressure_all_become_objects(
    store: HookedStore, inner: MemoryStore
) -> None:
    """The budget is a fraction of the input, and every partition is open at once."""
    records = [{"kind": n % 50, "n": n, "x": "x" * 200} for n in range(5_000)]
    async with batcher_of(
        store, budget_bytes=64_000, partition_by="kind={field:kind}", concurrency=2
    ) as batcher:
        for start in range(0, len(records), 100):
            await batcher.submit_many(records[start : start + 100])
    assert len(lines_in(inner)) == 5_000
    assert batcher.budget.peak_bytes <= 64_000
    assert batcher.budget.held_bytes == 0


async def test_open_batches_of_tiny_records_are_sealed_when_the_budget_is_spent(
    store: HookedStore, inner: MemoryStore
) -> None:
    """Each batch is charged what its objects take, or the number of batches had no limit."""
    most_open = 0
    async with batcher_of(store, budget_bytes=MIB, partition_by="x={field:x}") as batcher:
        for start in range(0, 5_000, 100):
            lines = (b'{"x":"%d"}' % number for number in range(start, start + 100))
            await batcher.submit_many(lines)
            most_open = max(most_open, int(repr(batcher).split("open=")[1].split()[0]))
    assert most_open <= MIB // BATCH_BYTES
    assert batcher.counts.flushes["pressure"] > 4_000
    assert batcher.budget.peak_bytes <= MIB
    assert batcher.budget.held_bytes == 0
    assert len(lines_in(inner)) == 5_000


@pytest.mark.parametrize("outcome", ["durable", "refused"])
def test_many_open_partitions_take_the_budget_and_little_more(outcome: str) -> None:
    """While they are open, and when all of them are flushed at once."""
    ran = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", MANY_PARTITIONS, outcome],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert int(ran.stdout) < PARTITIONS_BUDGET_MB + PARTITIONS_OVERHEAD_MB[outcome]


async def test_a_long_input_of_many_producers_stays_within_the_budget(
    store: HookedStore, inner: MemoryStore
) -> None:
    """Whatever waits, it is not held."""
    line = incompressible_bytes(100_000)

    async with batcher_of(
        store, budget_bytes=4 * MIB, max_bytes=MIB, format="lines", compression="none"
    ) as batcher:

        async def produce() -> None:
            for _ in range(20):
                await batcher.submit_many([line] * 5)

        async with asyncio.TaskGroup() as producers:
            for _ in range(4):
                producers.create_task(produce())
    assert len(lines_in(inner)) == 400
    assert batcher.budget.peak_bytes <= 4 * MIB + SLICE_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_parts_leave_while_a_batch_is_open(
    store: HookedStore, inner: MemoryStore, compression: str
) -> None:
    """So that an object can be larger than the budget: of what nothing compresses, too."""
    line = incompressible_bytes(MIB - 1)
    async with batcher_of(
        store,
        budget_bytes=32 * MIB,
        max_bytes=64 * MIB,
        part_size=MIN_PART_BYTES,
        multipart_threshold=MIN_PART_BYTES,
        format="lines",
        compression=compression,
    ) as batcher:
        ticket = await batcher.submit_many([line] * 60)
        assert not batcher.counts.flushes
        assert store.operations().count("part") >= 4
        assert not inner.objects
        await batcher.flush()
        assert [receipt.records for receipt in await ticket] == [60]
    (there,) = inner.objects.values()
    compressor_bytes = 2 * MIB if compression == "zstd" else 0
    assert batcher.budget.peak_bytes <= 32 * MIB + SLICE_BYTES + compressor_bytes
    assert batcher.budget.held_bytes == 0
    assert inner.uploads == {}
    assert "batcher-first" in there.info.metadata
    assert list(texts_in(inner).values()) == [(line + b"\n") * 60]


async def test_no_more_requests_are_in_flight_than_allowed(
    store: HookedStore, inner: MemoryStore
) -> None:
    """PUTs of many batches and parts of one count alike."""
    now = most = 0

    async def enter(call: Call) -> None:
        nonlocal now, most
        if call.operation in {"put", "part"}:
            now += 1
            most = max(most, now)
            for _ in range(5):
                await asyncio.sleep(0)

    async def leave(call: Call) -> None:
        nonlocal now
        if call.operation in {"put", "part"}:
            now -= 1

    store.before, store.after = enter, leave
    async with batcher_of(
        store,
        concurrency=3,
        partition_by="kind={field:kind}",
        part_size=MIN_PART_BYTES,
        multipart_threshold=MIN_PART_BYTES,
    ) as batcher:
        large = {"kind": "large", "x": "x" * MIB}
        await batcher.submit_many([{"kind": n} for n in range(50)] + [large] * 30)
        await batcher.flush()
    assert most == 3
    assert len(inner.objects) == 51
    assert {"put", "part"} <= set(store.operations())


async def test_closing_wakes_those_who_wait_for_room(store: HookedStore) -> None:
    """Their records are not taken, and they hear so."""
    store.before = gate = Gate("put")
    async with batcher_of(store, budget_bytes=1_000, max_records=1) as batcher:
        await batcher.submit(b"1" * 899)
        waiting = [asyncio.ensure_future(batcher.submit(b"1" * 899)) for _ in range(2)]
        await gate.reached.wait()
        closing = asyncio.ensure_future(batcher.aclose())
        await asyncio.sleep(0)
        gate.open.set()
        store.before = no_hook
        await closing
        for task in waiting:
            with pytest.raises(RetryableError, match="closed"):
                await task
    assert batcher.budget.held_bytes == 0


async def test_a_submit_that_gives_up_waiting_takes_no_room(store: HookedStore) -> None:
    """A cancelled one is as if it had never been; those behind it go on."""
    store.before = gate = Gate("put")
    async with batcher_of(store, budget_bytes=1_000, max_records=1) as batcher:
        await batcher.submit(b"1" * 899)
        first, second = (asyncio.ensure_future(batcher.submit(b"1" * 899)) for _ in range(2))
        await gate.reached.wait()
        first.cancel()
        await asyncio.wait([first])
        gate.open.set()
        store.before = no_hook
        assert (await (await second)).records == 1
    assert batcher.budget.held_bytes == 0
    assert batcher.counts.records == 2
