"""Batcher as a library: every failure reaches somebody, once."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest

from batcher.batcher import Batcher
from batcher.errors import BatcherError, PoisonRecordError, RejectedError, RetryableError
from batcher.limits import MIN_PART_BYTES
from batcher.stores.memory import MemoryStore
from support.examples import make_settings
from support.fakes import Gate, HookedStore, failing, incompressible_bytes, lines_in, no_hook
from support.store_fixtures import ENGINES

BUSY = RetryableError("the store is busy")
REFUSED = RejectedError("no such bucket")
IN_PARTS = {
    "format": "lines",
    "compression": "none",
    "multipart_threshold": MIN_PART_BYTES,
    "part_size": MIN_PART_BYTES,
}
LINE = incompressible_bytes(1024**2 - 1)


def batcher_of(store: HookedStore, **settings: Any) -> Batcher:  # noqa: ANN401
    """Make a batcher whose batches linger for ever."""
    return Batcher(make_settings(**{"linger_s": 3_600, "root": "events", **settings}), store=store)


@pytest.mark.parametrize("error", [BUSY, REFUSED, ValueError("a bug")])
async def test_a_ticket_raises_what_stopped_its_records(
    store: HookedStore, error: Exception
) -> None:
    """Whoever waited has heard of it: neither flush nor leaving raises it again."""
    async with batcher_of(store) as batcher:
        one, many = await batcher.submit(b"1"), await batcher.submit_many([b"2", b"3"])
        store.before = failing(error, "put", times=1)
        waiting = [asyncio.ensure_future(_wait(ticket)) for ticket in (one, many)]
        await asyncio.sleep(0)  # they wait now
        await batcher.flush()
        for task in waiting:
            with pytest.raises(type(error)):
                await task
        await batcher.submit(b"4")
    assert lines_in(store.inner) == [b"4"]  # type: ignore[arg-type]  # a MemoryStore
    assert batcher.counts.failed == 3
    assert batcher.budget.held_bytes == 0


async def _wait(ticket: Any) -> Any:  # noqa: ANN401  # of one or of many
    return await ticket


async def test_a_failure_that_nobody_heard_of_is_raised_by_flush(store: HookedStore) -> None:
    """Once: leaving does not raise it again; and the ticket still does."""
    store.before = failing(BUSY, "put")
    async with batcher_of(store) as batcher:
        ticket = await batcher.submit(b"1")
        with pytest.raises(RetryableError, match="busy") as caught:
            await batcher.flush()
        assert caught.value.__notes__ == ["not durable: records=1 batches=1"]
        with pytest.raises(RetryableError, match="busy"):
            await ticket


async def test_a_failure_that_nobody_heard_of_is_raised_on_leaving(
    store: HookedStore, inner: MemoryStore
) -> None:
    """All that can be written is written first."""
    store.before = failing(BUSY, "put", key="kind=a")
    with pytest.raises(RetryableError, match="busy"):
        async with batcher_of(store, partition_by="kind={field:kind}") as batcher:
            await batcher.submit_many([{"kind": "a"}, {"kind": "b"}])
    assert len(inner.objects) == 1
    assert store.is_closed


async def test_the_programs_own_error_goes_first(store: HookedStore, inner: MemoryStore) -> None:
    """What was admitted is written all the same, and a failure is noted on the error."""

    async def program(record: bytes) -> None:
        async with batcher_of(store) as batcher:
            await batcher.submit(record)
            raise KeyError

    with pytest.raises(KeyError) as caught:
        await program(b"1")
    assert lines_in(inner) == [b"1"]
    store.before = failing(BUSY, "put")
    with pytest.raises(KeyError) as caught:
        await program(b"2")
    assert caught.value.__notes__ == ["batcher: the store is busy"]
    assert store.is_closed


async def test_abort_drops_what_is_not_durable(store: HookedStore, inner: MemoryStore) -> None:
    """Tickets raise, of batches that are open, waiting and being sent alike; nothing hangs."""
    store.before = Gate("put")
    async with batcher_of(store, max_records=1, concurrency=1) as batcher:
        sent, waiting = await batcher.submit(b"1"), await batcher.submit(b"2")
        await store.before.reached.wait()
        await batcher.abort()
        for ticket in (sent, waiting):
            assert ticket.is_settled
            with pytest.raises(RetryableError, match="not written"):
                await ticket
        with pytest.raises(RuntimeError):
            await batcher.submit(b"3")
    assert inner.objects == {}
    assert batcher.budget.held_bytes == 0
    assert store.is_closed


async def test_abort_drops_open_batches(store: HookedStore, inner: MemoryStore) -> None:
    """Those of which nothing was sent, and those of which parts were."""
    async with batcher_of(store, **IN_PARTS, partition_by="") as batcher:
        small = await batcher.submit(b"1")
        await batcher.abort()
        with pytest.raises(RetryableError):
            await small
    store.before = gate = Gate("part", 2)
    async with batcher_of(store, **IN_PARTS, partition_by="") as batcher:
        large = await batcher.submit_many([LINE] * 12)
        await gate.reached.wait()
        assert len(inner.uploads) == 1
        await batcher.abort()
        with pytest.raises(RetryableError):
            await large
    assert inner.objects == {}
    assert inner.uploads == {}
    assert batcher.budget.held_bytes == 0


@pytest.mark.parametrize("operation", ["create", "part", "complete"])
@pytest.mark.parametrize("error", [BUSY, REFUSED])
async def test_a_failed_stream_takes_no_more_records(
    store: HookedStore, inner: MemoryStore, operation: str, error: BatcherError
) -> None:
    """Its tickets raise; records after it go to a new batch, and are durable."""
    store.before = failing(error, operation, times=1)
    async with batcher_of(store, **IN_PARTS) as batcher:
        ticket = await batcher.submit_many([LINE] * 8)
        if operation == "complete":
            waiting = asyncio.ensure_future(_wait(ticket))
            await asyncio.sleep(0)
            await batcher.flush()
            with pytest.raises(type(error)):
                await waiting
        else:  # nobody has flushed: it fails while it is open
            with pytest.raises(type(error)):
                await ticket
            assert batcher.counts.flushes == {"failure": 1}
        assert batcher.budget.held_bytes == 0
        after = await batcher.submit(b"after")
        await batcher.flush()
        assert (await after).records == 1
    assert lines_in(inner) == [b"after"]
    assert inner.uploads == {}


async def test_a_lost_answer_to_complete_is_no_failure(
    store: HookedStore, inner: MemoryStore
) -> None:
    """The object is looked for, and is ours, for nobody else has its key."""
    store.after = failing(BUSY, "complete", times=1)
    async with batcher_of(store, **IN_PARTS) as batcher:
        ticket = await batcher.submit_many([LINE] * 8)
        await batcher.flush()
        assert [receipt.records for receipt in await ticket] == [8]
    assert lines_in(inner) == [LINE] * 8


async def test_a_refused_put_of_a_fresh_key_is_our_own_success(
    store: HookedStore, inner: MemoryStore
) -> None:
    """The transport sends a PUT again by itself when the connection has died."""

    async def send_twice(call: Any) -> None:  # noqa: ANN401
        await inner.put(call.key, b"", _about())

    store.before = send_twice
    async with batcher_of(store) as batcher:
        ticket = await batcher.submit(b"1")
        await batcher.flush()
        assert (await ticket).records == 1


def _about() -> Any:  # noqa: ANN401
    from batcher.stores import ObjectAttributes  # noqa: PLC0415

    return ObjectAttributes()


async def test_a_waiter_that_gave_up_has_not_heard(store: HookedStore) -> None:
    """`Batcher`: a failure that no ticket's owner has heard of is raised at the latest on leaving.

    `asyncio.wait_for(ticket, ...)` that times out is such an owner.
    """

    async def program() -> None:
        async with batcher_of(store) as batcher:
            ticket = await batcher.submit(b"1")
            waiting = asyncio.ensure_future(_wait(ticket))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            store.before = failing(BUSY, "put")

    with pytest.raises(RetryableError, match="busy"):
        await program()


async def test_a_bad_record_does_not_hide_that_its_neighbours_failed(store: HookedStore) -> None:
    """`PoisonRecordError` says that its neighbours are fine; so somebody must say that not."""
    store.before = failing(BUSY, "put")
    heard: list[BaseException] = []
    try:
        async with batcher_of(store, on_bad_record="fail") as batcher:
            ticket = await batcher.submit_many([b"1", b"no json"])
            waiting = asyncio.ensure_future(_wait(ticket))
            await asyncio.sleep(0)
            await asyncio.gather(batcher.flush(), return_exceptions=True)
            try:
                await waiting
            except PoisonRecordError as error:
                heard.append(error)
    except RetryableError as error:
        heard.append(error)
    assert any(isinstance(error, RetryableError) for error in heard)


async def test_flush_does_not_wait_for_what_is_submitted_after_it(store: HookedStore) -> None:
    """Another task goes on submitting; its open batch would linger for an hour."""
    store.before = gate = Gate("put")
    async with batcher_of(store) as batcher:
        await batcher.submit(b"1")
        flushing = asyncio.ensure_future(batcher.flush())
        await gate.reached.wait()
        later = await batcher.submit(b"2")
        gate.open.set()
        store.before = no_hook
        await asyncio.wait([flushing], timeout=0.5)
        is_done = flushing.done()
        await batcher.aclose()
        await asyncio.wait([flushing])
        assert is_done
        assert (await later).records == 1


async def test_a_failure_is_not_raised_by_a_flush_that_began_before_somebody_waited(
    store: HookedStore,
) -> None:
    """Whoever waits for the ticket when it fails hears of it; that is enough."""
    store.before = gate = Gate("put")
    store.after = failing(BUSY, "put")
    async with batcher_of(store) as batcher:
        ticket = await batcher.submit(b"1")
        flushing = asyncio.ensure_future(batcher.flush())
        await gate.reached.wait()
        waiting = asyncio.ensure_future(_wait(ticket))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.wait([flushing, waiting])
        with pytest.raises(RetryableError):
            await waiting
        assert flushing.exception() is None


@pytest.mark.parametrize("record", ["123", b"123", bytearray(b"1"), {"1": 1}])
async def test_one_record_is_no_iterable_of_records(record: Any) -> None:  # noqa: ANN401  # wrong on purpose
    """A text would become a record a character, a dict one a key."""
    store = MemoryStore()
    async with Batcher(make_settings(), store=store) as batcher:
        with pytest.raises(TypeError, match="iterable of records"):
            await batcher.submit_many(record)
    assert store.objects == {}


@pytest.mark.parametrize("odd", [None, 7, 1.5, ["x"], {"a": object()}])
async def test_a_record_that_is_none_is_named_by_its_place(odd: Any) -> None:  # noqa: ANN401  # as above
    """Beside text with a lone surrogate, which is bad, but a record."""
    async with Batcher(make_settings(), store=MemoryStore()) as batcher:
        with pytest.raises(TypeError, match="record 2 of those submitted: "):
            await batcher.submit_many([b"{}", '"\ud800"', odd, b"{}"])
        many = iter([*[b"{}"] * 20_000, odd])
        with pytest.raises(TypeError, match="record 20000 of those submitted: "):
            await batcher.submit_many(many)


def test_another_event_loop_is_told_at_once() -> None:
    """Futures and connections are one loop's; waiting for them elsewhere never ends."""
    batcher = Batcher(make_settings(), store=MemoryStore())
    with asyncio.Runner() as runner:
        runner.run(batcher.submit(b"{}"))
        for use in (
            lambda: batcher.submit(b"{}"),
            lambda: batcher.submit_many([b"{}"]),
            batcher.flush,
            batcher.aclose,
            batcher.abort,
        ):
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(use())
        runner.run(batcher.aclose())
    assert batcher.counts.objects == 1


