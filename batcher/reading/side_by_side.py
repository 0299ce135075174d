"""Side by side: one thing done to many items, a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def side_by_side(
    work: Callable[[T], Awaitable[R]], items: Sequence[T], concurrency: int
) -> list[R]:
    """Do `work` to each item, `concurrency` of them at once; give the results in their order.

    The first error ends the others, and is raised.
    """
    numbered = iter(enumerate(items))
    results: dict[int, R] = {}

    async def drain() -> None:
        for number, item in numbered:
            results[number] = await work(item)

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
