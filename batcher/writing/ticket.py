"""Ticket: what `submit` gives: wait for it to know that records are durable, or why not."""

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
    """Waiting for it gives the receipt, or the receipts; any number may wait, any number of times.

    Raises, when waited for:
        RetryableError: not durable; the same records may be submitted again.
        RejectedError: not durable; the store will refuse them until something is changed.
        PoisonRecordError: a record is bad, and `on_bad_record` is `fail`; its neighbours are fine.
    """

    def __init__(
        self,
        pending: Sequence[PendingBatch],
        bad: Sequence[BadRecord],
        rejected: Sequence[BadRecord],
    ) -> None:
        """Wait for `flights`; of the `bad` records, those in `refused` are handed back."""
        self.bad = bad
        """Records that were found bad, whatever becomes of them."""
        self._pending = list(dict.fromkeys(pending))
        self._rejected = rejected

    def __await__(self) -> Generator[object, None, R]:
        return self._wait().__await__()

    @property
    def is_settled(self) -> bool:
        """Whether waiting would not take any time."""
        return all(flight.outcome.done() for flight in self._pending)

    async def _wait(self) -> R:
        raise NotImplementedError

    async def _receipts(self) -> list[Receipt]:
        """Wait for all outcomes; a failure is raised before a bad record, which is so for ever."""
        for flight in self._pending:
            flight.waiters += 1
        try:
            open_outcomes = [f.outcome for f in self._pending if not f.outcome.done()]
            if open_outcomes:
                await asyncio.wait(open_outcomes)  # a cancelled waiter cancels no outcome
            for flight in self._pending:
                flight.is_observed = True  # only now: who gave up waiting has not heard
        finally:
            for flight in self._pending:
                flight.waiters -= 1
        receipts = [flight.outcome.result() for flight in self._pending]
        if self._rejected:
            first = self._rejected[0]
            raise PoisonRecordError(first.reason, first.detail, first.position)
        return receipts


class OneTicket(Ticket[Receipt]):
    """The ticket of one record: gives its receipt."""

    async def _wait(self) -> Receipt:
        receipts = await self._receipts()
        return receipts[0] if receipts else Receipt("", 0, 0)


class ManyTicket(Ticket[list[Receipt]]):
    """The ticket of many records: gives the receipts of their objects, one each."""

    async def _wait(self) -> list[Receipt]:
        return await self._receipts()
