"""Duplicates: records that are in several objects of a stream, found by their positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from batcher.records.position import fingerprint_of, sequence_number
from batcher.records.positions import position_order

MAX_HELD_POSITIONS = 500_000
"""The most positions that are held at a time: some 75 MB of memory."""

SharedPositions: TypeAlias = dict[int, tuple[str, ...]]
"""The keys of the earlier objects that have a position, by the index of the position in its list.
The first key is that of the object that was added first."""

_Order: TypeAlias = "int | tuple[int, int] | str"


class DuplicateFinder:
    """Compares the positions of objects. Add these in the order of their first position.

    Positions before the start of the object that was added last are of no more use, and dropped.
    """

    def __init__(self) -> None:
        """Start without any object."""
        self._holders: dict[_Order, tuple[str, ...]] = {}
        self._kept = 0

    def __len__(self) -> int:
        """Return the number of positions that are held."""
        return len(self._holders)

    def add(self, key: str, positions: Sequence[str]) -> SharedPositions | None:
        """Add an object. Return which of its positions earlier objects have, too.

        Return None if too many positions had to be held at a time. The object is not added then.
        """
        orders = _parse_orders(positions)
        self._drop_passed(orders)
        holders = self._holders
        if len(holders) + len(orders) > MAX_HELD_POSITIONS:
            return None
        shared = {index: holders[order] for index, order in enumerate(orders) if order in holders}
        own = (key,)
        for order in orders:
            others = holders.setdefault(order, own)
            if others is not own:
                holders[order] = others + own
        return shared

    def _drop_passed(self, orders: Sequence[_Order]) -> None:
        """Drop what is before the first of these positions, if enough has accumulated."""
        held = len(self._holders)
        if held > 2 * self._kept or held + len(orders) > MAX_HELD_POSITIONS:
            first = _number(orders[0])
            self._holders = {
                order: keys for order, keys in self._holders.items() if _number(order) >= first
            }
            self._kept = len(self._holders)


def _parse_orders(positions: Sequence[str]) -> Sequence[_Order]:
    """Return positions as numbers, or those with an index as pairs: they take less memory.

    Positions with a fingerprint stay as they are. Records may share a number then.
    """
    if positions and fingerprint_of(positions[0]):
        return positions
    try:
        return list(map(int, positions))
    except ValueError:
        pairs = map(position_order, positions)
        return [pair if pair[1] else pair[0] for pair in pairs]


def _number(order: _Order) -> int:
    if isinstance(order, str):
        return int(sequence_number(order))
    return order if isinstance(order, int) else order[0]
