"""Numbers of records: rising, each once, consecutive ones as one range."""

from __future__ import annotations

import sys
from array import array
from itertools import pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.records.columns import NumbersColumn, RangeColumn
from batcher.records.numbers import RecordNumbers, position_numbers

NUMBERS = st.sets(st.integers(5, 60))


@given(NUMBERS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_parts_are_joined_in_rising_order(numbers: set[int], parts: int, random: object) -> None:
    """However the numbers were divided, they read as the sorted list of them."""
    divided: list[list[int]] = [[] for _ in range(parts)]
    for number in sorted(numbers):
        divided[random.randrange(parts)].append(number)  # type: ignore[attr-defined]
    joined = RecordNumbers([array("Q", part) for part in divided], repeat(5))
    expected = [number - 5 for number in sorted(numbers)]
    assert list(joined) == expected
    assert joined == expected
    assert len(joined) == len(expected)
    assert [joined[i] for i in range(-len(expected), len(expected))] == expected * 2
    assert joined[1:3] == expected[1:3]
    assert [n for n in range(-1, 60) if n in joined] == expected
    ranges = list(joined.ranges())
    assert all(a.stop < b.start for a, b in pairwise(ranges))
    with pytest.raises(IndexError):
        joined[len(expected)]


def test_consecutive_numbers_take_no_memory_each() -> None:
    """Ten million records that failed together are one range."""
    joined = RecordNumbers([range(i, i + 8_192) for i in range(0, 10**7, 8_192)])
    assert list(joined.ranges()) == [range(10_002_432)]
    assert sys.getsizeof(joined._starts) < 200  # noqa: SLF001  # its memory
    assert repr(joined) == "<RecordNumbers 0-10002431>"


def test_the_numbers_of_positions_are_what_follows_the_prefix() -> None:
    """Of consecutive lines, of some of them, and of positions as text."""
    column = RangeColumn("a:1:", range(7, 10))
    some = column.take([0, 2])
    assert position_numbers(column, "a:1:") == range(7, 10)
    assert list(position_numbers(some, "a:1:")) == [7, 9]
    assert list(position_numbers(["a:1:7", "a:1:9"], "a:1:")) == [7, 9]
    assert some == NumbersColumn("a:1:", array("Q", [7, 9]))
    assert list(some) == list(some[:]) == [some[0], some[1]] == ["a:1:7", "a:1:9"]
