"""A write that is cancelled: the writer is as good as new, and no encoding goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from batcher.encoding.codec import BodyEncoder
from batcher.errors import RetryableError
from batcher.limits import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores.memory import MemoryStore
from batcher.writing.budget import Budget
from batcher.writing.pending import PendingBatch
from batcher.writing.writer import Writer
from integration.cancellation.interleave import LINE, MAX_LOOP_STEPS, run_loop_steps, wait_cancelled
from support.examples import SHARD, make_batch, make_chunk, make_settings
from support.fakes import Call, Gate, HookedStore, InlineExecutor, no_hook, yielding

T = TypeVar("T")
IN_PARTS = make_settings(
    format="lines",
    compression="none",
    multipart_threshold=1,
    part_size=MIN_PART_BYTES,
    concurrency=2,
)
PARTS = 4
"""Those of 16 MiB."""


def flight_of(budget: Budget, size: int) -> PendingBatch:
    """Make the flight of a sealed batch of a stream, of so many MiB."""
    batch = make_batch(
        make_chunk(*[LINE] * size, origin=SHARD, positions=[f"{n}" for n in range(size)])
    )
    budget.adjust(batch.size_bytes)
    flight = PendingBatch(batch, budget, "fresh")
    flight.add_held(batch.size_bytes)
    return flight


async def is_stuck(writer: Writer, flight: PendingBatch, error: RetryableError) -> bool:
    """Write a flight, which then is over; say whether the write did not come to an end."""
    writing = asyncio.ensure_future(writer.write(flight))
    await run_loop_steps(MAX_LOOP_STEPS)
    has_not_ended = not writing.done()
    writing.cancel()
    await asyncio.wait([writing])
    flight.fail(error)
    return has_not_ended


async def assert_good_as_new(writer: Writer, inner: MemoryStore, budget: Budget) -> None:
    """All its slots are there: a write that needs each of them ends, and leaves nothing."""
    inner.objects.clear()
    assert not await is_stuck(writer, flight_of(budget, 16), RetryableError("done with"))
    assert inner.uploads == {}
    assert budget.held_bytes == 0
    inner.objects.clear()


async def test_a_writer_is_as_good_as_new_after_a_cancelled_write() -> None:
    """It lives as long as a Lambda environment: a slot that a deadline loses is lost for ever."""
    inner = MemoryStore()
    writer = Writer(HookedStore(inner, yielding), IN_PARTS, InlineExecutor(), 1)
    budget = Budget(IN_PARTS.budget_bytes)
    for turn in range(MAX_LOOP_STEPS):
        cut = flight_of(budget, 16)
        writing = asyncio.ensure_future(writer.write(cut))
        await run_loop_steps(turn)
        was_done = writing.done()
        writing.cancel()
        await asyncio.wait([writing])
        cut.fail(RetryableError("cut"))
        await assert_good_as_new(writer, inner, budget)
        if was_done:
            break
    assert was_done


@pytest.mark.parametrize("number", range(1, PARTS + 1))
@pytest.mark.parametrize("concurrency", [1, 2, 16])
async def test_a_writer_is_as_good_as_new_after_a_failed_part(
    store: HookedStore, inner: MemoryStore, number: int, concurrency: int
) -> None:
    """However often it fails: a part that was never begun gives its slot back too."""

    async def fail(call: Call) -> None:
        await asyncio.sleep(0)
        if call.part == number:
            raise RetryableError

    settings = replace(IN_PARTS, concurrency=concurrency)
    writer = Writer(store, settings, InlineExecutor(), 1)
    budget = Budget(IN_PARTS.budget_bytes)
    for _ in range(concurrency):
        store.before = fail
        assert not await is_stuck(writer, flight_of(budget, 16), RetryableError("failed"))
    store.before = yielding
    await assert_good_as_new(writer, inner, budget)


async def test_no_encoding_goes_on_after_a_cancelled_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot be cancelled, so it is waited for: it still holds the bytes given back."""
    loop = asyncio.get_running_loop()
    entered, go_on, left = asyncio.Event(), threading.Event(), threading.Event()
    encode = BodyEncoder.encode

    def slow(*arguments: Any) -> Any:  # noqa: ANN401  # passed on
        loop.call_soon_threadsafe(entered.set)
        go_on.wait()
        left.set()
        return encode(*arguments)

    monkeypatch.setattr(BodyEncoder, "encode", slow)
    settings: Settings = make_settings(format="lines")
    budget = Budget(settings.budget_bytes)
    with ThreadPoolExecutor(1) as executor:
        flight = flight_of(budget, 1)
        writing = asyncio.ensure_future(Writer(MemoryStore(), settings, executor, 1).write(flight))
        await entered.wait()
        writing.cancel()
        await run_loop_steps(10)
        was_waited_for = not writing.done()
        go_on.set()
        await asyncio.wait([writing])
        flight.fail(RetryableError("cut"))
    assert was_waited_for
    assert left.is_set()


async def test_no_encoding_of_later_blocks_goes_on_after_a_cancelled_write(
    store: HookedStore,
) -> None:
    """The first blocks are being sent, while a thread has not come to the end of the next."""
    go_on = threading.Event()

    class SecondIsSlow(ThreadPoolExecutor):
        """Holds up all work but the first."""

        submitted = 0

        def submit(self, fn: Callable[..., T], /, *args: object, **kwargs: object) -> Future[T]:
            def slow() -> T:
                go_on.wait()
                return fn(*args, **kwargs)

            self.submitted += 1
            return (
                super().submit(fn, *args, **kwargs) if self.submitted == 1 else super().submit(slow)
            )

    store.before = gate = Gate("create")
    budget = Budget(IN_PARTS.budget_bytes)
    with SecondIsSlow(2) as executor:
        batch = make_batch(make_chunk(*[LINE] * 4))  # of a library: sent while it is encoded
        budget.adjust(batch.size_bytes)
        flight = PendingBatch(batch, budget, "fresh")
        flight.add_held(batch.size_bytes)
        writing = asyncio.ensure_future(Writer(store, IN_PARTS, executor, 2).write(flight))
        await gate.reached.wait()
        writing.cancel()
        await run_loop_steps(10)
        was_waited_for = not writing.done()
        gate.open.set()
        go_on.set()
        await wait_cancelled(writing)
        flight.fail(RetryableError("cut"))
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left)
    assert was_waited_for
    assert not left


async def test_a_put_that_was_cut_can_be_sent_again(store: HookedStore, inner: MemoryStore) -> None:
    """Even where it arrived: the next try finds its own object."""
    store.after = gate = Gate("put")
    settings = make_settings(format="lines")
    budget = Budget(settings.budget_bytes)
    writer = Writer(store, settings, InlineExecutor(), 1)
    writing = asyncio.ensure_future(writer.write(flight_of(budget, 1)))
    await gate.reached.wait()
    writing.cancel()
    await asyncio.wait([writing])
    ((_, there),) = inner.objects.items()
    store.after = no_hook
    receipt = await writer.write(flight_of(budget, 1))
    assert inner.objects == {receipt.key: there}
