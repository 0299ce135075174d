"""Batch: records of one route that become one object, the open batches, and the flush policy.

`BatchLimits` and `flush_reason` decide when a batch is full. Time is always an argument.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import deque
from enum import StrEnum
from functools import cached_property
from itertools import accumulate, chain
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from batcher.encoding.text import encode_payloads, iter_text, join_lines
from batcher.records.chunk import NamingScheme, positions_digest
from batcher.records.columns import RangeColumn
from batcher.records.position import fingerprint_of, sequence_number
from batcher.records.positions import encode_positions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from batcher.records.chunk import Chunk, Origin


class FlushReason(StrEnum):
    """Why a batch was sealed. The value is a label of a metric."""

    BYTES = "bytes"
    RECORDS = "records"
    LINGER = "linger"
    PRESSURE = "pressure"
    """The budget was spent, and this was the largest open batch."""
    FLUSH = "flush"
    """The program called `flush`."""
    DRAIN = "drain"
    """The program is closing."""
    EVENT = "event"
    """All records of the event were added."""
    FAILURE = "failure"
    """Its upload failed while the batch was still open."""


class BatchLimits(Struct, frozen=True):
    """Limits of one batch. None means no limit."""

    max_bytes: int | None = None
    """Bytes of text, newlines included."""
    max_records: int | None = None
    linger_s: float | None = None

    def due_s(self, opened_s: float) -> float:
        """Return when a batch that was opened at `opened_s` is due."""
        return float("inf") if self.linger_s is None else opened_s + self.linger_s


class Route(Struct, frozen=True):
    """Where the records of one batch come from and belong. A key of `OpenBatches`."""

    origin: Origin
    partition: str
    """Hive-style path. Empty without partitions. In quarantine: the date of a stream's records."""
    is_quarantine: bool = False


