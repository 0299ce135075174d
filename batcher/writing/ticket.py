"""Tickets: what `submit` returns. Await one to know that its records are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from batcher.errors import PoisonRecordError
from batcher.writing.object import Receipt

if TYPE_CHECKING:
    from batcher.records.bad_record import BadRecord
    from batcher.writing.pending import PendingBatch

R = TypeVar("R")


class Ticket(Generic[R]):
    """Awaiting it returns the receipts. Several tasks may await it, and each several times.

    Raises, when awaited:
        RetryableError: the records are not durable. Submit the same records again.
        RejectedError: the records are not durable. Change what the store refuses first.
        PoisonRecordError: a record is bad, and `on_bad_record` is `fail`. The other records of
            the ticket are durable.
    """

    def __init__(
        self,
        pending: Sequence[PendingBatch],
        bad: Sequence[BadRecord],
        rejected: Sequence[BadRecord],
    ) -> None:
        """Cover the records in the `pending` batches.

        Args:
            pending: the batches that the records were added to.
            bad: all records that were found bad.
            rejected: those of `bad` that awaiting raises an error for.
        """
        self.bad = bad
        """Records that were found bad, whether they are quarantined, dropped or rejected."""
        self._pending = list(dict.fromkeys(pending))
        self._rejected = rejected

    def __await__(self) -> Generator[object, None, R]:
        return self._wait().__await__()

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known, so that awaiting returns or raises at once."""
        return all(pending.outcome.done() for pending in self._pending)

    async def _wait(self) -> R:
        raise NotImplementedError

    async def _receipts(self) -> list[Receipt]:
        """Wait for all outcomes. A failure is raised before a bad record: a retry may fix it."""
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
        receipts = [pending.outcome.result() for pending in self._pending]
        if self._rejected:
            first = self._rejected[0]
            raise PoisonRecordError(first.reason, first.detail, first.position)
        return receipts


class OneTicket(Ticket[Receipt]):
    """The ticket of one record. Awaiting it returns the receipt of its object."""

    async def _wait(self) -> Receipt:
        receipts = await self._receipts()
        return receipts[0] if receipts else Receipt("", 0, 0)


class ManyTicket(Ticket[list[Receipt]]):
    """The ticket of many records. Awaiting it returns one receipt per object."""

    async def _wait(self) -> list[Receipt]:
        return await self._receipts()