@pytest.mark.parametrize("engine", ["memory", *ENGINES])
def test_a_batcher_that_is_never_closed_warns_of_its_records(engine: str) -> None:
    """They are gone with its event loop; one that has nothing left says nothing."""
    chosen = {} if engine == "memory" else {"engine": engine}

    async def leave(*, is_flushed: bool) -> None:
        store = MemoryStore() if engine == "memory" or is_flushed else None
        batcher = Batcher(make_settings(linger_s=3_600, **chosen), store=store)
        await batcher.submit_many([b"1", b"2"])
        if is_flushed:
            await batcher.flush()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(leave(is_flushed=True))
        gc.collect()
        assert caught == []
        asyncio.run(leave(is_flushed=False))
        gc.collect()
    assert ["records lost: 2" in str(one.message) for one in caught] == [True]


@pytest.mark.parametrize(
    ("settings", "store", "problem"),
    [
        ({"bucket": "my-bucket"}, None, r"^settings: a dict is no Settings; give Settings"),
        ("my-bucket", None, r"^settings: a str is no Settings"),
        (make_settings(), "s3://my-bucket", r"^store: 's3://my-bucket' is no store; give an obj"),
        (make_settings(), MemoryStore, r"^store: <class .* is no store"),
    ],
)
def test_what_is_no_settings_or_no_store_is_told_at_once(
    settings: Any,  # noqa: ANN401  # what a user may give
    store: Any,  # noqa: ANN401  # as above
    problem: str,
) -> None:
    """Not by the attribute that it lacks, and not when the first batch is written."""
    with pytest.raises(TypeError, match=problem):
        Batcher(settings, store=store)
