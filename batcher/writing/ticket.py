"""Tickets: what `submit` returns. Await one to know that its records are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from batcher.errors import BatcherError, PoisonRecordError, RejectedError, own_copy
from batcher.records.numbers import RecordNumbers, position_numbers
from batcher.writing.object import Receipt

if TYPE_CHECKING:
    from batcher.records.bad_record import BadRecord
    from batcher.writing.pending import PendingBatch

    Share = tuple[PendingBatch, Sequence[int]]
    """Records that were added to one batch: their numbers in rising order."""

R = TypeVar("R")


class Ticket(Generic[R]):
    """Awaiting it returns the receipts. Several tasks may await it, and each several times.

    Raises, when awaited:
        RetryableError: records are not durable. Submit these again.
        RejectedError: records are not durable. Change what the store refuses first.
        PoisonRecordError: a record is bad, and `on_bad_record` is `fail`. The other records of
            the ticket are durable.

    `error.failed` has the indices of all records of the ticket that are not durable, whatever the
    cause, and `error.receipts` the receipts of the others. If there are several causes,
    `RejectedError` is raised before `RetryableError`, and that before `PoisonRecordError`. The
    notes of the error name the others.
    """

    def __init__(
        self,
        shares: list[Share],
        bad: list[BadRecord],
        rejected: list[BadRecord],
        *,
        first: int = 0,
        records: int = 0,
    ) -> None:
        """Cover the records of `shares`.

        Args:
            shares: the batches that the records were added to.
            bad: all records that were found bad.
            rejected: those of `bad` that awaiting raises an error for.
            first: the number of the record that has index 0 in `error.failed`.
            records: how many records were submitted.
        """
        self.bad = bad
        """Records that were found bad, whether they are quarantined, dropped or rejected."""
        self.records = records
        """How many records the ticket is for."""
        self._parts = [(shares, rejected, first)]
        """What was taken together: shares, rejected records, and the number with index 0."""
        self._pending = dict.fromkeys(pending for pending, _ in shares)

    def __await__(self) -> Generator[object, None, R]:
        return self.wait().__await__()

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known, so that awaiting returns or raises at once."""
        return all(pending.outcome.done() for pending in self._pending)

    async def wait(self) -> R:
        """Return or raise what awaiting the ticket does."""
        raise NotImplementedError

    async def _receipts(self) -> list[Receipt]:
        """Wait for all outcomes. Return the receipts, or raise one error for all failures."""
        for pending in self._pending:
            pending.waiters += 1
        try:
            outcomes = [p.outcome for p in self._pending if not p.outcome.done()]
            if outcomes:
                await asyncio.wait(outcomes)  # a cancelled waiter cancels no outcome
            for pending in self._pending:
                pending.mark_reported()  # only now: a cancelled waiter received no error
        finally:
            for pending in self._pending:
                pending.waiters -= 1
        receipts = [p.outcome.result() for p in self._pending if not p.outcome.exception()]
        if len(receipts) < len(self._pending) or any(rejected for _, rejected, _ in self._parts):
            raise self._make_error(receipts)
        return receipts

    def _make_error(self, receipts: list[Receipt]) -> BaseException:
        """Return the error for the records that are not durable, with their indices."""
        causes: list[BaseException] = []
        failed: list[tuple[Sequence[int], int]] = []
        for shares, rejected, first in self._parts:
            for pending, numbers in shares:
                cause = pending.outcome.exception()
                if cause is not None:
                    causes.append(cause)
                    failed.append((numbers, first))
            numbers = [position_numbers(bad.chunk.positions, "")[0] for bad in rejected]
            failed.append((numbers, first))
        bad = next((bad for _, rejected, _ in self._parts for bad in rejected), None)
        if bad is not None:
            causes.append(PoisonRecordError(bad.reason, bad.detail, bad.position))
        causes.sort(key=_rank)
        error = cast("BatcherError", own_copy(causes[0]))
        error.receipts = receipts
        error.failed = RecordNumbers(*zip(*failed, strict=True))
        others = {type(each): each for each in reversed(causes) if type(each) is not type(error)}
        for other in others.values():
            error.add_note(f"other records are not durable: {type(other).__name__}: {other}")
        return error


def _rank(error: BaseException) -> int:
    """Return the rank of an error by what a caller must do: first what only a person can fix."""
    if isinstance(error, PoisonRecordError):
        return 3
    if isinstance(error, RejectedError):
        return 1
    return 2 if isinstance(error, BatcherError) else 0


class OneTicket(Ticket[Receipt]):
    """The ticket of one record. Awaiting it returns the receipt of its object."""

    async def wait(self) -> Receipt:
        """Return or raise what awaiting the ticket does."""
        receipts = await self._receipts()
        return receipts[0] if receipts else Receipt("", 0, 0)


class ManyTicket(Ticket[list[Receipt]]):
    """The ticket of many records. Awaiting it returns one receipt per object."""

    def add(
        self,
        shares: list[Share],
        bad: list[BadRecord],
        rejected: list[BadRecord],
        *,
        first: int,
        records: int,
    ) -> None:
        """Cover records that were submitted after those so far.

        Args:
            shares: as in the constructor, as all others.
            bad: as above.
            rejected: as above.
            first: the number of the first of them. Other records may have the numbers before it.
            records: how many they are.
        """
        self._parts.append((shares, rejected, first - self.records))
        self._pending |= dict.fromkeys(pending for pending, _ in shares)
        self.bad += bad
        self.records += records

    async def wait(self) -> list[Receipt]:
        """Return or raise what awaiting the ticket does."""
        return await self._receipts()
