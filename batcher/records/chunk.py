"""Chunk: records of one origin, in columns. All stages take chunks and hand on chunks.

Columns are replaced as a whole, never record by record: one call at C speed does many records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from batcher.records.columns import ConstantColumn, LinesColumn, MillisColumn, take_values
from batcher.records.position import full_positions

Payloads = Sequence[bytes] | Sequence[str]


class Chunk(Struct, frozen=True, dict=True):
    """Records of one origin in columns, all of the same length."""

    origin: Origin
    payloads: Payloads
    """The content of each record: all `bytes` or, from SQS, all `str`."""
    positions: Sequence[str]
    """The identity of each record at its source: message id, sequence number, `file:line`."""
    arrivals_s: Sequence[float]
    """When each record reached its source, in seconds since 1970, UTC."""
    envelopes: Sequence[Mapping[str, Any]] | None = None
    """The records as the source sent them, for quarantine. None if the source has no envelope."""
    sequence_numbers: Sequence[str] | None = None
    """FIFO queues only: the numbers that order the messages of the queue."""
    fingerprints: Sequence[str] | None = None
    """Fingerprints of what tells records with equal numbers apart, for example records of two
    shards; see `batcher.records.position`. None if the positions of the source are unique."""

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def full_positions(self) -> Sequence[str]:
        """The positions, with the fingerprints if there are any. They are made at each call."""
        if self.fingerprints is None:
            return self.positions
        return full_positions(self.positions, self.fingerprints)

    @property
    def text(self) -> bytes | None:
        """The payloads as newline-terminated text, or None if they are separate objects."""
        return self.payloads.text if isinstance(self.payloads, LinesColumn) else None

    @cached_property
    def is_str(self) -> bool:
        """Whether the payloads are `str`. All of them have one type."""
        payloads = self.payloads
        return (
            not isinstance(payloads, LinesColumn)
            and bool(payloads)
            and isinstance(payloads[0], str)
        )

    @cached_property
    def lengths(self) -> list[int]:
        """The length of each payload: bytes, or characters if they are `str`."""
        return list(map(len, self.payloads))

    @cached_property
    def total_length(self) -> int:
        """The sum of all lengths."""
        return sum(self.lengths) if self.text is None else len(self.text) - len(self)

    @cached_property
    def oldest_arrival_s(self) -> float:
        """The earliest arrival, in seconds since 1970."""
        column = self.arrivals_s
        if isinstance(column, ConstantColumn):
            return float(column.value)
        return column.min_s if isinstance(column, MillisColumn) else min(column)

    @cached_property
    def newest_arrival_s(self) -> float:
        """The latest arrival, in seconds since 1970."""
        column = self.arrivals_s
        if isinstance(column, ConstantColumn):
            return float(column.value)
        return column.max_s if isinstance(column, MillisColumn) else max(column)

    def take(self, indices: Sequence[int]) -> Chunk:
        """Return a chunk of the records at `indices`, in that order."""
        envelopes, sequence_numbers = self.envelopes, self.sequence_numbers
        fingerprints = self.fingerprints
        return replace(
            self,
            payloads=cast("Payloads", take_values(self.payloads, indices)),
            positions=take_values(self.positions, indices),
            arrivals_s=take_values(self.arrivals_s, indices),
            envelopes=None if envelopes is None else take_values(envelopes, indices),
            sequence_numbers=(
                None if sequence_numbers is None else take_values(sequence_numbers, indices)
            ),
            fingerprints=None if fingerprints is None else take_values(fingerprints, indices),
        )

    def slice(self, start: int, stop: int) -> Chunk:
        """Return a chunk of the records from `start` up to, but not including, `stop`."""
        if start == 0 and stop >= len(self):
            return self
        envelopes, sequence_numbers = self.envelopes, self.sequence_numbers
        fingerprints = self.fingerprints
        return replace(
            self,
            payloads=self.payloads[start:stop],
            positions=self.positions[start:stop],
            arrivals_s=self.arrivals_s[start:stop],
            envelopes=None if envelopes is None else envelopes[start:stop],
            sequence_numbers=None if sequence_numbers is None else sequence_numbers[start:stop],
            fingerprints=None if fingerprints is None else fingerprints[start:stop],
        )


class Origin(Struct, frozen=True):
    """Where records come from. Keys and quarantine depend on it."""

    source: str
    """`sqs`, `kinesis`, `dynamodb`, `direct`, `library` or `cli`."""
    naming: NamingScheme
    stem: str = ""
    """The start of object names: the queue, the stream and shard, or the table and label."""

    @property
    def is_redeliverable(self) -> bool:
        """Whether the source can send the same records again, which must then get the same key."""
        return self.naming is not NamingScheme.FRESH

    @property
    def is_event(self) -> bool:
        """Whether all records come in one event, and a ledger tracks which are durable."""
        return self.is_redeliverable or self.source == "direct"


class NamingScheme(StrEnum):
    """How the objects of an origin are named; see `batcher.keys.names`."""

    SEQUENCE = "sequence"
    """Named by the first sequence number in the object. Used for streams."""
    MESSAGE_SET = "message_set"
    """Named by the oldest time and the set of message ids. Used for SQS."""
    FRESH = "fresh"
    """Named by a new UUIDv7. Used for library, command line and direct invokes."""


def positions_digest(positions: Sequence[str]) -> str:
    """Return the SHA-256 of positions joined by newlines, as 64 hex digits."""
    return hashlib.sha256("\n".join(positions).encode("utf-8", "surrogatepass")).hexdigest()
