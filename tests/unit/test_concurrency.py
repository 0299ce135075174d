"""Worker slots, the bounded map, and waits that survive a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from batcher.concurrency import WorkerSlots, map_concurrently, shielded


def test_no_more_slots_are_taken_than_there_are() -> None:
    """A slot that was given back can be taken again."""
    slots = WorkerSlots(2, lambda: None)
    assert [slots.acquire_nowait() for _ in range(3)] == [True, True, False]
    assert not slots.is_oversubscribed
    slots.release()
    assert slots.acquire_nowait()


async def test_results_are_in_the_order_of_the_items() -> None:
    """However long each call takes, and no more calls run at once than allowed."""
    running = most = 0

    async def double(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(item):
            await asyncio.sleep(0)
        running -= 1
        return 2 * item

    assert await map_concurrently(double, [9, 1, 5, 0], 3) == [18, 2, 10, 0]
    assert most == 3
    assert await map_concurrently(double, [], 3) == []


async def test_the_first_error_ends_the_other_calls() -> None:
    """It is raised as it is, and not as a group."""
    ended = []

    async def call(item: int) -> None:
        try:
            await asyncio.sleep(3_600 if item else 0)
        finally:
            ended.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        await map_concurrently(call, [0, 1], 2)
    assert ended == [0, 1]


async def test_shielded_work_ends_before_the_cancellation_is_raised() -> None:
    """However often it is cancelled."""
    go_on = asyncio.Event()
    ended = []

    async def work() -> None:
        await go_on.wait()
        ended.append(True)

    waiting = asyncio.ensure_future(shielded(work()))
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == [True]
