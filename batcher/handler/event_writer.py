"""Delivery: one event's records into objects, all sealed at its end; a ledger tells how it went."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from batcher.batching.batch import Batch, BatchLimits, FlushReason, OpenBatches
from batcher.errors import BatcherError, PoisonRecordError, RejectedError, RetryableError
from batcher.records.bad_record import BadRecordReason
from batcher.records.chunk import NamingScheme
from batcher.sources.event import Ledger
from batcher.writing.budget import Budget
from batcher.writing.dispatcher import Dispatcher
from batcher.writing.object import choose_format
from batcher.writing.pending import PendingBatch
from batcher.writing.stats import Stats

if TYPE_CHECKING:
    from batcher.batching.router import Routed, Router
    from batcher.records.bad_record import BadRecord
    from batcher.records.chunk import Chunk
    from batcher.settings import Settings
    from batcher.sources import Event
    from batcher.writing.object import Receipt
    from batcher.writing.pipeline import Pipeline


class EventResult(Struct):
    """How the delivery of one event ended."""

    ledger: Ledger
    receipts: list[Receipt] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    """Why records are not durable, one error an object or refused record."""
    timed_out: bool = False
    """Whether the deadline ended it."""


def plan_batches(
    event: Event, router: Router, settings: Settings
) -> tuple[list[Batch], list[Routed]]:
    """Decide which batches an event becomes, all sealed; pure.

    A stream's are one a partition, whatever the limits. A queue's are kept within the limits; the
    same set of messages makes the same batches whatever order it comes in.

    Raises:
        RetryableError: a stream's event does not fit the budget, so nothing of it is written.
    """
    bad: dict[object, list[BadRecord]] = defaultdict(list)
    for record in event.bad:
        bad[record.chunk.origin].append(record)
    unlimited = OpenBatches(BatchLimits())
    limited = OpenBatches(BatchLimits(settings.max_bytes, settings.max_records))
    batches: dict[Batch, None] = {}
    decisions = []
    for run in event.chunks:
        admitted = router.route(run, bad.pop(run.origin, ()), event.positions)
        decisions.append(admitted)
        for route, part in admitted.chunks:
            ordered = part
            has_limits = not event.all_or_nothing and choose_format(route, settings).limited
            open_batches = limited if has_limits else unlimited
            if open_batches is limited and _may_exceed_limits(part, settings):
                ordered = _sort_by_message_id(part)
            for batch, _ in open_batches.add(route, ordered, 0.0):
                batches[batch] = None
    for open_batches in (unlimited, limited):
        open_batches.seal_all(FlushReason.EVENT)
    size_bytes = sum(batch.size_bytes for batch in batches)
    if event.all_or_nothing and size_bytes > settings.budget_bytes:
        msg = (
            f"an event of {size_bytes} payload bytes does not fit budget_bytes "
            f"({settings.budget_bytes}), so nothing of it was written: give the function more "
            "memory, raise budget_bytes, or lower the mapping's batch size"
        )
        raise RetryableError(msg)
    return list(batches), decisions


class EventWriter:
    """Delivers event after event, with the parts that live as long as the environment."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Route and write by `pipeline`.

        Args:
            pipeline: stays the caller's, who closes it.
            clock: seconds since 1970, the clock of arrival times.
        """
        self._pipeline = pipeline
        self._settings = pipeline.settings
        self._clock = clock
        self.stats = Stats()
        """What has happened since this was put here: who wants an event's own, puts a new one."""

    async def write(self, event: Event, deadline_s: float | None) -> EventResult:
        """Write an event's records, until all outcomes are known or the deadline is there.

        Args:
            event: what was read.
            deadline_s: when to stop, on the event loop's clock; None: never. What is not durable
                then is cancelled, and nothing of it is left.
        """
        delivered = EventResult(Ledger(event.positions))
        batches, decisions = plan_batches(event, self._pipeline.router, self._settings)
        for admitted in decisions:
            self.stats.count_routed(admitted)
            for run in admitted.excluded:
                delivered.ledger.settle(run.positions)
            for bad in admitted.rejected:
                delivered.errors.append(PoisonRecordError(bad.reason, bad.detail, bad.position))
        dispatch = Dispatcher(
            self._pipeline.writer, self.stats, self._settings.concurrency, clock=self._clock
        )
        flights: list[PendingBatch] = []
        try:
            async with asyncio.timeout_at(deadline_s):
                if _is_past(deadline_s):
                    raise TimeoutError  # noqa: TRY301  # nothing is begun
                await self._submit_all(batches, dispatch, flights, deadline_s)
                await dispatch.wait(flights)
        except TimeoutError:
            delivered.timed_out = True
        finally:
            await dispatch.abort()
        _settle_outcomes(delivered, flights)
        return delivered

    async def _submit_all(
        self,
        batches: Sequence[Batch],
        dispatch: Dispatcher,
        pending: list[PendingBatch],
        deadline_s: float | None,
    ) -> None:
        """Send all batches off, as the budget has room for them."""
        budget = Budget(self._settings.budget_bytes)
        for batch in batches:
            await budget.take(batch.size_bytes, _cannot_make_room)
            is_fresh = batch.route.origin.naming is NamingScheme.FRESH
            uuid_name = self._pipeline.next_uuid() if is_fresh else ""
            flight = PendingBatch(batch, budget, uuid_name, deadline_s=deadline_s)
            flight.add_held(batch.size_bytes)
            pending.append(flight)
            if len(batches) == 1:  # most events: a task and its waiting would be 5 % of a small one
                await dispatch.run(flight)
            else:
                dispatch.submit(flight)


