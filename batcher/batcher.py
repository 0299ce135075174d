"""Batcher: takes records from any asyncio program and writes them in batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from batcher.batching.batch import Batch, BatchLimits, FlushReason, OpenBatches
from batcher.batching.router import Routed
from batcher.batching.validation import Transform
from batcher.concurrency import shielded
from batcher.encoding.codec import BLOCK_BYTES
from batcher.errors import RetryableError
from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Chunk
from batcher.settings import Settings
from batcher.sources.program import Record, find_unfit, iter_slices, make_chunk
from batcher.stores import ObjectStore
from batcher.stores.custom import CustomStore
from batcher.writing.budget import Budget
from batcher.writing.dispatcher import Dispatcher
from batcher.writing.pending import PendingBatch, PendingState
from batcher.writing.pipeline import Pipeline, choose_store
from batcher.writing.stats import Stats
from batcher.writing.ticket import ManyTicket, OneTicket

ENCODER_THREADS = 2


PRESSURE_FLUSH_DIVISOR = 8
"""If the budget is spent, batches are sealed, largest first, until 1/8 of it is being written."""


class Batcher:
    """Writes records into few, large objects. Use it as `async with Batcher(settings) as batcher`.

    Awaiting the ticket of a submitted record returns its receipt or raises the error. Leaving the
    `async with` writes everything. A failure that no ticket has raised is raised there, or by
    `flush`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: ObjectStore | CustomStore | None = None,
        transform: Transform | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Set up. Nothing connects and no thread starts before the first batch is written.

        Args:
            settings: what to write, and where.
            store: where to write instead. It is closed with the batcher.
            transform: called with each payload as bytes. Returns the new payload (bytes, str or
                dict), or None to filter the record out. It must be deterministic. A record for
                which it raises is a bad record, except for MemoryError and `RetryableError`: those
                are raised by `submit`.
            clock: seconds, monotonic, for lingering.
            wall_clock: seconds since 1970, for arrival times and names.

        Raises:
            TypeError: `transform` is a coroutine function, or takes another number of parameters.
        """
        self.settings = settings
        self.counts = Stats()
        """Totals so far."""
        self.budget = Budget(settings.budget_bytes)
        """Counts the bytes held now, and the most so far."""
        self._pipeline = Pipeline(
            settings,
            choose_store(settings, store, self.counts.count_retry),
            threads=ENCODER_THREADS,
            transform=transform,
            wall_clock=wall_clock,
        )
        self._clock = clock
        self._wall_clock = wall_clock
        self._open_batches = OpenBatches(
            BatchLimits(settings.max_bytes, settings.max_records, settings.linger_s)
        )
        self._pending: dict[Batch, PendingBatch] = {}
        self._failed: list[PendingBatch] = []
        self._dispatcher = Dispatcher(
            self._pipeline.writer, self.counts, settings.concurrency, self._on_failure
        )
        self._timer: asyncio.TimerHandle | None = None
        self._submitted = 0
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<Batcher {self._pipeline.store!r} open={len(self._open_batches)} {self.budget!r}>"

    def __del__(self) -> None:
        """Warn about records that are lost because the batcher was never closed."""
        if getattr(self, "_pending", None) and not self._is_closed:
            import warnings  # noqa: PLC0415  # not needed by correct programs

            records = sum(pending.batch.records for pending in self._pending.values())
            msg = f"{self!r}: never closed, records lost: {records}; use `async with`"
            warnings.warn(msg, ResourceWarning, source=self, stacklevel=1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, or abort if the block was left by a cancellation or an interrupt."""
        if kind is None:
            await self.aclose()
        elif issubclass(kind, Exception):
            try:
                await self.aclose()
            except Exception as failure:  # noqa: BLE001  # the program's own error has priority
                error.add_note(f"batcher: {failure}")  # type: ignore[union-attr]  # there is one
        else:
            await self.abort()

    async def submit(self, record: Record) -> OneTicket:
        """Take one record, waiting only for room. Await the ticket to know that it is durable.

        Raises:
            RuntimeError: the batcher is closed, or was used in another event loop.
            TypeError: the record is no dict, `str` or `bytes`, or JSON cannot represent it.
            RetryableError: the batcher was closed while this waited for room, or the transform
                raised it. The record was not taken.
        """
        pending, routed = await self._accept(*self._make_chunk([record]))
        return OneTicket(pending, routed.bad, routed.rejected)

    async def submit_many(self, records: Iterable[Record]) -> ManyTicket:
        """Take many records in their order. Faster per record than `submit`.

        If it raises or is cancelled, the records before that point may have been taken.

        Raises:
            TypeError: as `submit`, or `records` is itself one record.
        """
        if isinstance(records, str | bytes | bytearray | dict):
            msg = f"submit_many takes an iterable of records, not one {type(records).__name__}"
            raise TypeError(msg)
        pending: list[PendingBatch] = []
        bad: list[BadRecord] = []
        rejected: list[BadRecord] = []
        accepted = 0
        for part in iter_slices(records):
            try:
                chunk, unencodable = self._make_chunk(part)
            except TypeError as error:
                msg = f"record {accepted + find_unfit(part)} of those submitted: {error}"
                raise TypeError(msg) from error
            more, routed = await self._accept(chunk, unencodable)
            accepted += len(part)
            pending += more
            bad += routed.bad
            rejected += routed.rejected
        return ManyTicket(pending, bad, rejected)

    async def submit_chunk(self, chunk: Chunk, bad: Sequence[BadRecord] = ()) -> ManyTicket:
        """Take a chunk that the caller has built with its own positions, like lines of a file.

        Args:
            chunk: payloads of bytes, of one origin.
            bad: records of that origin that the caller has found bad.
        """
        pending, routed = await self._accept(chunk, bad)
        return ManyTicket(pending, routed.bad, routed.rejected)

    async def flush(self) -> None:
        """Seal every open batch and wait for the outcome of every record submitted so far.

        Raises:
            BatcherError: a batch is not durable, and no ticket has raised its error.
        """
        self._check_loop()
        self._submit_sealed(self._open_batches.seal_all(FlushReason.FLUSH))
        await self._wait_for_outcomes()

    async def aclose(self) -> None:
        """Refuse new records, write all that were taken, and release threads and connections.

        Raises:
            BatcherError: as `flush`.
        """
        self._check_loop()
        self._is_closed = True
        self._submit_sealed(self._open_batches.seal_all(FlushReason.DRAIN))
        try:
            await self._wait_for_outcomes()
        finally:
            await self._release()

    async def abort(self) -> None:
        """Refuse new records, drop all that are not durable, and release threads and connections.

        Tickets of dropped records raise `RetryableError`.
        """
        self._check_loop()
        self._is_closed = True
        self._submit_sealed(self._open_batches.seal_all(FlushReason.DRAIN))
        self._dispatcher.cancel()  # before the event loop starts them
        await self._release()

    def _check_loop(self) -> None:
        """Raise if this runs in another event loop than before: futures belong to one loop."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            msg = (
                "this batcher was used in another event loop; create one batcher per event loop, "
                "or call it with asyncio.run_coroutine_threadsafe"
            )
            raise RuntimeError(msg)

    async def _release(self) -> None:
        """Release everything, even if cancelled meanwhile."""
        await shielded(self._close_all())

    async def _close_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._dispatcher.abort()
        await self._pipeline.aclose()

    async def _wait_for_outcomes(self) -> None:
        """Wait for all pending batches. Raise a failure that no ticket has raised or will raise."""
        await self._dispatcher.wait(list(self._pending.values()))
        self._failed = [each for each in self._failed if each.state is PendingState.FAILED]
        unreported = [each for each in self._failed if not each.waiters]
        for pending in unreported:
            pending.mark_reported()
        if unreported:
            error = unreported[0].outcome.exception()
            records = sum(pending.batch.records for pending in unreported)
            if error is not None:
                error.add_note(f"not durable: records={records} batches={len(unreported)}")
                raise error

    def _make_chunk(self, records: Sequence[Record]) -> tuple[Chunk, list[BadRecord]]:
        """Make a chunk of a program's records, positioned after all records before them.

        Returns:
            The chunk, and the records that could not be encoded.
        """
        if self._is_closed:
            msg = "the batcher is closed; submit records inside its `async with`"
            raise RuntimeError(msg)
        chunk, bad = make_chunk(records, self._submitted, self._wall_clock())
        self._submitted += len(records)
        return chunk, bad

    async def _accept(
        self, chunk: Chunk, bad: Sequence[BadRecord]
    ) -> tuple[list[PendingBatch], Routed]:
        """Wait for room, add a chunk to its batches, and submit the batches that are full."""
        self._check_loop()
        routed = self._pipeline.router.route(chunk, bad)
        size_bytes = sum(_text_bytes(part) for _, part in routed.chunks)
        await self.budget.take(size_bytes, self._relieve_pressure)
        if self._is_closed:
            self.budget.adjust(-size_bytes)
            msg = "not written: the batcher was closed while this waited for room; submit it again"
            raise RetryableError(msg)
        self.counts.count_routed(routed)
        now_s = self._clock()
        touched: dict[PendingBatch, int] = {}
        for route, part in routed.chunks:
            for batch, added_bytes in self._open_batches.add(route, part, now_s):
                pending = self._pending.get(batch) or self._add_pending(batch)
                pending.add_held(added_bytes)
                touched[pending] = touched.get(pending, 0) + added_bytes
        if self.settings.linger_s == 0:
            self._open_batches.seal_due(now_s)
        for pending in touched:
            if pending.batch.seal_reason is not None:
                self._submit_sealed([pending.batch])
            elif pending.batch.unencoded_bytes >= BLOCK_BYTES:
                self._dispatcher.stream(pending)
        self._set_timer(now_s)
        return [pending for pending, added_bytes in touched.items() if added_bytes], routed

    def _add_pending(self, batch: Batch) -> PendingBatch:
        pending = PendingBatch(batch, self.budget, self._pipeline.next_uuid())
        pending.outcome.add_done_callback(lambda _: self._pending.pop(batch, None))
        self._pending[batch] = pending
        return pending

    def _submit_sealed(self, batches: Iterable[Batch]) -> None:
        """Submit sealed batches for writing, each once."""
        for batch in batches:
            pending = self._pending.get(batch)
            if pending is not None and not pending.is_submitted:
                self._dispatcher.submit(pending)

    def _relieve_pressure(self, short_bytes: int) -> None:
        """Seal open batches, the largest first, unless enough bytes are being written already."""
        idle = {batch: self._pending[batch].idle_bytes for batch in self._open_batches}
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
        self._failed.append(pending)
        if pending.batch.seal_reason is None:
            self._open_batches.seal(pending.batch, FlushReason.FAILURE)
            self.counts.flushes[FlushReason.FAILURE] += 1


def _text_bytes(chunk: Chunk) -> int:
    """Return the bytes of a chunk's text: its payloads, bytes here, and one newline each."""
    return len(chunk.text) if chunk.text is not None else chunk.total_length + len(chunk)