class Batch:
    """Records of one route as text. The batch is open until `seal_reason` is set."""

    def __init__(self, route: Route, opened_s: float, due_s: float) -> None:
        """Open a batch at `opened_s` that must be sealed by `due_s`, both on the same clock."""
        self.route = route
        self.opened_s = opened_s
        self.due_s = due_s
        self.seal_reason: FlushReason | None = None
        self.records: int = 0
        self.size_bytes: int = 0
        self.oldest_arrival_s: float = float("inf")
        self.first_position: str = ""
        """The position of the first record. Of a stream it is the sequence number."""
        self.first_arrival_s: float = 0.0
        """The arrival of the first record."""
        self.last_position: str = ""
        """The position of the last record. Of a stream it is the sequence number."""
        self.positions: list[Sequence[str]] = []
        """The positions of all records, in columns, if a ledger will settle them."""
        self._full_positions: list[Sequence[str]] = []
        self._fingerprints: list[Sequence[str]] = []
        self._positions_hash = hashlib.sha256()
        self._sequence_numbers: list[str] = []
        self._chunks: list[Chunk] = []
        self._texts: deque[Iterator[bytes | memoryview]] = deque()
        self._unencoded_bytes = 0

    def __repr__(self) -> str:
        return (
            f"<Batch {self.route.partition or '-'} records={self.records} "
            f"size_bytes={self.size_bytes} sealed={self.seal_reason}>"
        )

    @property
    def unencoded_bytes(self) -> int:
        """Bytes of text that was not taken yet."""
        return self._unencoded_bytes

    def add(self, chunk: Chunk, texts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        """Append a chunk. `texts`, of `size_bytes` in total, is iterated only when it is taken."""
        if not self.records:
            self.first_arrival_s = chunk.arrivals_s[0]
        self._add_positions(chunk)
        self.records += len(chunk)
        self.size_bytes += size_bytes
        self.oldest_arrival_s = min(self.oldest_arrival_s, chunk.oldest_arrival_s)
        self._sequence_numbers += chunk.sequence_numbers or ()
        if self.route.origin.naming is NamingScheme.SEQUENCE:
            self._chunks.append(chunk)  # the event holds it as well
        self._texts.append(iter(texts))
        self._unencoded_bytes += size_bytes

    def take_texts(self, min_bytes: int | None = None) -> list[bytes | memoryview]:
        """Return text that was not taken yet, oldest first: at least `min_bytes`, or all."""
        missing_bytes = self._unencoded_bytes if min_bytes is None else min_bytes
        taken: list[bytes | memoryview] = []
        while self._texts and missing_bytes > 0:
            piece = next(self._texts[0], None)
            if piece is None:
                self._texts.popleft()
                continue
            taken.append(piece)
            missing_bytes -= len(piece)
            self._unencoded_bytes -= len(piece)
        return taken

    def drop_texts(self) -> None:
        """Discard the text that was not taken yet."""
        self._texts.clear()
        self._chunks.clear()
        self._unencoded_bytes = 0

    def _add_positions(self, chunk: Chunk) -> None:
        positions = chunk.positions
        first, last = positions[0], positions[-1]
        if self.route.origin.naming is NamingScheme.SEQUENCE:
            first, last = sequence_number(first), sequence_number(last)
        if not self.records:
            self.first_position = first
        self.last_position = last
        if self.route.origin.is_event:
            self.positions.append(positions)
            self._full_positions.append(chunk.full_positions)
            if chunk.fingerprints is not None:
                self._fingerprints.append(chunk.fingerprints)
        else:  # they are not needed again: a long batch keeps only their digest
            names = [str(positions)] if isinstance(positions, RangeColumn) else positions
            self._positions_hash.update("\n".join((*names, "")).encode("utf-8", "surrogatepass"))

    def digest(self) -> str:
        """Return a digest of all full positions, as 64 hex digits; see `batcher.keys.names`."""
        if not self.route.origin.is_event:
            return self._positions_hash.hexdigest()
        return self.digest_of(self.full_positions())

    def digest_of(self, positions: Sequence[str]) -> str:
        """Return the digest that a batch of the same origin with these positions would have."""
        if self.route.origin.naming is NamingScheme.MESSAGE_SET:
            positions = sorted(positions)
        return positions_digest(positions)

    @cached_property
    def positions_list(self) -> bytes | None:
        """The positions list of a stream's sealed batch, or None if there is none."""
        if self.route.origin.naming is not NamingScheme.SEQUENCE:
            return None
        return encode_positions(_one_column(self.positions), _one_column(self._fingerprints))

    @property
    def fingerprint(self) -> str:
        """The fingerprint of a stream's first record, or an empty string if it has none."""
        if self.route.origin.naming is not NamingScheme.SEQUENCE:
            return ""
        return fingerprint_of(self._full_positions[0][0])

    def full_positions(self) -> Sequence[str]:
        """Return the full positions of all records in one column, if a ledger will settle them.

        A position in another batch of the same route is of the same record.
        """
        return _one_column(self._full_positions)

    def select(self, positions: Collection[str]) -> Batch:
        """Return a sealed batch of those records of a stream's sealed batch, with all their text.

        Args:
            positions: full positions of records of this batch, at least one.
        """
        selected = Batch(self.route, self.opened_s, self.due_s)
        for chunk in self._chunks:
            found = enumerate(chunk.full_positions)
            wanted = [i for i, position in found if position in positions]
            if wanted:
                part = chunk.take(wanted)
                size_bytes, texts = _chunk_text(part, selected)
                selected.add(part, texts, size_bytes)
        selected.seal_reason = self.seal_reason
        return selected

    def lowest_sequence_number(self) -> str | None:
        """Return the lowest sequence number of a FIFO queue's records. None for other sources."""
        numbers = filter(str.isdecimal, self._sequence_numbers)
        return min(numbers, key=int, default=None)


def _one_column(columns: Sequence[Sequence[str]]) -> Sequence[str]:
    return columns[0] if len(columns) == 1 else list(chain.from_iterable(columns))


class OpenBatches:
    """The open batches, one per route, oldest first."""

    def __init__(self, limits: BatchLimits) -> None:
        """Start with no open batch."""
        self._limits = limits
        self._open: dict[Route, Batch] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._open.values())

    def add(self, route: Route, chunk: Chunk, now_s: float) -> list[tuple[Batch, int]]:
        """Add all records of `chunk`, to one or more batches, and seal those that are full.

        A batch without room for the next record is sealed too. A record larger than `max_bytes`
        gets its own batch, so the caller must reject such records before.

        Returns:
            Each batch that took records or was sealed, in order, and the bytes it took, perhaps 0.
        """
        limits = self._limits
        shares: list[tuple[Batch, int]] = []
        batch = self._get_or_open(route, now_s)
        size_bytes, texts = _chunk_text(chunk, batch)
        if fits(batch, size_bytes, len(chunk), limits) or (not batch.records and len(chunk) == 1):
            self._append(batch, chunk, texts, size_bytes, now_s)
            return [(batch, size_bytes)]
        chunk = replace(chunk, payloads=encode_payloads(chunk.payloads))
        ends = list(accumulate(len(p) + 1 for p in chunk.payloads))  # only if the chunk is cut
        start = 0
        while start < len(chunk):
            batch = self._get_or_open(route, now_s)
            stop = self._fitting_stop(batch, ends, start)
            if stop == start and batch.records:
                self.seal(batch, FlushReason.BYTES)
                shares.append((batch, 0))
                continue
            part = chunk.slice(start, max(stop, start + 1))
            size_bytes = ends[start + len(part) - 1] - (ends[start - 1] if start else 0)
            self._append(batch, part, _chunk_text(part, batch)[1], size_bytes, now_s)
            shares.append((batch, size_bytes))
            start += len(part)
        return shares

    def _fitting_stop(self, batch: Batch, end_offsets: list[int], start: int) -> int:
        """Return the index after the last record that fits into `batch`, counted from `start`."""
        stop = len(end_offsets)
        if self._limits.max_bytes is not None:
            used = end_offsets[start - 1] if start else 0
            stop = bisect_right(end_offsets, used + self._limits.max_bytes - batch.size_bytes)
        if self._limits.max_records is not None:
            stop = min(stop, start + self._limits.max_records - batch.records)
        return stop

    def _append(
        self,
        batch: Batch,
        chunk: Chunk,
        texts: Iterable[bytes | memoryview],
        size_bytes: int,
        now_s: float,
    ) -> None:
        batch.add(chunk, texts, size_bytes)
        reason = flush_reason(batch, self._limits, now_s)
        if reason is not None:
            self.seal(batch, reason)

    def _get_or_open(self, route: Route, now_s: float) -> Batch:
        batch = self._open.get(route)
        if batch is None:
            batch = self._open[route] = Batch(route, now_s, self._limits.due_s(now_s))
        return batch

    def seal(self, batch: Batch, reason: FlushReason) -> None:
        """Close `batch` to further records and remove it from the open ones."""
        del self._open[batch.route]
        batch.seal_reason = reason

    def next_due_s(self) -> float:
        """Return when the next batch is due, or infinity. The first batch is the oldest."""
        for batch in self._open.values():
            return batch.due_s
        return float("inf")

    def seal_due(self, now_s: float) -> list[Batch]:
        """Seal and return the batches that have lingered long enough."""
        due = []
        for batch in self._open.values():
            if batch.due_s > now_s:
                break
            due.append(batch)
        for batch in due:
            self.seal(batch, FlushReason.LINGER)
        return due

    def seal_all(self, reason: FlushReason) -> list[Batch]:
        """Seal and return every open batch."""
        batches = list(self._open.values())
        for batch in batches:
            self.seal(batch, reason)
        return batches


