"""Duplicates: records that are in several objects of a stream, counted by their positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

MAX_HELD_POSITIONS = 500_000
"""The most positions that are held at a time: some 75 MB of memory."""


class DuplicateCounter:
    """Compares the positions of objects. Add these in the order of their first position.

    Positions before the start of the object that was added last are of no more use, and dropped.
    """

    def __init__(self) -> None:
        """Start without any object."""
        self._holders: dict[int, str] = {}
        self._kept = 0

    def add(self, key: str, positions: Iterable[str]) -> dict[str, int] | None:
        """Add an object. Return how many of its records are in an earlier one, by its key.

        Return None if too many positions had to be held at a time. The object is not added then.
        """
        numbers = list(map(int, positions))
        holders = self._holders
        if len(holders) > 2 * self._kept or len(holders) + len(numbers) > MAX_HELD_POSITIONS:
            first = numbers[0]
            holders = {number: other for number, other in holders.items() if number >= first}
            self._holders, self._kept = holders, len(holders)
        if len(holders) + len(numbers) > MAX_HELD_POSITIONS:
            return None
        counts = Counter(holders[number] for number in numbers if number in holders)
        for number in numbers:
            holders.setdefault(number, key)
        return dict(counts)
