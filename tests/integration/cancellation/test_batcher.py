"""Cancelled at any await: no task, no upload, no half object, and the whole budget back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from batcher.batcher import Batcher
from batcher.errors import RetryableError
from batcher.limits import MIN_PART_BYTES
from batcher.stores.memory import MemoryStore
from integration.cancellation.interleave import LINE, MAX_LOOP_STEPS, run_loop_steps, wait_cancelled
from support.examples import make_settings
from support.fakes import Gate, HookedStore, InlineExecutor, failing, texts_in, yielding

RECORDS = {"put": [b"1", b"2", b"3"], "parts": [LINE] * 11}


def batcher_of(store: HookedStore, **settings: Any) -> Batcher:  # noqa: ANN401
    """Make a batcher that sends large bodies in parts."""
    defaults: dict[str, Any] = {
        "linger_s": 3_600,
        "format": "lines",
        "compression": "none",
        "multipart_threshold": MIN_PART_BYTES,
        "part_size": MIN_PART_BYTES,
    }
    return Batcher(make_settings(**defaults | settings), store=store)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode without threads, so that turns can be counted."""
    monkeypatch.setattr("batcher.writing.pipeline.ThreadPoolExecutor", InlineExecutor)


async def program(batcher: Batcher, records: list[bytes], tickets: list[Any]) -> None:
    """Submit, flush and leave."""
    async with batcher:
        tickets.append(await batcher.submit_many(records))
        await batcher.flush()


async def assert_nothing_is_left(
    batcher: Batcher, store: HookedStore, records: list[bytes], tickets: list[Any]
) -> None:
    """What is durable is whole; of all else there is nothing, and its owner knows."""
    inner = store.inner
    assert isinstance(inner, MemoryStore)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        await asyncio.wait(left)
    assert not left
    assert batcher.budget.held_bytes == 0
    assert inner.uploads == {}
    lines = [record + b"\n" for record in records]
    whole = {b"".join(lines)} if batcher.settings.max_records is None else set(lines)
    assert set(texts_in(inner).values()) <= whole
    assert store.is_closed
    for ticket in tickets:
        assert ticket.is_settled
        if not inner.objects:
            with pytest.raises(RetryableError):
                await ticket


AT = [("put", "put", 1), ("parts", "create", 1), ("parts", "part", 1), ("parts", "part", 2)]
AT += [("parts", "part", 3), ("parts", "complete", 1)]


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize("at", AT, ids=str)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_cancelled_in_a_call_to_the_store(
    store: HookedStore, at: tuple[str, str, int], side: str
) -> None:
    """Whether the request never got there, or only its answer was not waited for."""
    what, operation, number = at
    gate = Gate(operation, number)
    setattr(store, side, gate)
    batcher, tickets = batcher_of(store), list[Any]()
    running = asyncio.ensure_future(program(batcher, RECORDS[what], tickets))
    await gate.reached.wait()
    running.cancel()
    await run_loop_steps(10)
    gate.open.set()  # a call that cannot be interrupted goes on to its end
    await wait_cancelled(running)
    assert running.cancelled()
    await assert_nothing_is_left(batcher, store, RECORDS[what], tickets)


async def test_cancelled_in_an_abort(store: HookedStore) -> None:
    """It is the one call that must not be cut short; the cancellation follows it."""
    gate = Gate("abort")
    fail = failing(RetryableError("busy"), "part", times=1)

    async def before(call: Any) -> None:  # noqa: ANN401
        await fail(call)
        await gate(call)

    store.before = before
    batcher, tickets = batcher_of(store), list[Any]()
    running = asyncio.ensure_future(program(batcher, RECORDS["parts"], tickets))
    await gate.reached.wait()
    running.cancel()
    await run_loop_steps(10)
    assert not running.done()
    gate.open.set()
    await wait_cancelled(running)
    await assert_nothing_is_left(batcher, store, RECORDS["parts"], tickets)


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize("what", RECORDS)
@pytest.mark.parametrize("concurrency", [1, 16])
async def test_cancelled_after_any_number_of_turns(what: str, concurrency: int) -> None:
    """From the first await to the last."""
    for turn in range(MAX_LOOP_STEPS):
        store = HookedStore(MemoryStore(), yielding)
        batcher, tickets = batcher_of(store, concurrency=concurrency), list[Any]()
        running = asyncio.ensure_future(program(batcher, RECORDS[what], tickets))
        await run_loop_steps(turn)
        if running.done():
            break
        running.cancel()
        await wait_cancelled(running)
        if not store.is_closed:
            assert turn == 0  # it had not begun
            await batcher.abort()
        await assert_nothing_is_left(batcher, store, RECORDS[what], tickets)
    assert running.done()
    assert not running.cancelled()
    assert 5 < turn < MAX_LOOP_STEPS - 1


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize("what", RECORDS)
async def test_cancelled_twice(what: str) -> None:
    """The second time while the first one is being answered, by draining's end or by abort."""
    for turn in range(MAX_LOOP_STEPS):
        store = HookedStore(MemoryStore(), yielding)
        gate = Gate("put" if what == "put" else "part")
        store.before = gate
        settings = {"max_records": 1, "concurrency": 1} if what == "put" else {}
        batcher, tickets = batcher_of(store, **settings), list[Any]()
        running = asyncio.ensure_future(program(batcher, RECORDS[what], tickets))
        await gate.reached.wait()
        await run_loop_steps(20)
        running.cancel()
        await run_loop_steps(turn)
        was_done = running.done()
        running.cancel()
        gate.open.set()
        await wait_cancelled(running)
        await assert_nothing_is_left(batcher, store, RECORDS[what], tickets)
        if was_done:
            break
    assert was_done


@pytest.mark.parametrize("what", RECORDS)
async def test_a_cancelled_flush_stops_nothing(store: HookedStore, what: str) -> None:
    """Whoever asked does not wait any more; the records go their way."""
    store.before = gate = Gate("put" if what == "put" else "complete")
    batcher = batcher_of(store)
    async with batcher:
        ticket = await batcher.submit_many(RECORDS[what])
        flushing = asyncio.ensure_future(batcher.flush())
        await gate.reached.wait()
        flushing.cancel()
        await asyncio.wait([flushing])
        gate.open.set()
        assert sum(receipt.records for receipt in await ticket) == len(RECORDS[what])
    await assert_nothing_is_left(batcher, store, RECORDS[what], [ticket])


async def test_a_cancelled_waiter_stops_no_other(store: HookedStore) -> None:
    """A ticket's outcome belongs to all who wait for it."""
    store.before = gate = Gate("put")
    batcher = batcher_of(store)

    async def wait(ticket: Any) -> Any:  # noqa: ANN401
        return await ticket

    async with batcher:
        ticket = await batcher.submit(b"1")
        first, second = (asyncio.ensure_future(wait(ticket)) for _ in range(2))
        flushing = asyncio.ensure_future(batcher.flush())
        await gate.reached.wait()
        first.cancel()
        await asyncio.wait([first])
        gate.open.set()
        assert (await second).records == 1
        await flushing
