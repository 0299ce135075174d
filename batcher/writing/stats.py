"""Stats: totals of records, objects and bytes, counted per object and never per record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from batcher.batching.batch import Batch
    from batcher.batching.router import Routed
    from batcher.writing.object import Receipt


class Stats(Struct):
    """Totals since the start."""

    records: int = 0
    """Records that are durable in objects of data."""
    objects: int = 0
    """Durable objects of data."""
    bytes_in: int = 0
    """Payload bytes of the durable records, newlines included."""
    bytes_out: int = 0
    """Bytes of the durable objects of data."""
    quarantined: int = 0
    """Quarantined records: bad records that are durable in quarantine objects."""
    dropped: int = 0
    """Bad records that were settled without being written, by `on_bad_record=drop`."""
    filtered: int = 0
    """Records for which the transform returned None."""
    rejected: int = 0
    """Bad records that were reported as failed, by `on_bad_record=fail`."""
    failed: int = 0
    """Records of batches that could not be written."""
    retries: int = 0
    """Requests that were retried because the store was throttling or did not respond."""
    oldest_record_age_s: float = 0.0
    """The longest time from a record's arrival at its source until it was durable."""
    flushes: Counter[str] = field(default_factory=Counter)
    """Sealed batches by `FlushReason`."""

    def count_retry(self) -> None:
        """Count a request that is retried."""
        self.retries += 1

    def count_routed(self, routed: Routed) -> None:
        """Count the records of a chunk that are not written: filtered, dropped, rejected."""
        self.dropped += routed.dropped
        self.filtered += sum(map(len, routed.excluded)) - routed.dropped
        self.rejected += len(routed.rejected)

    def count_filtered(self, records: int) -> None:
        """Count records that the transform filtered out before they were routed."""
        self.filtered += records

    def count_flush(self, batch: Batch) -> None:
        """Count a sealed batch."""
        self.flushes[str(batch.seal_reason)] += 1

    def count_failed(self, batch: Batch, error: Exception) -> None:
        """Count a batch that could not be written. Its tickets raise `error`."""
        del error
        self.failed += batch.records

    def count_written(self, batch: Batch, receipt: Receipt, now_s: float) -> None:
        """Count an object that became durable at `now_s`, in seconds since 1970."""
        self.oldest_record_age_s = max(self.oldest_record_age_s, now_s - batch.oldest_arrival_s)
        if receipt.quarantined:
            self.quarantined += receipt.records
            return
        self.records += receipt.records
        self.objects += 1
        self.bytes_in += batch.size_bytes
        self.bytes_out += receipt.size_bytes
