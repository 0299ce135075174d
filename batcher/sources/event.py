"""Event: one invocation's records, and how its source wants to be told what is not durable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, field

from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Chunk


class Ledger:
    """Every record of one event starts unsettled; what we forget is redelivered, not lost."""

    def __init__(self, positions: Sequence[str]) -> None:
        """Start with every one of `positions` unsettled; each is there once."""
        self._positions = positions
        self._open_positions: set[str] | None = None

    def __len__(self) -> int:
        return len(self._positions if self._open_positions is None else self._open_positions)

    @property
    def _unsettled(self) -> set[str]:
        """Made when some are settled and others not: one object that holds all needs no set."""
        if self._open_positions is None:
            self._open_positions = set(self._positions)
        return self._open_positions

    def settle(self, positions: Sequence[str]) -> None:
        """Take records of a durable object off the list, or ones left out by decision.

        Raises:
            KeyError: one was settled before, or never in the event: our bug, so it is heard.
        """
        if positions is self._positions and self._open_positions is None:
            self._open_positions = set()
            return
        before = len(self._unsettled)
        self._unsettled.difference_update(positions)
        if before - len(self._unsettled) != len(positions):
            msg = f"{len(positions)} records settled, {before - len(self._unsettled)} were open"
            raise KeyError(msg)

    def unsettled(self, positions: Sequence[str]) -> list[str]:
        """Return those of `positions`, in their order, that are not durable."""
        if not len(self):
            return []
        return [position for position in positions if position in self._unsettled]


FailureSelector = Callable[[Ledger, Sequence[str]], list[str]]


def unsettled_positions(ledger: Ledger, positions: Sequence[str]) -> list[str]:
    """Hand back exactly the records that are not durable, in the event's order."""
    return ledger.unsettled(positions)


def whole_event(ledger: Ledger, positions: Sequence[str]) -> list[str]:
    """Hand back everything, by the first record: so a stream's retry starts where this one did."""
    return [positions[0]] if len(ledger) else []


class Event(Struct, frozen=True):
    """What one invocation was handed, read."""

    source: str
    chunks: list[Chunk]
    bad: list[BadRecord]
    """Records whose payload could not even be decoded."""
    positions: Sequence[str]
    """Every record's identity, once, in the order of the event."""
    select_failures: FailureSelector = field(default=unsettled_positions)
    """From the ledger: the identifiers to answer with."""
    all_or_nothing: bool = False
    """Whether any failure brings the whole event back: streams."""
    direct: bool = False
    """Whether a program invoked us itself and wants receipts."""
