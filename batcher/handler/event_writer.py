"""Delivery: one event's records into objects, all sealed at its end; a ledger tells how it went."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from batcher import concurrency as deadline
from batcher.batching.batch import Batch, BatchLimits, FlushReason, OpenBatches
from batcher.errors import BatcherError, PoisonRecordError, RejectedError, RetryableError
from batcher.records.bad_record import Reason
from batcher.records.chunk import Naming
from batcher.sources.event import Ledger
from batcher.writing.budget import Budget
from batcher.writing.dispatcher import Dispatch
from batcher.writing.pending import Flight
from batcher.writing.stats import Counts

if TYPE_CHECKING:
    from batcher.batching.router import Admitted, Intake
    from batcher.records.bad_record import BadRecord
    from batcher.records.chunk import Run
    from batcher.settings import Settings
    from batcher.sources import Event
    from batcher.writing.object import Receipt
    from batcher.writing.writer import Writer


class Delivered(Struct):
    """How the delivery of one event ended."""

    ledger: Ledger
    receipts: list[Receipt] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    """Why records are not durable, one error an object or refused record."""
    was_cut: bool = False
    """Whether the deadline ended it."""


def plan(event: Event, intake: Intake, settings: Settings) -> tuple[list[Batch], list[Admitted]]:
    """Decide which batches an event becomes, all sealed; pure.

    A stream's are one a partition, whatever the limits. A queue's are kept within the limits; the
    same set of messages makes the same batches whatever order it comes in.

    Raises:
        RetryableError: a stream's event does not fit the budget, so nothing of it is written.
    """
    bad: dict[object, list[BadRecord]] = defaultdict(list)
    for record in event.bad:
        bad[record.run.origin].append(record)
    unlimited = OpenBatches(BatchLimits())
    limited = OpenBatches(BatchLimits(settings.max_bytes, settings.max_records))
    batches: dict[Batch, None] = {}
    decisions = []
    for run in event.runs:
        admitted = intake.admit(run, bad.pop(run.origin, ()), event.positions)
        decisions.append(admitted)
        for route, part in admitted.routed:
            ordered = part
            open_batches = unlimited if event.is_whole or route.is_quarantine else limited
            if open_batches is limited and _may_be_cut(part, settings):
                ordered = _by_identity(part)
            for batch, _ in open_batches.add(route, ordered, 0.0):
                batches[batch] = None
    for open_batches in (unlimited, limited):
        open_batches.seal_all(FlushReason.EVENT)
    size_bytes = sum(batch.size_bytes for batch in batches)
    if event.is_whole and size_bytes > settings.budget_bytes:
        msg = (
            f"an event of {size_bytes} payload bytes does not fit budget_bytes "
            f"({settings.budget_bytes}), so nothing of it was written: give the function more "
            "memory, raise budget_bytes, or lower the mapping's batch size"
        )
        raise RetryableError(msg)
    return list(batches), decisions


class Delivery:
    """Delivers event after event, with the parts that live as long as the environment."""

    def __init__(
        self,
        intake: Intake,
        writer: Writer,
        settings: Settings,
        fresh_name: Callable[[], str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Decide by `intake`, and write by `writer`.

        Args:
            intake: decides what becomes of each record.
            writer: writes one batch.
            settings: the limits.
            fresh_name: gives a UUIDv7 at each call.
            clock: seconds since 1970, as arrivals are told.
        """
        self._intake = intake
        self._writer = writer
        self._settings = settings
        self._fresh_name = fresh_name
        self._clock = clock
        self.counts = Counts()
        """What has happened since this was put here: who wants an event's own, puts a new one."""

    async def deliver(self, event: Event, deadline_s: float | None) -> Delivered:
        """Write an event's records, until all outcomes are known or the deadline is there.

        Args:
            event: what was read.
            deadline_s: when to stop, on the event loop's clock; None: never. What is not durable
                then is cancelled, and nothing of it is left.
        """
        deadline.deadline_s.set(deadline_s)
        delivered = Delivered(Ledger(event.positions))
        batches, decisions = plan(event, self._intake, self._settings)
        for admitted in decisions:
            self.counts.admitted(admitted)
            for run in admitted.left_out:
                delivered.ledger.settle(run.positions)
            for bad in admitted.refused:
                delivered.errors.append(PoisonRecordError(bad.reason, bad.detail, bad.position))
        dispatch = Dispatch(
            self._writer, self.counts, self._settings.concurrency, clock=self._clock
        )
        flights: list[Flight] = []
        try:
            async with asyncio.timeout_at(deadline_s):
                if _is_over(deadline_s):
                    raise TimeoutError  # noqa: TRY301  # nothing is begun
                await self._launch(batches, dispatch, flights)
                await dispatch.settled(flights)
        except TimeoutError:
            delivered.was_cut = True
        finally:
            await dispatch.abort()
        _account(delivered, flights)
        return delivered

    async def _launch(
        self, batches: Sequence[Batch], dispatch: Dispatch, flights: list[Flight]
    ) -> None:
        """Send all batches off, as the budget has room for them."""
        budget = Budget(self._settings.budget_bytes)
        for batch in batches:
            await budget.take(batch.size_bytes, _nothing)
            is_fresh = batch.route.origin.naming is Naming.FRESH
            flight = Flight(batch, budget, self._fresh_name() if is_fresh else "")
            flight.took(batch.size_bytes)
            flights.append(flight)
            if len(batches) == 1:  # most events: a task and its waiting would be 5 % of a small one
                flight.is_alone = True
                await dispatch.carry(flight)
            else:
                dispatch.launch(flight)