def _is_past(deadline_s: float | None) -> bool:
    return deadline_s is not None and asyncio.get_running_loop().time() >= deadline_s


def _settle_outcomes(result: EventResult, pending: Sequence[PendingBatch]) -> None:
    """Settle what is durable, and keep the errors of what is not."""
    for flight in pending:
        error = flight.outcome.exception()
        if error is None:
            for positions in flight.batch.positions:
                result.ledger.settle(positions)
            result.receipts.append(flight.outcome.result())
        else:
            result.errors.append(_as_exception(error))


def event_error(result: EventResult, records: int) -> Exception:
    """Return the error for a handler to raise: why an event is not durable, in one line."""
    first = result.errors[0] if result.errors else None
    severe = next((e for e in result.errors if isinstance(e, RejectedError)), first)
    open_count = len(result.ledger)
    if result.timed_out:
        why = "the deadline was there: raise the function's timeout, or lower the batch size"
    else:
        why = "unknown" if severe is None else describe_error(severe)
    text = f"{open_count} of {records} records are not durable and must come again: {why}"
    kind = RejectedError if isinstance(severe, RejectedError) else RetryableError
    error = kind(text)
    error.__cause__ = severe
    return error


def describe_error(error: Exception) -> str:
    """Return an error as text for logs, without anything that could be payload."""
    if isinstance(error, PoisonRecordError) and error.reason == BadRecordReason.TRANSFORM:
        return f"record {error.position}: {error.reason}: {error.detail.partition(':')[0]}"
    if isinstance(error, BatcherError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
    return f"{type(error).__name__}{where}: no error that a store should raise"


def _may_exceed_limits(chunk: Chunk, settings: Settings) -> bool:
    """Return whether a queue's run could be over the limits of one batch."""
    if settings.max_records is not None and len(chunk) > settings.max_records:
        return True
    return 4 * chunk.total_length + len(chunk) > settings.max_bytes


def _sort_by_message_id(chunk: Chunk) -> Chunk:
    """Order a queue's messages by their ids, for no order of theirs lasts; FIFO has its own."""
    if chunk.origin.naming is not NamingScheme.MESSAGE_SET or chunk.sequence_numbers is not None:
        return chunk
    return chunk.take(sorted(range(len(chunk)), key=chunk.positions.__getitem__))


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RetryableError(repr(error))


def _cannot_make_room(short_bytes: int) -> None:
    """All batches are sealed: what is held leaves by itself."""
