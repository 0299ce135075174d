"""Event writer: writes one event's records as objects, and reports which are durable."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field

from batcher.batching.batch import Batch, BatchLimits, FlushReason, OpenBatches
from batcher.concurrency import map_concurrently
from batcher.errors import (
    BatcherError,
    PoisonRecordError,
    RetryableError,
    ThrottledError,
    TooLateError,
)
from batcher.records.bad_record import BadRecordReason
from batcher.records.chunk import NamingScheme
from batcher.sources.event import Ledger
from batcher.writing.budget import Budget
from batcher.writing.dispatcher import Dispatcher
from batcher.writing.object import choose_format
from batcher.writing.pending import PendingBatch
from batcher.writing.pipeline import Pipeline, make_stats
from batcher.writing.stats import Stats

MAX_LOOK_S = 1.0
"""After a failed event, looking for objects that exist already may take this long."""


if TYPE_CHECKING:
    from batcher.batching.router import Routed, Router
    from batcher.handler.durable_batches import DurableBatches
    from batcher.records.bad_record import BadRecord
    from batcher.records.chunk import Chunk
    from batcher.settings import Settings
    from batcher.sources import Event
    from batcher.writing.object import Receipt


_TRANSFORM = BadRecordReason.TRANSFORM


class EventResult(Struct):
    """What became of the records of one event."""

    ledger: Ledger
    receipts: list[Receipt] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    """Why records are not durable: one error per object or rejected record."""
    timed_out: bool = False
    """Whether the deadline ended the writing."""
    transform_error: str = ""
    """The type of the first exception, if every record failed in the transform."""


def plan_batches(
    event: Event, router: Router, settings: Settings
) -> tuple[list[Batch], list[Routed]]:
    """Return the sealed batches of an event, and the router's decisions per chunk. Pure.

    A stream's event makes one batch per partition, regardless of the limits. A queue's batches are
    within the limits. The same set of messages makes the same batches, in whatever order they come.

    Raises:
        RetryableError: a stream's event does not fit the budget, or the transform raised it.
            Nothing of the event may be written.
        MemoryError: the transform raised it.
    """
    bad: dict[object, list[BadRecord]] = defaultdict(list)
    for record in event.bad:
        bad[record.chunk.origin].append(record)
    unlimited = OpenBatches(BatchLimits())
    limited = OpenBatches(BatchLimits(settings.max_bytes, settings.max_records))
    batches: dict[Batch, None] = {}
    decisions = []
    for chunk in event.chunks:
        routed = router.route(chunk, bad.pop(chunk.origin, ()), event.positions)
        decisions.append(routed)
        for route, part in routed.chunks:
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
            f"nothing written: an event of {size_bytes} payload bytes does not fit budget_bytes "
            f"({settings.budget_bytes}); give the function more memory, raise budget_bytes, or "
            "lower the mapping's batch size"
        )
        raise RetryableError(msg)
    return list(batches), decisions


class EventWriter:
    """Writes event after event, with a pipeline that lives as long as the Lambda environment."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Route and write by `pipeline`.

        Args:
            pipeline: closed by the caller.
            clock: seconds since 1970, the clock of arrival times.
        """
        self._pipeline = pipeline
        self._settings = pipeline.settings
        self._clock = clock
        self._durable: DurableBatches | None = None  # no event has failed yet
        self.stats: Stats = make_stats(pipeline.instruments)
        """Totals since the start, or since `reset_stats`."""

    def reset_stats(self) -> Stats:
        """Begin new totals, for a single event."""
        self.stats = make_stats(self._pipeline.instruments)
        return self.stats

    async def write(self, event: Event, deadline_s: float | None) -> EventResult:
        """Write an event's records, until all outcomes are known or the deadline is reached.

        What is known to be durable after a failed event is not sent again.

        Args:
            event: the records, as read.
            deadline_s: when to stop, on the event loop's clock, or None. Writes that have not
                ended then are cancelled, and leave no object and no open upload.
        """
        result = EventResult(Ledger(event.positions))
        batches, decisions = plan_batches(event, self._pipeline.router, self._settings)
        result.transform_error = _common_transform_error(event, decisions)
        for routed in decisions:
            self.stats.count_routed(routed)
            for chunk in routed.excluded:
                result.ledger.settle(chunk.positions)
            for bad in routed.rejected:
                result.errors.append(PoisonRecordError(bad.reason, bad.detail, bad.position))
        dispatcher = Dispatcher(
            self._pipeline.writer, self.stats, self._settings.concurrency, clock=self._clock
        )
        pending: list[PendingBatch] = []
        try:
            async with asyncio.timeout_at(deadline_s):
                if _is_past(deadline_s):
                    raise TimeoutError  # noqa: TRY301  # nothing was started
                missing = await self._settle_durable(batches, result)
                await self._submit_all(missing, dispatcher, pending, deadline_s)
                await dispatcher.wait(pending)
        except TimeoutError:
            result.timed_out = True
        finally:
            await dispatcher.abort()
        _settle_outcomes(result, pending)
        self._remember(batches, pending, result)
        return result

    async def _settle_durable(
        self, batches: Sequence[Batch], result: EventResult
    ) -> Sequence[Batch]:
        """Settle the batches that are known to be durable, and return the others.

        While the store throttles, this looks for the objects of which nothing is known. A look
        needs no turn of the rate limit. A look that fails is no reason to stop: the batch is sent.
        """
        durable = self._durable
        if durable is None:
            return batches
        unseen = [batch for batch in batches if durable.needs_look(batch)]
        if unseen:
            with suppress(Exception):  # also what a library that patches the SDK may raise
                async with asyncio.timeout(MAX_LOOK_S):
                    look = partial(self._look, durable)
                    await map_concurrently(look, unseen, self._settings.concurrency)
        missing = []
        for batch in batches:
            receipt = durable.receipt(batch)
            if receipt is None:
                missing.append(batch)
                continue
            self.stats.count_flush(batch)
            self.stats.count_written(batch, receipt, self._clock())
            _settle(result, batch, receipt)
        durable.begin(missing)
        return missing

    async def _look(self, durable: DurableBatches, batch: Batch) -> None:
        """Look for a batch's object once."""
        durable.add(batch, await self._pipeline.writer.find(batch))

    def _remember(
        self, batches: Sequence[Batch], pending: Sequence[PendingBatch], result: EventResult
    ) -> None:
        """Remember what is durable of an event that has failed, or forget one that has not."""
        if not len(result.ledger):
            if self._durable is not None:
                self._durable.end(batches)
            return
        if self._durable is None:
            from batcher.handler.durable_batches import (  # noqa: PLC0415  # after a failure
                DurableBatches,
            )

            self._durable = DurableBatches()
        for each in pending:
            error = each.outcome.exception()
            if error is None:
                self._durable.add(each.batch, each.outcome.result())
            elif _is_refusal(error):
                self._durable.is_throttled = True
                self._durable.add(each.batch, None)

    async def _submit_all(
        self,
        batches: Sequence[Batch],
        dispatcher: Dispatcher,
        pending: list[PendingBatch],
        deadline_s: float | None,
    ) -> None:
        """Submit all batches, each when the budget has room for it. Add each to `pending`."""
        budget = Budget(self._settings.budget_bytes)
        for batch in batches:
            size_bytes = batch.size_bytes + budget.batch_bytes
            await budget.take(size_bytes, _cannot_make_room)
            is_fresh = batch.route.origin.naming is NamingScheme.FRESH
            uuid_name = self._pipeline.next_uuid() if is_fresh else ""
            pending_batch = PendingBatch(batch, budget, uuid_name, deadline_s=deadline_s)
            pending_batch.add_held(size_bytes)
            pending.append(pending_batch)
            if len(batches) == 1:  # most events: a task would add 5 % to the time of a small one
                await dispatcher.run(pending_batch)
            else:
                dispatcher.submit(pending_batch)


