"""Numbers of records: which of the submitted records failed, in little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from heapq import merge
from itertools import accumulate, chain, repeat, starmap
from typing import ClassVar, overload

from batcher.records.columns import NumbersColumn


class RecordNumbers(Sequence[int]):
    """Numbers in rising order, each once. Consecutive ones are held as one range."""

    def __init__(self, parts: Iterable[Sequence[int]], firsts: Iterable[int] = repeat(0)) -> None:
        """Join `parts`, each in rising order and with no number of another part.

        Args:
            parts: what to join. A range costs no memory per number.
            firsts: for each part, what is subtracted from its numbers.
        """
        self._starts, self._stops = array("Q"), array("Q")
        for start, stop in merge(*map(_runs, parts, firsts)):
            if self._stops and self._stops[-1] == start:
                self._stops[-1] = stop
            else:
                self._starts.append(start)
                self._stops.append(stop)

    def __repr__(self) -> str:
        shown = [f"{each[0]}-{each[-1]}" for each, _ in zip(self.ranges(), range(4), strict=False)]
        more = ", ..." if len(self._starts) > len(shown) else ""
        return f"<RecordNumbers {', '.join(shown)}{more}>"

    def __eq__(self, other: object) -> bool:
        """Return whether `other` is a sequence of the same numbers, such as a list."""
        if isinstance(other, RecordNumbers):
            return self._starts == other._starts and self._stops == other._stops
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # as a list has none

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.ranges())

    def __contains__(self, number: object) -> bool:
        """Return whether it is one of the numbers."""
        if not isinstance(number, int) or number < 0:
            return False
        index = bisect_right(self._starts, number) - 1
        return index >= 0 and number < self._stops[index]

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        """Return one number, or some of them as a list."""
        wanted = range(len(self))[index]
        if isinstance(wanted, range):
            return [self[each] for each in wanted]
        run = bisect_right(self._ends, wanted)
        return self._stops[run] - (self._ends[run] - wanted)

    def ranges(self) -> Iterator[range]:
        """Return the numbers as ranges, in rising order."""
        return starmap(range, zip(self._starts, self._stops, strict=True))

    @cached_property
    def _ends(self) -> array[int]:
        """How many numbers each range and those before it have."""
        return array("Q", accumulate(map(len, self.ranges())))


def _runs(numbers: Sequence[int], first: int) -> Iterator[tuple[int, int]]:
    """Return the start and the stop of each run of consecutive numbers, counted from `first`."""
    if isinstance(numbers, RecordNumbers):
        yield from ((each.start - first, each.stop - first) for each in numbers.ranges())
        return
    if isinstance(numbers, range):
        if numbers:
            yield numbers.start - first, numbers.stop - first
        return
    start = stop = -1
    for number in numbers:
        if number != stop:
            if stop >= 0:
                yield start - first, stop - first
            start = number
        stop = number + 1
    if stop >= 0:
        yield start - first, stop - first


def position_numbers(positions: Sequence[str], prefix: str) -> Sequence[int]:
    """Return the numbers of positions that are made of `prefix` and a number."""
    if isinstance(positions, NumbersColumn):
        return positions.numbers
    return array("Q", [int(position[len(prefix) :]) for position in positions])
