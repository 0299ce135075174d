"""Flight: one batch on its way to the store, from its first byte held to its outcome."""

from __future__ import annotations

import asyncio

from batcher.batching.batch import Batch
from batcher.encoding.codec import MEMBER_BYTES
from batcher.writing.budget import Budget
from batcher.writing.object import Receipt

AT_ONCE_BYTES = 8 * MEMBER_BYTES
"""Text that is handed to the encoder at once: enough for two cores, little to hold twice."""


class Flight:
    """A batch, the bytes it holds of the budget, and the outcome that tickets wait for."""

    def __init__(self, batch: Batch, budget: Budget, fresh_name: str) -> None:
        """Follow `batch`, which holds nothing yet.

        Args:
            batch: open or sealed.
            budget: what its bytes are taken of.
            fresh_name: a new UUIDv7, for an object that has no name of its own: made here, so that
                names follow the order in which batches were opened.
        """
        self.batch = batch
        self.fresh_name = fresh_name
        self.outcome: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.is_observed = False
        """Whether somebody has waited for the outcome, and so heard of a failure."""
        self.waiters = 0
        """How many are waiting for the outcome now, and so will hear of a failure."""
        self.is_alone = False
        """Whether nothing else is under way or will come, so that encoding holds nothing up."""
        self.is_launched = False
        """Whether it was sent off, sealed."""
        self.is_streaming = False
        """Whether a writer has started on it while it was open."""
        self.sending_bytes = 0
        """Bytes of the parts that are in flight."""
        self._is_waiting = False
        self._budget = budget
        self._held_bytes = 0
        self._backlog_bytes = 0
        self._more = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Flight {self.batch!r} held={self._held_bytes}>"

    @property
    def idle_bytes(self) -> int:
        """Held bytes that nothing but a seal would set in motion."""
        if self.batch.sealed is not None:
            return 0
        if self.is_streaming and not self._is_waiting:
            return 0
        return self._held_bytes - self.sending_bytes

    @property
    def is_all_taken(self) -> bool:
        """Whether no text is left, and none will come."""
        return self.batch.sealed is not None and not self.batch.waiting_bytes

    def took(self, size_bytes: int) -> None:
        """Note that the batch holds so much more, which was taken of the budget before."""
        self._held_bytes += size_bytes
        self._note_backlog()

    def exchange(self, old_bytes: int, new_bytes: int) -> None:
        """Hold `new_bytes` in place of `old_bytes`: text that was encoded, parts acknowledged."""
        self._held_bytes += new_bytes - old_bytes
        self._budget.hold(new_bytes - old_bytes)

    def wake(self) -> None:
        """Tell a streaming writer that there is more text, or the seal."""
        self._note_backlog()
        self._more.set()

    async def next_texts(self) -> list[bytes | memoryview]:
        """Wait for the next text worth encoding, or for what is left at the seal."""
        while self.batch.sealed is None and self.batch.waiting_bytes < MEMBER_BYTES:
            self._more.clear()
            self._is_waiting = True
            self._budget.stir()
            await self._more.wait()
        self._is_waiting = False
        texts = self.batch.take_texts(AT_ONCE_BYTES)
        self._note_backlog()
        return texts

    def _note_backlog(self) -> None:
        """Keep the budget's count of text that a streaming writer has not come to."""
        is_ready = self.is_streaming and self.batch.waiting_bytes >= MEMBER_BYTES
        backlog_bytes = self.batch.waiting_bytes if is_ready else 0
        self._budget.backlog_bytes += backlog_bytes - self._backlog_bytes
        self._backlog_bytes = backlog_bytes

    def succeed(self, receipt: Receipt) -> None:
        """End the flight: the object is durable."""
        self.exchange(self._held_bytes, 0)
        self.outcome.set_result(receipt)

    def fail(self, error: BaseException) -> None:
        """End the flight: nothing of it is durable."""
        self.batch.drop_texts()
        self._note_backlog()
        self.exchange(self._held_bytes, 0)
        self.outcome.set_exception(error)
        self.outcome.exception()  # heard: whoever owns the flight reports it, never the loop
