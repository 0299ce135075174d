"""Budget: how many bytes may be held, and who waits for room."""

from __future__ import annotations

import asyncio

import pytest

from batcher.writing.budget import MAX_BACKLOG_BYTES, Budget


@pytest.mark.parametrize(
    ("held_bytes", "size_bytes", "expected"),
    [
        (0, 100, True),
        (0, 101, True),  # else it would wait for ever
        (1, 99, True),
        (1, 100, False),
        (100, 0, True),
        (100, 1, False),
    ],
)
def test_there_is_room_up_to_the_limit_itself(
    held_bytes: int,
    size_bytes: int,
    expected: bool,  # noqa: FBT001  # a case
) -> None:
    """More than the limit fits if nothing is held."""
    budget = Budget(100)
    budget.adjust(held_bytes)
    assert budget.has_room(size_bytes) is expected


@pytest.mark.parametrize(
    ("backlog_bytes", "expected"), [(MAX_BACKLOG_BYTES, True), (MAX_BACKLOG_BYTES + 1, False)]
)
def test_there_is_no_room_while_the_encoder_is_far_behind(
    backlog_bytes: int,
    expected: bool,  # noqa: FBT001  # a case
) -> None:
    """However few bytes are held."""
    budget = Budget(4 * MAX_BACKLOG_BYTES)
    budget.adjust(1)
    budget.backlog_bytes = backlog_bytes
    assert budget.has_room(1) is expected


async def test_taking_asks_for_the_missing_bytes_and_waits_its_turn() -> None:
    """A small one does not overtake a large one."""
    budget = Budget(100)
    budget.adjust(80)
    asked: list[int] = []
    taken: list[int] = []

    async def take(size_bytes: int) -> None:
        await budget.take(size_bytes, asked.append)
        taken.append(size_bytes)

    tasks = [asyncio.ensure_future(take(size_bytes)) for size_bytes in (50, 10)]
    await asyncio.sleep(0)
    assert (taken, asked) == ([], [30])
    budget.adjust(-20)
    for _ in range(3):
        await asyncio.sleep(0)
    assert (taken, asked) == ([], [30, 10])
    budget.adjust(-20)
    await asyncio.gather(*tasks)
    assert taken == [50, 10]
    assert (budget.held_bytes, budget.peak_bytes) == (100, 100)
