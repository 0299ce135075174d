"""Event: one invocation's records, and how its source wants to be told what is not durable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, field

from batcher.check import BadRecord
from batcher.ledger import Ledger
from batcher.run import Run

Failures = Callable[[Ledger, Sequence[str]], list[str]]


def each_unsettled(ledger: Ledger, positions: Sequence[str]) -> list[str]:
    """Hand back exactly the records that are not durable, in the event's order."""
    return ledger.unsettled(positions)


def from_the_start(ledger: Ledger, positions: Sequence[str]) -> list[str]:
    """Hand back everything, by the first record: so a stream's retry starts where this one did."""
    return [positions[0]] if len(ledger) else []


class Event(Struct, frozen=True):
    """What one invocation was handed, read."""

    source: str
    runs: list[Run]
    bad: list[BadRecord]
    """Records whose payload could not even be decoded."""
    positions: Sequence[str]
    """Every record's identity, once, in the order of the event."""
    failures: Failures = field(default=each_unsettled)
    """From the ledger: the identifiers to answer with."""
    is_whole: bool = False
    """Whether any failure brings the whole event back: streams."""
    is_direct: bool = False
    """Whether a program invoked us itself and wants receipts."""
