"""Run: many records of one source, in columns; the thing that moves through batcher."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from batcher.records.columns import ConstantColumn, LinesColumn, MillisColumn, take_values


class NamingScheme(StrEnum):
    """How the objects of an origin get their names; see `batcher.keys.names`."""

    SEQUENCE = "sequence"
    """By the first sequence number in the object: streams."""
    MESSAGE_SET = "message_set"
    """By the oldest time and the set of message ids: SQS."""
    FRESH = "fresh"
    """A new UUIDv7 each: library, command line and direct invokes."""


class Origin(Struct, frozen=True):
    """Where records come from, as far as keys and quarantine need to know."""

    source: str
    """`sqs`, `kinesis`, `dynamodb`, `direct`, `library` or `cli`."""
    naming: NamingScheme
    stem: str = ""
    """What object names start with: the queue, the stream and shard, or the table and label."""

    @property
    def is_redeliverable(self) -> bool:
        """Whether the same records can come again and must then meet the same key."""
        return self.naming is not NamingScheme.FRESH

    @property
    def is_event(self) -> bool:
        """Whether one event holds all records there are, and a ledger settles them."""
        return self.is_redeliverable or self.source == "direct"


Payloads = Sequence[bytes] | Sequence[str]


class Chunk(Struct, frozen=True, dict=True):
    """Records of one origin, column by column; all columns have the same length."""

    origin: Origin
    payloads: Payloads
    """What each record carries: bytes or, from SQS, still `str`."""
    positions: Sequence[str]
    """Each record's identity at its source: message id, sequence number, `file:line`."""
    arrivals_s: Sequence[float]
    """When each record reached its source, in seconds since 1970, UTC."""
    envelopes: Sequence[Mapping[str, Any]] | None = None
    """The source's own records, for quarantine; None where there is no envelope."""
    sequence_numbers: Sequence[str] | None = None
    """FIFO queues only: the order within the queue."""

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def text(self) -> bytes | None:
        """The payloads as one newline-terminated text, where there is one already."""
        return self.payloads.text if isinstance(self.payloads, LinesColumn) else None

    @cached_property
    def is_str(self) -> bool:
        """Whether the payloads are `str` still; they are of one type."""
        payloads = self.payloads
        return (
            not isinstance(payloads, LinesColumn)
            and bool(payloads)
            and isinstance(payloads[0], str)
        )

    @cached_property
    def lengths(self) -> list[int]:
        """The length of each payload: bytes, or characters of `str`."""
        return list(map(len, self.payloads))

    @cached_property
    def total_length(self) -> int:
        """The lengths of all payloads together."""
        return sum(self.lengths) if self.text is None else len(self.text) - len(self)

    @cached_property
    def oldest_arrival_s(self) -> float:
        """The earliest arrival."""
        column = self.arrivals_s
        if isinstance(column, ConstantColumn):
            return float(column.value)
        return column.min_s if isinstance(column, MillisColumn) else min(column)

    @cached_property
    def newest_arrival_s(self) -> float:
        """The latest arrival."""
        column = self.arrivals_s
        if isinstance(column, ConstantColumn):
            return float(column.value)
        return column.max_s if isinstance(column, MillisColumn) else max(column)

    def take(self, indices: Sequence[int]) -> Chunk:
        """Return the records at `indices`, in that order, as a run of their own."""
        envelopes, numbers = self.envelopes, self.sequence_numbers
        return replace(
            self,
            payloads=cast("Payloads", take_values(self.payloads, indices)),
            positions=take_values(self.positions, indices),
            arrivals_s=take_values(self.arrivals_s, indices),
            envelopes=None if envelopes is None else take_values(envelopes, indices),
            sequence_numbers=None if numbers is None else take_values(numbers, indices),
        )

    def slice(self, start: int, stop: int) -> Chunk:
        """Return the records from `start` up to `stop` as a run of their own."""
        if start == 0 and stop >= len(self):
            return self
        envelopes, numbers = self.envelopes, self.sequence_numbers
        return replace(
            self,
            payloads=self.payloads[start:stop],
            positions=self.positions[start:stop],
            arrivals_s=self.arrivals_s[start:stop],
            envelopes=None if envelopes is None else envelopes[start:stop],
            sequence_numbers=None if numbers is None else numbers[start:stop],
        )


def positions_digest(positions: Sequence[str]) -> str:
    """Return the SHA-256, as 64 hex digits, of positions joined by newlines."""
    return hashlib.sha256("\n".join(positions).encode("utf-8", "surrogatepass")).hexdigest()
