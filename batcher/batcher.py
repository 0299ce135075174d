"""Batcher: takes records from any asyncio program and writes them in batches."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import warnings
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batcher.batching.batch import FlushReason
from batcher.batching.validation import Transform
from batcher.concurrency import find_running_loop, shielded
from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Chunk
from batcher.records.payload import JsonDefault, Record
from batcher.settings import Settings
from batcher.sources.program import (
    CHUNK_BYTES,
    CHUNK_PARTITIONS,
    CHUNK_RECORDS,
    ProgramRecords,
    Slicer,
    make_chunk,
    to_sized,
)
from batcher.stores import ObjectStore
from batcher.stores.custom import CustomStore
from batcher.writing.async_records import AsyncRecords
from batcher.writing.budget import Budget
from batcher.writing.early_leave import DRAIN_TIMEOUT_S, EarlyLeave, OnCancel
from batcher.writing.intake import PRESSURE_FLUSH_DIVISOR, Intake
from batcher.writing.pipeline import Pipeline, choose_store, find_instruments, make_stats
from batcher.writing.stats import Stats
from batcher.writing.ticket import ManyTicket, OneTicket

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from batcher.writing.object import Receipt
    from batcher.writing.ticket import Ticket

ENCODER_THREADS = 2


_LOGGER = logging.getLogger("batcher")


class Batcher:
    """Writes records into few, large objects. Use it as `async with Batcher(settings) as batcher`.

    Awaiting the ticket of a submitted record returns its receipt or raises the error. Leaving the
    `async with` writes everything. A failure that no ticket has raised is raised there, or by
    `flush`. Leaving it by a cancellation, `KeyboardInterrupt` or `SystemExit` drops what is not
    durable, or writes it first if `on_cancel` is `drain`. The logger `batcher` gets a warning with
    the number of records that are not durable.
    """

    def __init__(  # noqa: PLR0913  # all but one are optional and have names
        self,
        settings: Settings,
        *,
        store: ObjectStore | CustomStore | None = None,
        transform: Transform | None = None,
        default: JsonDefault | None = None,
        on_cancel: OnCancel = "abort",
        drain_timeout_s: float = DRAIN_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """Set up. Nothing connects and no thread starts before the first batch is written.

        Args:
            settings: what to write, and where.
            store: where to write instead. It is closed with the batcher.
            transform: called with each payload as bytes. Returns the new record, as `submit` takes
                it, or None to filter it out. It must be deterministic. A record for
                which it raises is a bad record, except for MemoryError and `RetryableError`: those
                are raised by `submit`.
            default: called with each value in a record that JSON lacks, as by `json.dumps`. Returns
                another value, which may hold such values again. Not called for Decimal, dates and
                times, UUID, enums, sets, paths, mappings, named tuples, dataclasses, pydantic
                models, numpy arrays and scalars: those are converted anyway. It is also called for
                the results of `transform`.
            on_cancel: what leaving the `async with` by a cancellation or an interrupt does. `abort`
                drops what is not durable. `drain` writes it, for at most `drain_timeout_s`, and
                drops the rest. A second cancellation ends the drain.
            drain_timeout_s: seconds, above 0.
            clock: seconds, monotonic, for lingering.
            wall_clock: seconds since 1970, for arrival times and names.
            meter_provider: of OpenTelemetry. None: the program's global one, if it has imported
                OpenTelemetry before.
            tracer_provider: the same.

        Raises:
            TypeError: `settings` or `store` is none; `transform` or `default` is a coroutine
                function, or takes another number of parameters.
            ValueError: `on_cancel` or `drain_timeout_s` has another value.
        """
        if not isinstance(settings, Settings):
            msg = f"settings: a {type(settings).__name__} is no Settings; give Settings(...)"
            raise TypeError(msg)
        if isinstance(store, str | type):
            msg = f"store: {store!r} is no store; give an object, or set bucket and leave this out"
            raise TypeError(msg)
        if default is not None:
            from batcher.batching.transform import check_default  # noqa: PLC0415  # rarely used

            check_default(default)
        self._default = default
        self.settings = settings
        instruments = find_instruments(
            settings, store, meter_provider, tracer_provider, has_callers=False
        )
        self.counts: Stats = make_stats(instruments)
        """Totals so far."""
        self.budget: Budget = Budget(settings.budget_bytes)
        """Counts the bytes held now, and the most so far."""
        self._pipeline = Pipeline(
            settings,
            choose_store(settings, store, self.counts.count_retry),
            threads=ENCODER_THREADS,
            transform=transform,
            default=default,
            wall_clock=wall_clock,
            instruments=instruments,
        )
        self._wall_clock = wall_clock
        self._slicer = Slicer(partitioned=self._pipeline.router.splits_records)
        self._intake = Intake(self._pipeline, self.counts, self.budget, clock)
        self._early_leave = EarlyLeave(self._intake, on_cancel, drain_timeout_s)
        self._submitted = 0
        self._process_id = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        open_batches = self._intake.open_batches
        return f"<Batcher {self._pipeline.store!r} open={open_batches} {self.budget!r}>"

    def __del__(self) -> None:
        """Warn about records that are lost because the batcher was never closed."""
        intake: Intake | None = getattr(self, "_intake", None)
        is_lost = intake is not None and intake.pending and not intake.is_closed
        if intake is not None and is_lost and os.getpid() == self._process_id:  # no forked copy
            records = sum(pending.batch.records for pending in intake.pending.values())
            msg = f"{self!r}: never closed, records lost: {records}; use `async with`"
            _LOGGER.warning(msg)  # Python hides ResourceWarning by default
            warnings.warn(msg, ResourceWarning, source=self, stacklevel=1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, or do as `on_cancel` says if the block was left by a cancellation or interrupt."""
        if kind is None:
            await self.aclose()
        elif issubclass(kind, Exception):
            try:
                await self.aclose()
            except Exception as failure:  # noqa: BLE001  # the program's own error has priority
                error.add_note(f"batcher: {failure}")  # type: ignore[union-attr]  # there is one
        else:
            await self._leave_early(kind)

    async def submit(self, record: Record) -> Ticket[Receipt]:
        """Take one record, waiting only for room. Await the ticket to know that it is durable.

        Raises:
            RuntimeError: the batcher is closed, or was used in another event loop.
            TypeError: the record is none, or JSON cannot represent it. The message names the field
                (`user.tags[1]: ...`), and the cause is what `default` raised.
            RetryableError: the batcher was closed while this waited for room, or the transform or
                `default` raised it. The record was not taken.
        """
        first = self._submitted
        chunk, bad, error = self._make_chunk([record])
        if error is not None:
            raise error.with_traceback(None)
        self._check_loop()
        shares, routed = await self._intake.take(chunk, bad)
        return OneTicket(shares, routed.bad, routed.rejected, first=first, records=1)

    def submit_nowait(self, record: Record) -> Ticket[Receipt]:
        """Take one record without waiting. Call it in a coroutine or a callback of the event loop.

        Raises:
            BudgetFullError: there is no room, or others wait for room. Nothing of the record was
                kept. Open batches are now written, so that there will be room.
            RuntimeError: the batcher is closed, or this was called outside of its event loop.
            TypeError: as `submit`.
            RetryableError: the transform or `default` raised it. The record was not taken.
        """
        self._check_loop()
        first = self._submitted
        chunk, bad, error = self._make_chunk([record])
        if error is not None:
            raise error.with_traceback(None)
        shares, routed = self._intake.take_nowait(chunk, bad)
        return OneTicket(shares, routed.bad, routed.rejected, first=first, records=1)

    async def submit_many(
        self, records: Iterable[Record] | AsyncIterable[Record]
    ) -> Ticket[list[Receipt]]:
        """Take many records in their order. Faster per record than `submit`.

        The error of the ticket says which records are not durable: `error.failed` has their
        indices in `records`.

        If this raises or is cancelled, the exception has the ticket of the records that were taken
        before as `error.ticket`. These are the first `error.ticket.records` ones. Of an iterable
        that raises, and before a record that JSON cannot represent, all records before the error
        are taken. `asyncio.timeout` raises its error from
        the exception that has the ticket: `error.__cause__`.

        Of an async iterable no record waits for the next one: it lingers in its batch from when it
        came. It is read in the caller's task. It is not read on while its records wait for room.

        Raises:
            RuntimeError, RetryableError: as `submit`.
            TypeError: as `submit`, with the index of the record, or `records` is itself one record.
        """
        ticket = ManyTicket([], [], [])
        try:
            if isinstance(records, AsyncIterable):
                await self._submit_async(records, ticket)
            else:
                for part in self.iter_slices(records):
                    await self.submit_slice(part, ticket)
        except BaseException as error:
            attach_ticket(error, ticket)
            raise
        return ticket

    async def _submit_async(self, records: AsyncIterable[Record], ticket: ManyTicket) -> None:
        """Take what an async iterable yields, at the latest when it waits."""

        async def submit(part: Sequence[Record]) -> None:
            await self.submit_slice(part, ticket)

        def prepare(record: Record, waiting: int) -> Record:
            try:
                return to_sized(record, self._default)
            except TypeError as error:
                msg = f"record {ticket.records + waiting} of those submitted: {error}"
                raise TypeError(msg) from error.__cause__

        splits = self._pipeline.router.splits_records
        await AsyncRecords(
            submit,
            prepare,
            max_records=CHUNK_PARTITIONS if splits else CHUNK_RECORDS,
            max_bytes=min(CHUNK_BYTES, self.budget.limit_bytes // PRESSURE_FLUSH_DIVISOR),
        ).submit_all(records)

    def iter_slices(self, records: Iterable[Record]) -> Iterator[Sequence[Record]]:
        """Cut records into slices for `submit_slice`. Reads `records` in the caller's thread.

        Raises:
            TypeError: `records` is itself one record.
        """
        if isinstance(records, str | bytes | bytearray | Mapping):
            msg = f"submit_many takes an iterable of records, not one {type(records).__name__}"
            raise TypeError(msg)
        if isinstance(records, AsyncIterable) and not isinstance(records, Iterable):
            msg = "submit_many takes an iterable of records here; for an async one use Batcher"
            raise TypeError(msg)
        return self._slicer.iter_slices(records)

    async def submit_slice(self, records: Sequence[Record], ticket: ManyTicket) -> None:
        """Take the next records of a ticket. If this raises, `ticket` does not cover them.

        Before a record that JSON cannot represent, all are taken, and `ticket` covers them.

        Raises:
            RuntimeError, TypeError, RetryableError: as `submit_many`.
        """
        first = self._submitted
        chunk, bad, error = self._make_chunk(records)
        if chunk.payloads is not records:
            self._slicer.note_size(len(chunk), sum(map(len, chunk.payloads)))
        taken = len(chunk) + len(bad)
        if taken:
            self._check_loop()
            shares, routed = await self._intake.take(chunk, bad)
            ticket.add(shares, routed.bad, routed.rejected, first=first, records=taken)
        if error is not None:
            msg = f"record {ticket.records} of those submitted: {error}"
            raise TypeError(msg) from error.__cause__

    async def submit_chunk(self, chunk: Chunk, bad: Sequence[BadRecord] = ()) -> ManyTicket:
        """Take a chunk that the caller has built with its own positions, like lines of a file.

        `error.failed` of the ticket has the numbers in the positions, not indices.

        Args:
            chunk: payloads of bytes, of one origin. Its positions are numbered: a `RangeColumn`.
            bad: records of that origin that the caller has found bad.
        """
        self._check_loop()
        shares, routed = await self._intake.take(chunk, bad)
        return ManyTicket(shares, routed.bad, routed.rejected, records=len(chunk) + len(bad))

    async def flush(self) -> None:
        """Seal every open batch and wait for the outcome of every record submitted so far.

        Raises:
            BatcherError: a batch is not durable, and no ticket has raised its error.
        """
        self._check_loop()
        self._intake.seal_all(FlushReason.FLUSH)
        await self._intake.wait_for_outcomes()

    async def aclose(self) -> None:
        """Refuse new records, write all that were taken, and release threads and connections.

        If this is cancelled, it does as leaving the `async with` by a cancellation does.

        Raises:
            BatcherError: as `flush`.
        """
        self._stop_taking()
        try:
            await self._intake.wait_for_outcomes()
        except Exception:
            await self._release()
            raise
        except BaseException as error:
            await self._leave_early(type(error))
            raise
        await self._release()

    async def abort(self) -> None:
        """Refuse new records, drop all that are not durable, and release threads and connections.

        Tickets of dropped records raise `RetryableError`.
        """
        self._stop_taking()
        self._intake.dispatcher.cancel()  # before the event loop starts them
        await self._release()

    def _stop_taking(self) -> None:
        """Refuse new records, and submit all open batches."""
        self._check_loop()
        self._intake.is_closed = True
        self._intake.seal_all(FlushReason.DRAIN)

    async def _leave_early(self, kind: type[BaseException]) -> None:
        """Abort, or drain for a time first, after a cancellation or an interrupt."""
        with self._early_leave.dropped_counted(kind):
            loop = find_running_loop()
            if kind is GeneratorExit and (loop is None or loop is not self._loop):
                self._intake.is_closed = True  # the loop has ended: nothing can be awaited
                return
            self._stop_taking()
            try:
                await self._early_leave.drain()
            finally:
                await self.abort()

    def _check_loop(self) -> None:
        """Raise if this runs in another event loop than before: futures belong to one loop."""
        loop = find_running_loop()
        if loop is None:
            msg = (
                "no event loop runs in this thread; call the batcher in a coroutine, from another "
                "thread with loop.call_soon_threadsafe, or use SyncBatcher"
            )
            raise RuntimeError(msg)
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
        self._intake.stop_timer()
        await self._intake.dispatcher.abort()
        await self._pipeline.aclose()

    def _make_chunk(self, records: Sequence[Record]) -> ProgramRecords:
        """Make a chunk of a program's records, positioned after all records before them."""
        if self._intake.is_closed:
            msg = "the batcher is closed; submit records inside its `async with`"
            raise RuntimeError(msg)
        made = make_chunk(records, self._submitted, self._wall_clock(), self._default)
        self._submitted += len(made.chunk) + len(made.bad)
        return made


def attach_ticket(error: BaseException, ticket: object) -> None:
    """Set `error.ticket`, unless it is an exception without a `__dict__`."""
    with suppress(AttributeError):
        error.ticket = ticket  # type: ignore[attr-defined]
