"""Ledger: which records of one event are durable. It starts with none."""

from __future__ import annotations

from collections.abc import Sequence


class Ledger:
    """Every record of one event starts unsettled; what we forget is redelivered, not lost."""

    def __init__(self, positions: Sequence[str]) -> None:
        """Start with every one of `positions` unsettled; each is there once."""
        self._positions = positions
        self._open: set[str] | None = None

    def __len__(self) -> int:
        return len(self._positions if self._open is None else self._open)

    @property
    def _unsettled(self) -> set[str]:
        """Made when some are settled and others not: one object that holds all needs no set."""
        if self._open is None:
            self._open = set(self._positions)
        return self._open

    def settle(self, positions: Sequence[str]) -> None:
        """Take records of a durable object off the list, or ones left out by decision.

        Raises:
            KeyError: one was settled before, or never in the event: our bug, so it is heard.
        """
        if positions is self._positions and self._open is None:
            self._open = set()
            return
        before = len(self._unsettled)
        self._unsettled.difference_update(positions)
        if before - len(self._unsettled) != len(positions):
            msg = f"{len(positions)} records settled, {before - len(self._unsettled)} were open"
            raise KeyError(msg)

    def unsettled(self, positions: Sequence[str]) -> list[str]:
        """Give those of `positions`, in their order, that are not durable."""
        if not len(self):
            return []
        return [position for position in positions if position in self._unsettled]
