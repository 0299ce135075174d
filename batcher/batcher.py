"""Batcher: admits records of any asyncio program, lets them linger, and drains."""

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
from batcher.encoding.codec import MEMBER_BYTES
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
"""Under pressure batches are sealed, largest first, until an eighth of the budget is leaving."""


class Batcher:
    """Writes records into few, large objects; use it as `async with Batcher(settings) as batcher`.

    Every record that `submit` has taken ends as a receipt of its ticket, or as the error that says
    why not. Leaving the `async with` drains; a failure that no ticket's owner has heard of is
    raised there, or by `flush`, at the latest.
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
        """Set up; nothing is opened before the `async with`.

        Args:
            settings: what to write, and where.
            store: where to write instead; it is closed with the batcher.
            transform: gives, for a payload as bytes, a new one (bytes, str or dict), or None to
                leave the record out; must be deterministic. A record on which it raises is bad.
            clock: seconds, for lingering; never goes back.
            wall_clock: seconds since 1970, for arrival times and names.
        """
        self.settings = settings
        self.counts = Stats()
        """What has happened so far."""
        self.budget = Budget(settings.budget_bytes)
        """The bytes held now, and at most so far."""
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
        """Warn of records that nobody will write any more, as asyncio does of its own things."""
        if getattr(self, "_pending", None) and not self._is_closed:
            import warnings  # noqa: PLC0415  # where all is well, nothing is warned of

            records = sum(flight.batch.records for flight in self._pending.values())
            msg = f"{records} records are lost, for {self!r} was never closed: use `async with`"
            warnings.warn(msg, ResourceWarning, source=self, stacklevel=1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain; a cancellation or an interrupt aborts instead."""
        if kind is None:
            await self.aclose()
        elif issubclass(kind, Exception):
            try:
                await self.aclose()
            except Exception as failure:  # noqa: BLE001  # the program's own error goes first
                error.add_note(f"batcher: {failure}")  # type: ignore[union-attr]  # there is one
        else:
            await self.abort()

    async def submit(self, record: Record) -> OneTicket:
        """Admit one record, and wait only for room; `await` the ticket to know it is durable.

        Raises:
            RuntimeError: the batcher is closed, or has been used in another event loop.
            TypeError: it is no dict, `str` or `bytes`, or holds what JSON has no form for.
        """
        flights, admitted = await self._accept(*self._make_chunk([record]))
        return OneTicket(flights, admitted.bad, admitted.rejected)

    async def submit_many(self, records: Iterable[Record]) -> ManyTicket:
        """Admit many records in their order, the fast way in; see `submit`.

        When it raises, or is cancelled, records before that point may have been admitted.

        Raises:
            TypeError: as `submit`, or `records` is itself one record.
        """
        if isinstance(records, str | bytes | bytearray | dict):
            msg = f"submit_many takes an iterable of records, not one {type(records).__name__}"
            raise TypeError(msg)
        flights: list[PendingBatch] = []
        bad: list[BadRecord] = []
        refused: list[BadRecord] = []
        taken = 0
        for part in iter_slices(records):
            try:
                run, odd = self._make_chunk(part)
            except TypeError as error:
                msg = f"record {taken + find_unfit(part)} of those submitted: {error}"
                raise TypeError(msg) from error
            more, admitted = await self._accept(run, odd)
            taken += len(part)
            flights += more
            bad += admitted.bad
            refused += admitted.rejected
        return ManyTicket(flights, bad, refused)

    async def submit_run(self, run: Chunk, bad: Sequence[BadRecord] = ()) -> ManyTicket:
        """Admit a run that the caller has built, with positions of its own: lines of a file.

        Args:
            run: payloads of bytes, of one origin.
            bad: records of that origin that the caller has found bad.
        """
        flights, admitted = await self._accept(run, bad)
        return ManyTicket(flights, admitted.bad, admitted.rejected)

    async def flush(self) -> None:
        """Seal every open batch, and wait until the outcome of all that was submitted is known.

        Raises:
            BatcherError: something is not durable, and no ticket's owner has heard of it.
        """
        self._check_loop()
        self._submit_sealed(self._open_batches.seal_all(FlushReason.FLUSH))
        await self._wait_for_outcomes()

    async def aclose(self) -> None:
        """Refuse new records, write all that were admitted, and let go of everything.

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
        """Refuse new records, drop all that is not durable yet, and let go of everything.

        Tickets of what was dropped raise `RetryableError`.
        """
        self._check_loop()
        self._is_closed = True
        self._submit_sealed(self._open_batches.seal_all(FlushReason.DRAIN))
        self._dispatcher.cancel()  # before the loop lets them begin
        await self._release()

    def _check_loop(self) -> None:
        """Belong to the event loop that this runs in; futures and connections are one loop's."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            msg = (
                "this batcher has been used in another event loop, and belongs to it: make one a "
                "loop, or call it by asyncio.run_coroutine_threadsafe"
            )
            raise RuntimeError(msg)

    async def _release(self) -> None:
        """Let go of everything, even when cancelled meanwhile."""
        await shielded(self._close_all())

    async def _close_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._dispatcher.abort()
        await self._pipeline.aclose()

    async def _wait_for_outcomes(self) -> None:
        """Wait for all flights; raise a failure that nobody has heard of."""
        await self._dispatcher.wait(list(self._pending.values()))
        self._failed = [each for each in self._failed if each.state is PendingState.FAILED]
        unreported = [each for each in self._failed if not each.waiters]
        for pending in unreported:
            pending.mark_reported()
        if unreported:
            error = unreported[0].outcome.exception()
            records = sum(pending.batch.records for pending in unreported)
            if error is not None:
                error.add_note(f"{records} records in {len(unreported)} batches are not durable")
                raise error

    def _make_chunk(self, records: Sequence[Record]) -> tuple[Chunk, list[BadRecord]]:
        """Make a run of a program's records; those after it have other positions."""
        if self._is_closed:
            msg = "the batcher is closed; records are taken inside its `async with` only"
            raise RuntimeError(msg)
        run, odd = make_chunk(records, self._submitted, self._wall_clock())
        self._submitted += len(records)
        return run, odd

    async def _accept(
        self, chunk: Chunk, bad: Sequence[BadRecord]
    ) -> tuple[list[PendingBatch], Routed]:
        """Take a run in: wait for room, add it to its batches, and send off what is full."""
        self._check_loop()
        admitted = self._pipeline.router.route(chunk, bad)
        size_bytes = sum(_text_bytes(part) for _, part in admitted.chunks)
        await self.budget.take(size_bytes, self._relieve_pressure)
        if self._is_closed:
            self.budget.adjust(-size_bytes)
            msg = "not written: the batcher was closed while this waited for room"
            raise RetryableError(msg)
        self.counts.count_routed(admitted)
        now_s = self._clock()
        touched: dict[PendingBatch, int] = {}
        for route, part in admitted.chunks:
            for batch, added_bytes in self._open_batches.add(route, part, now_s):
                flight = self._pending.get(batch) or self._add_pending(batch)
                flight.add_held(added_bytes)
                touched[flight] = touched.get(flight, 0) + added_bytes
        if self.settings.linger_s == 0:
            self._open_batches.seal_due(now_s)
        for flight in touched:
            if flight.batch.seal_reason is not None:
                self._submit_sealed([flight.batch])
            elif flight.batch.unencoded_bytes >= MEMBER_BYTES:
                self._dispatcher.stream(flight)
        self._set_timer(now_s)
        return [flight for flight, added in touched.items() if added], admitted

    def _add_pending(self, batch: Batch) -> PendingBatch:
        flight = self._pending[batch] = PendingBatch(batch, self.budget, self._pipeline.next_uuid())
        flight.outcome.add_done_callback(lambda _: self._pending.pop(batch, None))
        return flight

    def _submit_sealed(self, batches: Iterable[Batch]) -> None:
        """Send sealed batches off, each once."""
        for batch in batches:
            flight = self._pending.get(batch)
            if flight is not None and not flight.is_submitted:
                self._dispatcher.submit(flight)

    def _relieve_pressure(self, short_bytes: int) -> None:
        """Set bytes on their way out, the largest open batch first, unless enough are leaving."""
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
        """Wake when the oldest open batch is due."""
        if self._timer is not None:
            return  # it looks at the next one when it goes off
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
        """Note a failure until somebody hears of it; a failed batch takes no more records."""
        self._failed.append(pending)
        if pending.batch.seal_reason is None:
            self._open_batches.seal(pending.batch, FlushReason.FAILURE)
            self.counts.flushes[FlushReason.FAILURE] += 1


def _text_bytes(chunk: Chunk) -> int:
    """Bytes of the run's text: its payloads, which are bytes here, and a newline each."""
    return len(chunk.text) if chunk.text is not None else chunk.total_length + len(chunk)
