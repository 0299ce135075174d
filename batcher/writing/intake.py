"""Intake: adds chunks to batches within the budget, and submits batches that must be flushed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from batcher.batching.batch import Batch, BatchLimits, FlushReason, OpenBatches
from batcher.encoding.codec import BLOCK_BYTES
from batcher.errors import BudgetFullError, RetryableError, own_copy
from batcher.records.columns import NumbersColumn
from batcher.records.numbers import position_numbers
from batcher.writing.dispatcher import Dispatcher
from batcher.writing.pending import PendingBatch, PendingState

if TYPE_CHECKING:
    from batcher.batching.router import Routed
    from batcher.records.bad_record import BadRecord
    from batcher.records.chunk import Chunk
    from batcher.writing.budget import Budget
    from batcher.writing.pipeline import Pipeline
    from batcher.writing.stats import Stats
    from batcher.writing.ticket import Share

PRESSURE_FLUSH_DIVISOR = 8
"""If the budget is spent, batches are sealed, largest first, until 1/8 of it is being written."""


class Intake:
    """Holds the batches of a program: from a chunk that is taken until an outcome is known."""

    def __init__(
        self, pipeline: Pipeline, stats: Stats, budget: Budget, clock: Callable[[], float]
    ) -> None:
        """Start without batches.

        Args:
            pipeline: routes chunks and writes batches.
            stats: counts records and outcomes.
            budget: limits the bytes held.
            clock: seconds, monotonic, for lingering.
        """
        settings = pipeline.settings
        self.budget: Budget = budget
        self.pending: dict[Batch, PendingBatch] = {}
        """Batches without an outcome, open ones included."""
        self.failed: list[PendingBatch] = []
        """Batches that failed. The owner drops those whose error was raised."""
        self.is_closed: bool = False
        """Whether no more chunks are taken. The owner sets it."""
        self.dispatcher: Dispatcher = Dispatcher(
            pipeline.writer, stats, settings.concurrency, self._on_failure
        )
        self._pipeline = pipeline
        self._stats = stats
        self._clock = clock
        self._limits = BatchLimits(settings.max_bytes, settings.max_records, settings.linger_s)
        self._open_batches = OpenBatches(self._limits)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def open_batches(self) -> int:
        """How many batches take records."""
        return len(self._open_batches)

    async def take(self, chunk: Chunk, bad: Sequence[BadRecord]) -> tuple[list[Share], Routed]:
        """Wait for room, and add a chunk to its batches.

        Raises:
            RetryableError: this was closed meanwhile, or the transform raised it.
        """
        routed = self._route(chunk, bad)
        size_bytes = self._size_bytes(routed)
        await self.budget.take(size_bytes, self._relieve_pressure)
        if self.is_closed:
            self.budget.adjust(-size_bytes)
            msg = "not written: the batcher was closed while this waited for room; submit it again"
            raise RetryableError(msg)
        return self._add(chunk, routed), routed

    def take_nowait(self, chunk: Chunk, bad: Sequence[BadRecord]) -> tuple[list[Share], Routed]:
        """Add a chunk to its batches if there is room.

        Raises:
            BudgetFullError: there is no room. Batches are sealed and written to make some.
            RetryableError: the transform raised it.
        """
        routed = self._route(chunk, bad)
        size_bytes = self._size_bytes(routed)
        if size_bytes and not self.budget.take_nowait(size_bytes):
            self._relieve_pressure(self.budget.held_bytes + size_bytes - self.budget.limit_bytes)
            msg = (
                f"submit_nowait: no room for {size_bytes} bytes, {self.budget.held_bytes} of "
                f"budget_bytes={self.budget.limit_bytes} are held; submit the record later, or by "
                "`await submit(...)`, which waits for room"
            )
            raise BudgetFullError(msg)
        return self._add(chunk, routed), routed

    def seal_all(self, reason: FlushReason) -> None:
        """Seal and submit all open batches."""
        self._submit_sealed(self._open_batches.seal_all(reason))

    async def wait_for_outcomes(self) -> None:
        """Wait for all pending batches. Raise a failure that no ticket has raised or will raise."""
        await self.dispatcher.wait(list(self.pending.values()))
        self.failed = [each for each in self.failed if each.state is PendingState.FAILED]
        unreported = [each for each in self.failed if not each.waiters]
        for pending in unreported:
            pending.mark_reported()
        if unreported:
            failure = unreported[0].outcome.exception()
            records = sum(pending.batch.records for pending in unreported)
            if failure is not None:
                error = own_copy(failure)
                error.add_note(f"not durable: records={records} batches={len(unreported)}")
                raise error

    def stop_timer(self) -> None:
        """Seal no more batches that have lingered."""
        if self._timer is not None:
            self._timer.cancel()

    def _route(self, chunk: Chunk, bad: Sequence[BadRecord]) -> Routed:
        """Transform, validate and route a chunk."""
        positions = _all_positions(chunk, bad, _position_prefix(chunk))
        return self._pipeline.router.route(chunk, bad, positions)

    def _size_bytes(self, routed: Routed) -> int:
        """Return what routed records take of the budget, as if each chunk opened a batch."""
        charge_bytes = len(routed.chunks) * self.budget.batch_bytes
        return charge_bytes + sum(_text_bytes(part) for _, part in routed.chunks)

    def _add(self, chunk: Chunk, routed: Routed) -> list[Share]:
        """Add a chunk, whose bytes are taken, to its batches, and submit those that are full."""
        self.budget.adjust(-len(routed.chunks) * self.budget.batch_bytes)  # opening takes it again
        prefix = _position_prefix(chunk)
        self._stats.count_routed(routed)
        now_s = self._clock()
        touched: dict[PendingBatch, None] = {}
        shares: list[Share] = []
        for route, part in routed.chunks:
            numbers = position_numbers(part.positions, prefix)
            added = self._open_batches.add(route, part, now_s)
            for batch, added_bytes in added:
                pending = self.pending.get(batch) or self._add_pending(batch)
                pending.add_held(added_bytes)
                touched[pending] = None
            first, stop = len(shares), len(numbers)
            for batch, added_bytes in reversed(added):
                if added_bytes:
                    start = max(0, stop - batch.records)  # only the first had records before
                    shares.insert(first, (self.pending[batch], numbers[start:stop]))
                    stop = start
        if self._limits.linger_s == 0:
            self._open_batches.seal_due(now_s)
        for pending in touched:
            if pending.batch.seal_reason is not None:
                self._submit_sealed([pending.batch])
            elif pending.batch.unencoded_bytes >= BLOCK_BYTES:
                self.dispatcher.stream(pending)
        self._set_timer(now_s)
        return shares

    def _add_pending(self, batch: Batch) -> PendingBatch:
        """Track a new batch, and charge the budget for it."""
        pending = PendingBatch(batch, self.budget, self._pipeline.next_uuid())
        pending.replace_held(0, self.budget.batch_bytes)
        pending.outcome.add_done_callback(lambda _: self.pending.pop(batch, None))
        self.pending[batch] = pending
        return pending

    def _submit_sealed(self, batches: Iterable[Batch]) -> None:
        """Submit sealed batches for writing, each once."""
        for batch in batches:
            pending = self.pending.get(batch)
            if pending is not None and not pending.is_submitted:
                self.dispatcher.submit(pending)

    def _relieve_pressure(self, short_bytes: int) -> None:
        """Seal open batches, the largest first, unless enough bytes are being written already."""
        idle = {batch: self.pending[batch].idle_bytes for batch in self._open_batches}
        leaving_bytes = self.budget.held_bytes - sum(idle.values())
        if leaving_bytes >= short_bytes:
            return
        wanted_bytes = max(short_bytes, self.budget.limit_bytes // PRESSURE_FLUSH_DIVISOR)
        for batch in sorted(idle, key=idle.__getitem__, reverse=True):
            if leaving_bytes >= wanted_bytes:
                break
            leaving_bytes += idle[batch]
            self._open_batches.seal(batch, FlushReason.PRESSURE)
            self._submit_sealed([batch])

    def _set_timer(self, now_s: float) -> None:
        """Set the timer for the oldest open batch, unless it is set."""
        if self._timer is not None:
            return  # it sets itself for the next batch when it fires
        due_s = self._open_batches.next_due_s()
        if due_s != float("inf"):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due_s - now_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now_s = self._clock()
        self._submit_sealed(self._open_batches.seal_due(now_s))
        self._set_timer(now_s)

    def _on_failure(self, pending: PendingBatch) -> None:
        """Keep a failed batch until its error is raised, and close it to further records."""
        self.failed.append(pending)
        if pending.batch.seal_reason is None:
            self._open_batches.seal(pending.batch, FlushReason.FAILURE)
            self._stats.count_flush(pending.batch)


def _all_positions(chunk: Chunk, bad: Sequence[BadRecord], prefix: str) -> Sequence[str]:
    """Return the positions of a chunk and of bad records by their numbers, which follow `prefix`.

    Without bad records, nothing: the chunk has them in order.
    """
    if not bad:
        return ()
    positions = [*chunk.positions, *(record.position for record in bad)]
    return sorted(positions, key=lambda position: int(position[len(prefix) :]))


def _position_prefix(chunk: Chunk) -> str:
    """Return what the numbers in the positions of a chunk follow."""
    return chunk.positions.prefix if isinstance(chunk.positions, NumbersColumn) else ""


def _text_bytes(chunk: Chunk) -> int:
    """Return the bytes of a chunk's text: its payloads, bytes here, and one newline each."""
    return len(chunk.text) if chunk.text is not None else chunk.total_length + len(chunk)
