"""Policy: what fits into a batch, and when and why it must leave."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from batcher.batch import Batch


class FlushReason(StrEnum):
    """Why a batch was sealed; the label of its counter."""

    BYTES = "bytes"
    RECORDS = "records"
    LINGER = "linger"
    PRESSURE = "pressure"
    """The budget was spent and this was the largest open batch."""
    FLUSH = "flush"
    """The program asked for it."""
    DRAIN = "drain"
    """The program is closing."""
    EVENT = "event"
    """The event it came in has ended."""
    FAILURE = "failure"
    """Its upload had failed while it was still open."""


class BatchLimits(Struct, frozen=True):
    """What one batch may hold; None is no limit."""

    max_bytes: int | None = None
    """Payload bytes, a newline each counted."""
    max_records: int | None = None
    linger_s: float | None = None

    def due_s(self, opened_s: float) -> float:
        """Say when a batch opened at `opened_s` has lingered long enough."""
        return float("inf") if self.linger_s is None else opened_s + self.linger_s


def fits(batch: Batch, size_bytes: int, records: int, limits: BatchLimits) -> bool:
    """Say whether so much more stays within the limits."""
    if limits.max_bytes is not None and batch.size_bytes + size_bytes > limits.max_bytes:
        return False
    return limits.max_records is None or batch.records + records <= limits.max_records


def flush_reason(batch: Batch, limits: BatchLimits, now_s: float) -> FlushReason | None:
    """Why `batch` must leave at `now_s`, or None to let it linger."""
    if limits.max_bytes is not None and batch.size_bytes >= limits.max_bytes:
        return FlushReason.BYTES
    if limits.max_records is not None and batch.records >= limits.max_records:
        return FlushReason.RECORDS
    return FlushReason.LINGER if now_s >= batch.due_s else None
