"""Cancelled at any await: no task, no upload, no half object, and the whole budget back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from batcher import Batcher, RetryableError
from batcher.budget import Budget
from batcher.encode import Codec
from batcher.flight import Flight
from batcher.parts import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores.memory import MemoryStore
from batcher.writer import Writer
from fakes import (
    Call,
    Gate,
    HookedStore,
    InlineExecutor,
    failing,
    noise,
    nothing,
    texts_in,
    yielding,
)
from unit.examples import SHARD, batch_of, run_of, settings_of

T = TypeVar("T")
LINE = noise(1024**2 - 1)
RECORDS = {"put": [b"1", b"2", b"3"], "parts": [LINE] * 11}
BOUND_TURNS = 400
"""More turns of the loop than any of these programs takes."""


def batcher_of(store: HookedStore, **settings: Any) -> Batcher:  # noqa: ANN401
    """Make a batcher that sends large bodies in parts."""
    defaults: dict[str, Any] = {
        "linger_s": 3_600,
        "format": "lines",
        "compression": "none",
        "multipart_threshold": MIN_PART_BYTES,
        "part_size": MIN_PART_BYTES,
    }
    return Batcher(settings_of(**defaults | settings), store=store)


@pytest.fixture
def inner() -> MemoryStore:
    """Give an empty store."""
    return MemoryStore()


@pytest.fixture
def store(inner: MemoryStore) -> HookedStore:
    """Give a store that a test can step in."""
    return HookedStore(inner, yielding)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode without threads, so that turns can be counted."""
    monkeypatch.setattr("batcher.batcher.ThreadPoolExecutor", InlineExecutor)


async def program(batcher: Batcher, records: list[bytes], tickets: list[Any]) -> None:
    """Submit, flush and leave."""
    async with batcher:
        tickets.append(await batcher.submit_many(records))
        await batcher.flush()


async def turns(number: int) -> None:
    """Let the loop run so many turns."""
    for _ in range(number):
        await asyncio.sleep(0)


async def ended(task: asyncio.Task[Any]) -> None:
    """Wait for a task that was cancelled; what it raises instead is raised here."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


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
    assert inner.uploads == set()
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


@pytest.mark.parametrize("at", AT, ids=str)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_cancelled_in_a_call_to_the_store(
    store: HookedStore,
    monkeypatch: pytest.MonkeyPatch,
    at: tuple[str, str, int],
    side: str,
) -> None:
    """Whether the request never got there, or only its answer was not waited for."""
    what, operation, number = at
    gate = Gate(operation, number)
    setattr(store, side, gate)
    monkeypatch.setattr("batcher.batcher.ThreadPoolExecutor", InlineExecutor)
    batcher, tickets = batcher_of(store), list[Any]()
    running = asyncio.ensure_future(program(batcher, RECORDS[what], tickets))
    await gate.reached.wait()
    running.cancel()
    await turns(10)
    gate.open.set()  # a call that cannot be interrupted goes on to its end
    await ended(running)
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
    await turns(10)
    assert not running.done()
    gate.open.set()
    await ended(running)
    await assert_nothing_is_left(batcher, store, RECORDS["parts"], tickets)


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize("what", RECORDS)
@pytest.mark.parametrize("concurrency", [1, 16])
async def test_cancelled_after_any_number_of_turns(what: str, concurrency: int) -> None:
    """From the first await to the last."""
    for turn in range(BOUND_TURNS):
        store = HookedStore(MemoryStore(), yielding)
        batcher, tickets = batcher_of(store, concurrency=concurrency), list[Any]()
        running = asyncio.ensure_future(program(batcher, RECORDS[what], tickets))
        await turns(turn)
        if running.done():
            break
        running.cancel()
        await ended(running)
        if not store.is_closed:
            assert turn == 0  # it had not begun
            await batcher.abort()
        await assert_nothing_is_left(batcher, store, RECORDS[what], tickets)
    assert running.done()
    assert not running.cancelled()
    assert 5 < turn < BOUND_TURNS - 1


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize("what", RECORDS)
async def test_cancelled_twice(what: str) -> None:
    """The second time while the first one is being answered, by draining's end or by abort."""
    for turn in range(BOUND_TURNS):
        store = HookedStore(MemoryStore(), yielding)
        gate = Gate("put" if what == "put" else "part")
        store.before = gate
        settings = {"max_records": 1, "concurrency": 1} if what == "put" else {}
        batcher, tickets = batcher_of(store, **settings), list[Any]()
        running = asyncio.ensure_future(program(batcher, RECORDS[what], tickets))
        await gate.reached.wait()
        await turns(20)
        running.cancel()
        await turns(turn)
        was_done = running.done()
        running.cancel()
        gate.open.set()
        await ended(running)
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


