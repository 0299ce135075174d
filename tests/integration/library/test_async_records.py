"""`submit_many` reads an async iterable: nothing waits for the next record, and memory is flat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from batcher import RejectedError, RetryableError, SyncBatcher
from batcher.batcher import Batcher
from batcher.stores.memory import MemoryStore
from batcher.writing.async_records import AsyncRecords
from support.examples import make_settings
from support.fakes import Gate, HookedStore, failing, lines_in

KIB = 1024


def numbers_in(inner: MemoryStore) -> list[int]:
    """Return the field `n` of all records in objects."""
    return [orjson.loads(line)["n"] for line in lines_in(inner)]


async def several(count: int, waits_every: int = 10**9) -> AsyncIterator[dict[str, int]]:
    """Yield records, and wait before every n-th."""
    for n in range(count):
        if n % waits_every == waits_every - 1:
            await asyncio.sleep(0)
        yield {"n": n}


class Feed:
    """An async iterable that is no generator: it yields what is put in."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.waits = asyncio.Event()
        self.asked = 0

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401  # a record, or none
        self.asked += 1
        if self.queue.empty():
            self.waits.set()
        record = await self.queue.get()
        if record is None:
            raise StopAsyncIteration
        return record


async def settle() -> None:
    """Let everything run that does not wait."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("waits_every", [1, 3, 8_192, 10**9])
@pytest.mark.parametrize("partition_by", ["", "kind={field:n}"])
async def test_each_record_is_written_once_in_its_order(
    store: HookedStore, inner: MemoryStore, waits_every: int, partition_by: str
) -> None:
    count = 300 if partition_by else 20_000 if waits_every > 3 else 2_000
    settings = make_settings(partition_by=partition_by, linger_s=3_600)
    async with Batcher(settings, store=store) as batcher:
        ticket = await batcher.submit_many(several(count, waits_every))
        assert ticket.records == count
        await batcher.flush()
        assert sum(receipt.records for receipt in await ticket) == count
    found = numbers_in(inner)
    assert (sorted(found) if partition_by else found) == list(range(count))


async def test_a_record_lingers_while_the_iterable_waits(
    store: HookedStore, inner: MemoryStore
) -> None:
    """It is durable before the next one comes."""
    feed = Feed()
    async with Batcher(make_settings(linger_s=0.01), store=store) as batcher:
        submitting = asyncio.ensure_future(batcher.submit_many(feed))
        for n in range(3):
            feed.queue.put_nowait({"n": n})
            while len(lines_in(inner)) <= n:  # noqa: ASYNC110  # polls a fake
                await asyncio.sleep(0.001)
        feed.queue.put_nowait(None)
        assert (await submitting).records == 3


@pytest.mark.parametrize("waits", ["waits", ""])
async def test_no_more_is_asked_for_than_there_is_room(store: HookedStore, waits: str) -> None:
    """Of endless records that come with or without a wait: dicts whose size nobody knows."""
    gate = store.before = Gate("put")
    given = 0

    async def endless() -> AsyncIterator[dict[str, str]]:
        nonlocal given
        while True:
            given += 1
            if waits:
                await asyncio.sleep(0)
            yield {"text": "x" * 10 * KIB}

    settings = make_settings(
        budget_bytes=256 * KIB, linger_s=3_600, compression="none", multipart_threshold="1GB"
    )
    batcher = Batcher(settings, store=store)
    submitting = asyncio.ensure_future(batcher.submit_many(endless()))
    await gate.reached.wait()
    await settle()
    assert batcher.budget.peak_bytes <= 256 * KIB
    assert given * 10 * KIB < 256 * KIB * 5 / 4
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await submitting
    assert given > caught.value.ticket.records > 15  # type: ignore[attr-defined]  # it has one
    gate.open.set()
    await batcher.aclose()
    assert batcher.counts.records == caught.value.ticket.records  # type: ignore[attr-defined]


class UnpluggedError(Exception):
    """Raised by an iterable."""


@pytest.mark.parametrize(
    ("before", "waits_every"), [(0, 1), (3, 1), (1_000, 1), (3, 9), (8_192, 10**9), (20_001, 10**9)]
)
async def test_what_was_yielded_before_an_error_is_taken(
    store: HookedStore, inner: MemoryStore, before: int, waits_every: int
) -> None:
    """And the ticket of it comes with the error, which keeps its own cause."""
    cause = ValueError("the plug")

    async def records() -> AsyncIterator[dict[str, int]]:
        async for record in several(before, waits_every):
            yield record
        raise UnpluggedError from cause

    async with Batcher(make_settings(linger_s=3_600), store=store) as batcher:
        await batcher.submit(b'{"n":-1}')
        with pytest.raises(UnpluggedError) as caught:
            await batcher.submit_many(records())
        await batcher.flush()
        ticket = caught.value.ticket  # type: ignore[attr-defined]
        assert ticket.records == before
        assert sum(receipt.records for receipt in await ticket) == before + bool(before)
        assert caught.value.__cause__ is cause
    assert numbers_in(inner) == [-1, *range(before)]


@pytest.mark.parametrize("waits", ["waits", ""])
async def test_a_record_of_a_wrong_type_ends_it(
    store: HookedStore, inner: MemoryStore, waits: str
) -> None:
    """At once, and those before it are taken, although the iterable would wait for ever then."""

    async def records() -> AsyncIterator[Any]:
        yield {"n": 0}
        if waits:
            await asyncio.sleep(0)
        yield {"n": 1}
        yield {"n": object()}
        await asyncio.Event().wait()

    async with Batcher(make_settings(linger_s=3_600), store=store) as batcher:
        with pytest.raises(TypeError, match="record 2 of those submitted: ") as caught:
            await batcher.submit_many(records())
        assert caught.value.ticket.records == 2  # type: ignore[attr-defined]
    assert numbers_in(inner) == [0, 1]


async def test_an_error_of_the_transform_is_raised_while_the_iterable_waits(
    store: HookedStore,
) -> None:
    """The iterable is cancelled, as the task would be."""
    ended = []

    def transform(payload: bytes) -> bytes:
        if payload == b"2":
            message = "the transform's server is busy"
            raise RetryableError(message)
        return payload

    async def records() -> AsyncIterator[bytes]:
        try:
            for n in range(3):
                await asyncio.sleep(0)
                yield b"%d" % n
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with Batcher(make_settings(), store=store, transform=transform) as batcher:
        with pytest.raises(RetryableError, match="busy") as caught:
            await batcher.submit_many(records())
        assert caught.value.ticket.records == 2
        assert ended
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # it runs


async def test_a_failure_has_the_indices_of_the_iterable(store: HookedStore) -> None:
    """Among the records of others, who submit meanwhile."""
    store.before = failing(RejectedError("no"), "put", key="kind=b")
    settings = make_settings(partition_by="kind={field:kind}", linger_s=3_600)

    async def records() -> AsyncIterator[dict[str, str]]:
        for n in range(10):
            await asyncio.sleep(0)
            yield {"kind": "ab"[n % 2]}

    async with Batcher(settings, store=store) as batcher:
        submitting = asyncio.ensure_future(batcher.submit_many(records()))
        while not submitting.done():
            await batcher.submit({"kind": "c"})
            await asyncio.sleep(0)
        ticket = await submitting
        waiting = asyncio.ensure_future(ticket.wait())
        await asyncio.sleep(0)
        await batcher.flush()
        with pytest.raises(RejectedError) as caught:
            await waiting
    assert caught.value.failed == [1, 3, 5, 7, 9]
    assert [receipt.records for receipt in caught.value.receipts or ()] == [5]


async def test_a_cancellation_while_the_iterable_waits_leaves_what_was_taken(
    store: HookedStore, inner: MemoryStore
) -> None:
    """All that was yielded: `asyncio.timeout` is the usual one."""
    feed = Feed()
    async with Batcher(make_settings(linger_s=3_600), store=store) as batcher:
        for n in range(3):
            feed.queue.put_nowait({"n": n})
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await batcher.submit_many(feed)
        assert caught.value.__cause__.ticket.records == 3  # type: ignore[union-attr]  # it has one
        await batcher.submit(b'{"n":3}')
    assert numbers_in(inner) == [0, 1, 2, 3]
    assert len(asyncio.all_tasks()) == 1


async def test_a_generator_that_is_cancelled_itself_leaves_nothing_behind(
    store: HookedStore,
) -> None:
    """What it yielded in the same turn of the event loop is not taken."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))

    async def records() -> AsyncIterator[bytes]:
        yield b"1"
        raise asyncio.CancelledError

    async with Batcher(make_settings(), store=store) as batcher:
        with pytest.raises(asyncio.CancelledError) as caught:
            await batcher.submit_many(records())
        await settle()
        assert caught.value.ticket.records == 0  # type: ignore[attr-defined]  # it has one
    assert not problems


