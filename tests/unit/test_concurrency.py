"""Worker slots, the bounded map, waits that survive a cancellation, and threads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import pytest

from batcher.concurrency import (
    WorkerSlots,
    map_concurrently,
    run_in_daemon_thread,
    shielded,
)


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


async def test_an_error_of_shielded_work_does_not_hold_itself() -> None:
    """Its frames hold what the callers hold, and are freed with it, without the collector."""

    class Body:
        pass

    async def work() -> None:
        raise OSError

    async def send(body: Body) -> weakref.ref[Body]:
        with contextlib.suppress(OSError):
            await shielded(work())
        return weakref.ref(body)

    gc.disable()
    try:
        assert (await send(Body()))() is None
    finally:
        gc.enable()


async def test_a_thread_returns_its_result_or_raises_its_error() -> None:
    """The event loop is free meanwhile."""
    released = threading.Event()

    def blocked() -> str:
        released.wait()
        return threading.current_thread().name

    waiting = asyncio.create_task(run_in_daemon_thread(blocked))
    await asyncio.sleep(0)
    released.set()
    assert await waiting != threading.current_thread().name
    with pytest.raises(ZeroDivisionError):
        await run_in_daemon_thread(lambda: 1 // 0)


@pytest.mark.parametrize("late", [lambda: 1, lambda: 1 // 0], ids=["result", "error"])
async def test_a_cancelled_wait_leaves_the_thread_to_end_by_itself(late: Callable[[], int]) -> None:
    """The caller goes on at once; neither a late result nor a late error disturbs anybody."""
    started, released, ended = threading.Event(), threading.Event(), threading.Event()

    def blocked() -> None:
        started.set()
        released.wait()
        try:
            late()
        finally:
            ended.set()

    waiting = asyncio.create_task(run_in_daemon_thread(blocked))
    await asyncio.to_thread(started.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not ended.is_set()
    released.set()
    await asyncio.to_thread(ended.wait)


def test_a_process_ends_while_a_thread_is_still_blocked() -> None:
    """With the threads of `asyncio.to_thread` it would wait."""
    script = """
import asyncio, threading
from batcher.concurrency import run_in_daemon_thread

async def main():
    started = threading.Event()

    def block():
        started.set()
        threading.Event().wait()

    work = asyncio.create_task(run_in_daemon_thread(block))
    while not started.is_set():
        await asyncio.sleep(0)
    work.cancel()

asyncio.run(main())
print("ended")
"""
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,  # ends the process if the test fails
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)
