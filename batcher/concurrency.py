"""Deadline: when the event that is being written must have its answer, for all that serve it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


current_deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
"""On the event loop's clock; None: there is none. Tasks inherit it from who starts them."""


async def map_concurrently(
    function: Callable[[T], Awaitable[R]], items: Sequence[T], concurrency: int
) -> list[R]:
    """Do `work` to each item, `concurrency` of them at once; give the results in their order.

    The first error ends the others, and is raised.
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
        raise failed  # outside of the handler: its cause is its own
    return [results[number] for number in range(len(items))]


class WorkerSlots:
    """Some seats, and who is told when one becomes free."""

    def __init__(self, count: int, on_free: Callable[[], None]) -> None:
        """Begin with all of them free."""
        self._free = count
        self._on_free = on_free

    @property
    def is_oversubscribed(self) -> bool:
        """Whether more are taken than there are: those who waited are back."""
        return self._free < 0

    def acquire_nowait(self) -> bool:
        """Take a seat, if one is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Free a seat."""
        self._free += 1

    @contextmanager
    def released(self) -> Iterator[None]:
        """Return the seat away meanwhile; it is taken again at the end, free or not."""
        self._free += 1
        self._on_free()
        try:
            yield
        finally:
            self._free -= 1


current_slots: ContextVar[WorkerSlots | None] = ContextVar("taken", default=None)
"""Where the flight of this task has its seat; None: nowhere."""


@contextmanager
def slot_released() -> Iterator[None]:
    """Wait for the store, or for the time, without keeping another flight from its seat."""
    seats = current_slots.get()
    if seats is None:
        yield
    else:
        with seats.released():
            yield


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work` to end even when cancelled meanwhile; the cancellation then goes on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.cancelled() or task.exception()  # heard: the cancellation goes first
        raise cancelled
    return task.result()