IN_PARTS = settings_of(
    format="lines",
    compression="none",
    multipart_threshold=1,
    part_size=MIN_PART_BYTES,
    concurrency=2,
)


PARTS = 4
"""Those of 16 MiB."""


def flight_of(budget: Budget, size: int) -> Flight:
    """Make the flight of a sealed batch of a stream, of so many MiB."""
    batch = batch_of(run_of(*[LINE] * size, origin=SHARD, positions=[f"{n}" for n in range(size)]))
    budget.hold(batch.size_bytes)
    flight = Flight(batch, budget, "fresh")
    flight.took(batch.size_bytes)
    return flight


async def assert_good_as_new(writer: Writer, inner: MemoryStore, budget: Budget) -> None:
    """All its slots are there: a write that needs each of them ends, and leaves nothing."""
    inner.objects.clear()
    after = flight_of(budget, 16)
    writing = asyncio.ensure_future(writer.write(after))
    await turns(BOUND_TURNS)
    is_stuck = not writing.done()
    writing.cancel()
    await asyncio.wait([writing])
    after.fail(RetryableError("done with"))
    assert not is_stuck
    assert inner.uploads == set()
    assert budget.held_bytes == 0
    inner.objects.clear()


async def test_a_writer_is_as_good_as_new_after_a_cancelled_write() -> None:
    """It lives as long as a Lambda environment: a slot that a deadline loses is lost for ever."""
    inner = MemoryStore()
    writer = Writer(HookedStore(inner, yielding), IN_PARTS, InlineExecutor(), 1)
    budget = Budget(IN_PARTS.budget_bytes)
    for turn in range(BOUND_TURNS):
        cut = flight_of(budget, 16)
        writing = asyncio.ensure_future(writer.write(cut))
        await turns(turn)
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
        cut = flight_of(budget, 16)
        writing = asyncio.ensure_future(writer.write(cut))
        await turns(BOUND_TURNS)
        is_stuck = not writing.done()
        writing.cancel()
        await asyncio.wait([writing])
        cut.fail(RetryableError("failed"))
        assert not is_stuck
    store.before = yielding
    await assert_good_as_new(writer, inner, budget)


async def test_no_encoding_goes_on_after_a_cancelled_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot be cancelled, so it is waited for: it still holds the bytes given back."""
    loop = asyncio.get_running_loop()
    entered, go_on, left = asyncio.Event(), threading.Event(), threading.Event()
    encode = Codec.encode

    def slow(*arguments: Any) -> Any:  # noqa: ANN401  # passed on
        loop.call_soon_threadsafe(entered.set)
        go_on.wait()
        left.set()
        return encode(*arguments)

    monkeypatch.setattr(Codec, "encode", slow)
    settings: Settings = settings_of(format="lines")
    budget = Budget(settings.budget_bytes)
    with ThreadPoolExecutor(1) as executor:
        flight = flight_of(budget, 1)
        writing = asyncio.ensure_future(Writer(MemoryStore(), settings, executor, 1).write(flight))
        await entered.wait()
        writing.cancel()
        await turns(10)
        was_waited_for = not writing.done()
        go_on.set()
        await asyncio.wait([writing])
        flight.fail(RetryableError("cut"))
    assert was_waited_for
    assert left.is_set()


async def test_no_encoding_of_later_members_goes_on_after_a_cancelled_write(
    store: HookedStore,
) -> None:
    """The first members are being sent, while a thread has not come to the end of the next."""
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
    settings = replace(IN_PARTS, multipart_threshold=1)
    budget = Budget(settings.budget_bytes)
    with SecondIsSlow(2) as executor:
        batch = batch_of(run_of(*[LINE] * 4))  # of a library: sent while it is encoded
        budget.hold(batch.size_bytes)
        flight = Flight(batch, budget, "fresh")
        flight.took(batch.size_bytes)
        writing = asyncio.ensure_future(Writer(store, settings, executor, 2).write(flight))
        await gate.reached.wait()
        writing.cancel()
        await turns(10)
        was_waited_for = not writing.done()
        gate.open.set()
        go_on.set()
        await ended(writing)
        flight.fail(RetryableError("cut"))
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left)
    assert was_waited_for
    assert not left


async def test_a_put_that_was_cut_can_be_sent_again(store: HookedStore, inner: MemoryStore) -> None:
    """Even where it arrived: the next try finds its own object."""
    store.after = gate = Gate("put")
    settings = settings_of(format="lines")
    budget = Budget(settings.budget_bytes)
    writer = Writer(store, settings, InlineExecutor(), 1)
    writing = asyncio.ensure_future(writer.write(flight_of(budget, 1)))
    await gate.reached.wait()
    writing.cancel()
    await asyncio.wait([writing])
    ((_, there),) = inner.objects.items()
    store.after = nothing
    receipt = await writer.write(flight_of(budget, 1))
    assert inner.objects == {receipt.key: there}
