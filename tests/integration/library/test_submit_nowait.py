"""`submit_nowait` takes a record at once, or nothing of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from batcher import (
    BudgetFullError,
    PoisonRecordError,
    Receipt,
    RetryableError,
    SyncBatcher,
    SyncTicket,
)
from batcher.batcher import Batcher
from batcher.stores.memory import MemoryStore
from support.examples import make_settings
from support.fakes import Call, Gate, HookedStore, lines_in

KIB = 1024
SMALL: dict[str, Any] = {
    "budget_bytes": 64 * KIB,
    "max_bytes": 64 * KIB,
    "linger_s": 3_600,
    "compression": "none",
    "multipart_threshold": "1GB",
    "format": "lines",
}
LINE = b"x" * (4 * KIB)


async def fill(batcher: Batcher, *, limit: int = 1_000) -> int:
    """Submit until there is no room. Return how many records were taken."""
    for taken in range(limit):
        try:
            batcher.submit_nowait(LINE)
        except BudgetFullError:
            return taken
    return limit


async def test_a_record_is_taken_without_a_turn_of_the_event_loop(inner: MemoryStore) -> None:
    async with Batcher(make_settings(linger_s=3_600), store=inner) as batcher:
        tickets = [batcher.submit_nowait({"n": n}) for n in range(3)]
        assert not inner.objects
        await batcher.flush()
        receipts = [await ticket for ticket in tickets]
        assert [receipt.records for receipt in receipts] == [3, 3, 3]
    assert lines_in(inner) == [b'{"n":0}', b'{"n":1}', b'{"n":2}']


async def test_without_room_nothing_of_the_record_is_kept(
    store: HookedStore, inner: MemoryStore
) -> None:
    """And what is held is written, so that there will be room, although batches may linger."""
    gate = store.before = Gate("put")
    async with Batcher(make_settings(**SMALL), store=store) as batcher:
        taken = await fill(batcher)
        assert 0 < taken < 16
        held_bytes, counts = batcher.budget.held_bytes, batcher.counts.rejected
        with pytest.raises(BudgetFullError, match=r"no room .* submit the record later") as caught:
            batcher.submit_nowait(LINE)
        assert isinstance(caught.value, RetryableError)
        assert (batcher.budget.held_bytes, batcher.counts.rejected) == (held_bytes, counts)
        assert batcher.budget.peak_bytes <= batcher.budget.limit_bytes
        await gate.reached.wait()
        gate.open.set()
        ticket = await batcher.submit(LINE)  # waits until there is room
        batcher.submit_nowait(b"last")
        await batcher.flush()
        assert (await ticket).records
    assert len(lines_in(inner)) == taken + 2


async def test_who_waits_for_room_goes_first(store: HookedStore) -> None:
    """A small record does not overtake the large one that waits."""
    gate = store.before = Gate("put")
    async with Batcher(make_settings(**SMALL), store=store) as batcher:
        await fill(batcher)
        waiting = asyncio.ensure_future(batcher.submit(b"x" * (16 * KIB)))
        await gate.reached.wait()
        with pytest.raises(BudgetFullError):
            batcher.submit_nowait(b"x")
        gate.open.set()
        await waiting
        batcher.submit_nowait(b"x")


async def test_what_holds_nothing_needs_no_room(store: HookedStore) -> None:
    """A record that the transform filters out, or that is dropped."""
    gate = store.before = Gate("put")
    settings = make_settings(**SMALL, on_bad_record="drop")

    def transform(payload: bytes) -> bytes | None:
        return None if payload == b"skip" else payload

    async with Batcher(settings, store=store, transform=transform) as batcher:
        await fill(batcher)
        assert (await batcher.submit_nowait(b"skip")).records == 0
        assert batcher.submit_nowait(b"a\nb").bad[0].reason == "newline"
        gate.open.set()
    assert (batcher.counts.filtered, batcher.counts.dropped) == (1, 1)


async def test_a_bad_record_is_its_tickets_error(store: HookedStore) -> None:
    async with Batcher(make_settings(on_bad_record="fail"), store=store) as batcher:
        ticket = batcher.submit_nowait("{")
        with pytest.raises(PoisonRecordError) as caught:
            await ticket
        assert caught.value.failed == [0]
        with pytest.raises(TypeError, match="a record is"):
            batcher.submit_nowait(7)  # type: ignore[arg-type]  # what the test is about


async def test_a_full_batch_is_written_at_once(store: HookedStore, inner: MemoryStore) -> None:
    """`linger_s=0` as well."""
    for limit in ({"max_records": 1}, {"linger_s": 0}):
        async with Batcher(make_settings(**limit), store=store) as batcher:
            await batcher.submit_nowait(b"{}")
            assert lines_in(inner)


async def test_a_closed_batcher_takes_nothing(store: HookedStore) -> None:
    batcher = Batcher(make_settings(), store=store)
    await batcher.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit_nowait(b"{}")


async def test_another_thread_is_told_what_to_call(store: HookedStore) -> None:
    """With or without a loop of its own. Nothing of the record is kept."""

    async def elsewhere() -> None:
        batcher.submit_nowait(b"{}")

    async with Batcher(make_settings(), store=store) as batcher:
        await batcher.submit(b"{}")
        with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
            await asyncio.to_thread(batcher.submit_nowait, b"{}")
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, elsewhere())
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(loop.call_soon_threadsafe, batcher.submit_nowait, b"{}")
    assert batcher.counts.records == 2


def test_before_any_event_loop_runs() -> None:
    with pytest.raises(RuntimeError, match="no event loop runs in this thread"):
        Batcher(make_settings()).submit_nowait(b"{}")


def test_threads_submit_without_waiting_for_room(inner: MemoryStore) -> None:
    """`SyncBatcher` has the same."""
    is_open = threading.Event()

    async def wait(call: Call) -> None:
        if call.operation == "put":
            await asyncio.to_thread(is_open.wait)

    def fill_up(tickets: list[SyncTicket[Receipt]]) -> None:
        tickets.extend(batcher.submit_nowait(LINE) for _ in range(1_000))

    tickets: list[SyncTicket[Receipt]] = []
    with SyncBatcher(make_settings(**SMALL), store=HookedStore(inner, wait)) as batcher:
        with pytest.raises(BudgetFullError, match="no room"):
            fill_up(tickets)
        is_open.set()
    assert 0 < sum(ticket.result().records > 0 for ticket in tickets) < 16
    assert lines_in(inner) == [LINE] * len(tickets)
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit_nowait(b"{}")
