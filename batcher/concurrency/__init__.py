"""Concurrency: worker slots, a bounded map, shielded waits, threads, and the running loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def find_running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def map_concurrently(
    function: Callable[[T], Awaitable[R]], items: Sequence[T], concurrency: int
) -> list[R]:
    """Call `function` with each item, `concurrency` at once. Return the results in item order.

    The first error cancels the other calls, and is raised.
    """
    numbered = iter(enumerate(items))
    results: dict[int, R] = {}

    async def drain() -> None:
        for number, item in numbered:
            results[number] = await function(item)

    failed: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(concurrency, len(items))):
                tasks.create_task(drain())
    except BaseExceptionGroup as group:
        failed = group.exceptions[0]
    if failed is not None:
        raise failed  # outside of the `except`, to keep its own cause
    return [results[number] for number in range(len(items))]


MAX_WAITING = 1024
"""Workers that wait at once without a slot. Each holds a request: its body, and 6 KB besides."""


class WorkerSlots:
    """A count of worker slots, with a callback for a slot that is released temporarily."""

    def __init__(self, count: int, on_free: Callable[[], None]) -> None:
        """Start with all slots free.

        Args:
            count: the number of slots.
            on_free: called when `temporarily_released` has freed a slot.
        """
        self._free = count
        self._waiting = 0
        self._on_free = on_free

    @property
    def is_oversubscribed(self) -> bool:
        """Whether more slots are taken than exist; see `temporarily_released`."""
        return self._free < 0

    def acquire_nowait(self) -> bool:
        """Take a slot. Return False if none is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Free a slot."""
        self._free += 1

    @contextmanager
    def temporarily_released(self) -> Iterator[None]:
        """Free the caller's slot while it waits. Take it back at the end, even if none is free.

        The slot stays taken while `MAX_WAITING` others wait: a worker would start for each of them.
        """
        if self._waiting >= MAX_WAITING:
            yield
            return
        self._waiting += 1
        self._free += 1
        self._on_free()
        try:
            yield
        finally:
            self._waiting -= 1
            self._free -= 1


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work` to end, even when cancelled. The cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    try:
        if cancelled is not None:
            task.cancelled() or task.exception()  # retrieved, because the cancellation is raised
            raise cancelled
        return task.result()
    finally:
        # An error has this frame, and all that its callers hold: no variable here may have it
        del task, cancelled


async def run_in_daemon_thread(function: Callable[[], T]) -> T:
    """Return the result of a function that blocks on the network. It runs in a thread of its own.

    A caller that is cancelled does not wait, and the function runs on to its end. Nor does the
    process wait for it at its exit. It does wait for the threads of `asyncio.to_thread`, so that
    one request without a response would hold it for the whole of its timeouts.
    """
    future: Future[T] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  # the caller gets it
            future.set_exception(error)

    threading.Thread(target=run, name="batcher-call", daemon=True).start()
    return await asyncio.wrap_future(future)