def fits(batch: Batch, size_bytes: int, records: int, limits: BatchLimits) -> bool:
    """Return whether `size_bytes` and `records` more stay within the limits."""
    if limits.max_bytes is not None and batch.size_bytes + size_bytes > limits.max_bytes:
        return False
    return limits.max_records is None or batch.records + records <= limits.max_records


def flush_reason(batch: Batch, limits: BatchLimits, now_s: float) -> FlushReason | None:
    """Return why `batch` must be sealed at `now_s`, or None if it may linger."""
    if limits.max_bytes is not None and batch.size_bytes >= limits.max_bytes:
        return FlushReason.BYTES
    if limits.max_records is not None and batch.records >= limits.max_records:
        return FlushReason.RECORDS
    return FlushReason.LINGER if now_s >= batch.due_s else None


def _chunk_text(chunk: Chunk, batch: Batch) -> tuple[int, Iterable[bytes | memoryview]]:
    """Return the size of a chunk's text, and the text, to be appended to `batch`.

    The records of an event stay in memory until its end, so their text is made only as it is
    encoded. Records of a program are joined at once, because text takes less memory.
    """
    if chunk.origin.is_event and chunk.text is None and len(chunk):
        return iter_text(chunk, batch.size_bytes)
    texts = join_lines(chunk)
    return sum(map(len, texts)), texts