def _is_over(deadline_s: float | None) -> bool:
    return deadline_s is not None and asyncio.get_running_loop().time() >= deadline_s


def _account(delivered: Delivered, flights: Sequence[Flight]) -> None:
    """Settle what is durable, and keep the errors of what is not."""
    for flight in flights:
        error = flight.outcome.exception()
        if error is None:
            for positions in flight.batch.positions:
                delivered.ledger.settle(positions)
            delivered.receipts.append(flight.outcome.result())
        else:
            delivered.errors.append(_as_exception(error))


def failure(delivered: Delivered, records: int) -> Exception:
    """Give the error for a handler to raise: why an event is not durable, in one line."""
    first = delivered.errors[0] if delivered.errors else None
    severe = next((e for e in delivered.errors if isinstance(e, RejectedError)), first)
    open_count = len(delivered.ledger)
    if delivered.was_cut:
        why = "the deadline was there: raise the function's timeout, or lower the batch size"
    else:
        why = "unknown" if severe is None else told(severe)
    text = f"{open_count} of {records} records are not durable and must come again: {why}"
    kind = RejectedError if isinstance(severe, RejectedError) else RetryableError
    error = kind(text)
    error.__cause__ = severe
    return error


def told(error: Exception) -> str:
    """Tell an error for logs: nothing of it is a payload's, as a bug's or a user's text may be."""
    if isinstance(error, PoisonRecordError) and error.reason == Reason.TRANSFORM:
        return f"record {error.position}: {error.reason}: {error.detail.partition(':')[0]}"
    if isinstance(error, BatcherError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
    return f"{type(error).__name__}{where}: no error that a store should raise"


def _may_be_cut(run: Run, settings: Settings) -> bool:
    """Say whether a queue's run could be over the limits of one batch."""
    if settings.max_records is not None and len(run) > settings.max_records:
        return True
    return 4 * run.characters + len(run) > settings.max_bytes


def _by_identity(run: Run) -> Run:
    """Order a queue's messages by their ids, for no order of theirs lasts; FIFO has its own."""
    if run.origin.naming is not Naming.MESSAGE_SET or run.sequence_numbers is not None:
        return run
    return run.take(sorted(range(len(run)), key=run.positions.__getitem__))


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RetryableError(repr(error))


def _nothing(short_bytes: int) -> None:
    """All batches are sealed: what is held leaves by itself."""
