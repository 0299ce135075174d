"""Seats: a flight that only waits keeps no other from being written."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from batcher.batcher import Batcher
from batcher.concurrency import MAX_WAITING, WorkerSlots
from batcher.errors import RetryableError, ThrottledError
from batcher.stores import Operation, Request, limit_concurrency
from batcher.stores.memory import MemoryStore
from batcher.stores.retrying import RetryingStore
from support.examples import make_settings
from support.fakes import Call, HookedStore


async def refuse_b(call: Call) -> None:
    """Refuse what goes to one partition."""
    if "kind=b" in call.key:
        raise ThrottledError


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_objects_that_wait_to_be_sent_again_hold_no_other_up(concurrency: int) -> None:
    """There are more of them than flights may be carried at once, and they wait for ever."""
    inner = MemoryStore()
    waiting: list[float] = []

    async def sleep(delay_s: float) -> None:
        waiting.append(delay_s)
        await asyncio.Event().wait()

    store = RetryingStore(limit_concurrency(HookedStore(inner, refuse_b), concurrency), sleep=sleep)
    settings = make_settings(
        partition_by="kind={field:kind}", concurrency=concurrency, linger_s=0, compression="none"
    )
    async with Batcher(settings, store=store) as batcher:
        busy = [await batcher.submit({"kind": f"b{number}"}) for number in range(3)]
        good = await batcher.submit({"kind": "good"})
        assert (await good).records == 1
        assert len(waiting) == len(busy)
        assert not any(ticket.is_settled for ticket in busy)
        await batcher.abort()
        for ticket in busy:
            with pytest.raises(RetryableError):
                await ticket
    assert ["kind=good" in key for key in inner.objects] == [True]


def test_a_seat_that_is_left_is_free_until_its_owner_is_back() -> None:
    """Then one too many are taken, until somebody gives theirs back."""
    told: list[bool] = []
    seats = WorkerSlots(1, lambda: told.append(seats.acquire_nowait()))
    assert seats.acquire_nowait()
    assert not seats.acquire_nowait()
    with seats.temporarily_released():
        assert told == [True]
        assert not seats.is_oversubscribed
    assert seats.is_oversubscribed
    seats.release()
    assert not seats.is_oversubscribed
    assert not seats.acquire_nowait()


def test_a_slot_stays_taken_while_many_others_are_released() -> None:
    """Else every batch of a flush would be encoded, and wait with its request."""
    freed: list[None] = []
    slots = WorkerSlots(2 * MAX_WAITING, lambda: freed.append(None))
    with ExitStack() as waits:
        for _ in range(MAX_WAITING):
            waits.enter_context(slots.temporarily_released())
        with slots.temporarily_released():
            assert len(freed) == MAX_WAITING
    with slots.temporarily_released():
        assert len(freed) == MAX_WAITING + 1


async def test_a_task_without_a_seat_waits_as_it_is() -> None:
    """A program's own calls, and parts of an upload."""
    with Request(Operation.PUT, "key").slot_released():
        await asyncio.sleep(0)
