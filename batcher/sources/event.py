"""Event: the records of one invocation, and the ledger of those that are durable.

The functions that select the failures to report are here; FIFO queues have their own in `sqs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Chunk

FailureSelector = Callable[["Ledger", Sequence[str]], list[str]]
"""Returns which positions of an event to report as failed, from its ledger."""


class Ledger:
    """Tracks which records of one event are durable. Every record starts as not durable.

    A record that is never settled is redelivered, not lost.
    """

    def __init__(self, positions: Sequence[str]) -> None:
        """Start with all `positions`, which are unique, unsettled."""
        self._positions = positions
        self._open_positions: set[str] | None = None

    def __len__(self) -> int:
        return len(self._positions if self._open_positions is None else self._open_positions)

    @property
    def _unsettled(self) -> set[str]:
        """The unsettled positions. The set is built only if an object settles some, but not all."""
        if self._open_positions is None:
            self._open_positions = set(self._positions)
        return self._open_positions

    def settle(self, positions: Sequence[str]) -> None:
        """Mark records of a durable object as settled, or records that were filtered or dropped.

        Raises:
            KeyError: a record was settled before, or is not in the event, which is a bug of ours.
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
        """Return the positions that are not durable, in their order."""
        if not len(self):
            return []
        return [position for position in positions if position in self._unsettled]


def unsettled_positions(ledger: Ledger, positions: Sequence[str]) -> list[str]:
    """Select exactly the records that are not durable, in the order of the event."""
    return ledger.unsettled(positions)


def whole_event(ledger: Ledger, positions: Sequence[str]) -> list[str]:
    """Select the first record if any is not durable: a stream is redelivered from there on."""
    return [positions[0]] if len(ledger) else []


class Event(Struct, frozen=True):
    """The records of one invocation."""

    source: str
    """As `Origin.source`, or `empty` if the event has no records."""
    chunks: list[Chunk]
    """The records with a payload, one chunk per queue, shard or stream."""
    bad: list[BadRecord]
    """Records whose payload could not be decoded."""
    positions: Sequence[str]
    """The position of every record, once, in the order of the event."""
    select_failures: FailureSelector = field(default=unsettled_positions)
    """Selects the positions to report as failed."""
    all_or_nothing: bool = False
    """Whether any failure returns the whole event: streams."""
    direct: bool = False
    """Whether a program invoked the function and expects receipts."""
    identities: Mapping[str, str] = field(default_factory=dict)
    """The identity at the source of each position that is not itself the identity; see
    `batcher.sources.identities`."""

    def failed_identities(self, ledger: Ledger) -> list[str]:
        """Return the identities to report as failed: those of which any record is not durable."""
        failures = self.select_failures(ledger, self.positions)
        if not self.identities:
            return failures
        return list(dict.fromkeys(self.identities.get(p, p) for p in failures))