def _is_past(deadline_s: float | None) -> bool:
    return deadline_s is not None and asyncio.get_running_loop().time() >= deadline_s


def _settle_outcomes(result: EventResult, pending: Sequence[PendingBatch]) -> None:
    """Settle the records of durable batches, and collect the errors of the others."""
    for each in pending:
        error = each.outcome.exception()
        if error is None:
            _settle(result, each.batch, each.outcome.result())
        else:
            result.errors.append(_as_exception(error))


def _common_transform_error(event: Event, decisions: Sequence[Routed]) -> str:
    """Return the type of the first exception if every record failed in the transform, else ""."""
    failed = [bad for routed in decisions for bad in routed.bad if bad.reason == _TRANSFORM]
    if not failed or len(failed) < sum(map(len, event.chunks)):
        return ""
    from batcher.batching.transform import raised_type  # noqa: PLC0415  # it was imported before

    return raised_type(failed[0])


def _settle(result: EventResult, batch: Batch, receipt: Receipt) -> None:
    """Settle the records of a durable batch."""
    for positions in batch.positions:
        result.ledger.settle(positions)
    result.receipts.append(receipt)


def _is_refusal(error: BaseException) -> bool:
    """Return whether a batch was not written for sure: it was not sent, or the store was busy."""
    return isinstance(error, TooLateError | ThrottledError)


def describe_error(error: Exception) -> str:
    """Return an error as text for logs, without anything that may contain payload."""
    if isinstance(error, PoisonRecordError) and error.reason == BadRecordReason.TRANSFORM:
        return f"record {error.position}: {error.reason}: {error.detail.partition(':')[0]}"
    if isinstance(error, BatcherError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
    return f"{type(error).__name__}{where}: unexpected error; a bug of batcher or of the store"


def _may_exceed_limits(chunk: Chunk, settings: Settings) -> bool:
    """Return whether a queue's chunk may exceed the limits of one batch."""
    if settings.max_records is not None and len(chunk) > settings.max_records:
        return True
    return 4 * chunk.total_length + len(chunk) > settings.max_bytes


def _sort_by_message_id(chunk: Chunk) -> Chunk:
    """Order a queue's messages by id: SQS redelivers them in any order. FIFO keeps its order."""
    if chunk.origin.naming is not NamingScheme.MESSAGE_SET or chunk.sequence_numbers is not None:
        return chunk
    return chunk.take(sorted(range(len(chunk)), key=chunk.positions.__getitem__))


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RetryableError(repr(error))


def _cannot_make_room(short_bytes: int) -> None:
    """Do nothing: all batches are sealed, so held bytes are released as they are written."""