async def test_one_slice_at_a_time_is_submitted() -> None:
    """Also if the iterable waits only after it has filled a slice without a wait."""
    room = asyncio.Semaphore(0)
    taken: list[list[bytes]] = []
    asked = 0

    async def submit(part: Sequence[bytes]) -> None:
        if taken:
            await room.acquire()
        taken.append(list(part))

    async def records() -> AsyncIterator[bytes]:
        nonlocal asked
        for n in range(6):
            asked = n + 1
            yield b"%d" % n
            if n >= 2:
                await asyncio.sleep(0)

    reader = AsyncRecords(submit, lambda record, _: record, max_records=2, max_bytes=100)
    reading = asyncio.ensure_future(reader.submit_all(records()))
    await settle()
    assert asked == 4  # the third waits for room, and one more was asked for
    for _ in range(6):
        room.release()
    await reading
    assert taken == [[b"0", b"1"], [b"2"], [b"3"], [b"4"], [b"5"]]


async def test_a_record_is_named_even_if_its_generator_cannot_be_closed(
    store: HookedStore,
) -> None:
    async def records() -> AsyncIterator[Any]:
        try:
            yield b"1"
            yield 5
        finally:
            raise LookupError

    async with Batcher(make_settings(), store=store) as batcher:
        with pytest.raises(TypeError, match="record 1 of those submitted") as caught:
            await batcher.submit_many(records())
        assert caught.value.ticket.records == 1  # type: ignore[attr-defined]  # it has one


