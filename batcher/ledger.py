"""Ledger: which records of one event are durable. It starts with none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Ledger:
    """Every record of one event starts unsettled; what we forget is redelivered, not lost."""

    def __init__(self, positions: Iterable[str]) -> None:
        """Start with every one of `positions` unsettled."""
        self._unsettled = set(positions)

    def __len__(self) -> int:
        return len(self._unsettled)

    def settle(self, positions: Sequence[str]) -> None:
        """Take records of a durable object off the list, or ones left out by decision.

        Raises:
            KeyError: one was settled before, or never in the event: our bug, so it is heard.
        """
        before = len(self._unsettled)
        self._unsettled.difference_update(positions)
        if before - len(self._unsettled) != len(positions):
            msg = f"{len(positions)} records settled, {before - len(self._unsettled)} were open"
            raise KeyError(msg)

    def unsettled(self, positions: Sequence[str]) -> list[str]:
        """Give those of `positions`, in their order, that are not durable."""
        if not self._unsettled:
            return []
        return [position for position in positions if position in self._unsettled]