async def test_the_iterable_runs_in_the_callers_task(store: HookedStore) -> None:
    """So `asyncio.timeout` within a generator, and the scopes of anyio, work."""
    tasks = set()

    async def records() -> AsyncIterator[bytes]:
        async with asyncio.timeout(60):
            for _ in range(3):
                tasks.add(asyncio.current_task())
                yield b"1"
                await asyncio.sleep(0)

    async with Batcher(make_settings(), store=store) as batcher:
        await batcher.submit_many(records())
    assert tasks == {asyncio.current_task()}


async def test_a_batcher_that_is_closed_meanwhile_takes_no_more(store: HookedStore) -> None:
    feed = Feed()
    batcher = Batcher(make_settings(), store=store)
    submitting = asyncio.ensure_future(batcher.submit_many(feed))
    feed.queue.put_nowait(b"1")
    await settle()
    await batcher.aclose()
    feed.queue.put_nowait(b"2")
    with pytest.raises(RuntimeError, match="closed") as caught:
        await submitting
    assert caught.value.ticket.records == 1  # type: ignore[attr-defined]  # it has one


def test_without_asyncio_there_is_no_async_iterable(inner: MemoryStore) -> None:
    batcher = SyncBatcher(make_settings(), store=inner)
    with batcher, pytest.raises(TypeError, match="for an async one use Batcher"):
        batcher.submit_many(several(3))  # type: ignore[arg-type]  # what the test is about
