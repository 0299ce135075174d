"""Flight: one batch on its way to the store, from its first byte held to its outcome."""

from __future__ import annotations

import asyncio

from batcher.batching.batch import Batch
from batcher.encoding.codec import MEMBER_BYTES
from batcher.writing.budget import Budget
from batcher.writing.object import Receipt

ENCODE_SLICE_BYTES = 8 * MEMBER_BYTES
"""Text that is handed to the encoder at once: enough for two cores, little to hold twice."""


class PendingBatch:
    """A batch, the bytes it holds of the budget, and the outcome that tickets wait for."""

    def __init__(self, batch: Batch, budget: Budget, uuid_name: str) -> None:
        """Follow `batch`, which holds nothing yet.

        Args:
            batch: open or sealed.
            budget: what its bytes are taken of.
            fresh_name: a new UUIDv7, for an object that has no name of its own: made here, so that
                names follow the order in which batches were opened.
        """
        self.batch = batch
        self.uuid_name = uuid_name
        self.outcome: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.is_observed = False
        """Whether somebody has waited for the outcome, and so heard of a failure."""
        self.waiters = 0
        """How many are waiting for the outcome now, and so will hear of a failure."""
        self.is_sole_batch = False
        """Whether nothing else is under way or will come, so that encoding holds nothing up."""
        self.is_submitted = False
        """Whether it was sent off, sealed."""
        self.is_streaming = False
        """Whether a writer has started on it while it was open."""
        self.in_flight_bytes = 0
        """Bytes of the parts that are in flight."""
        self._is_waiting = False
        self._budget = budget
        self._held_bytes = 0
        self._backlog_bytes = 0
        self._text_added = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Flight {self.batch!r} held={self._held_bytes}>"

    @property
    def idle_bytes(self) -> int:
        """Held bytes that nothing but a seal would set in motion."""
        if self.batch.seal_reason is not None:
            return 0
        if self.is_streaming and not self._is_waiting:
            return 0
        return self._held_bytes - self.in_flight_bytes

    @property
    def is_exhausted(self) -> bool:
        """Whether no text is left, and none will come."""
        return self.batch.seal_reason is not None and not self.batch.unencoded_bytes

    def add_held(self, size_bytes: int) -> None:
        """Note that the batch holds so much more, which was taken of the budget before."""
        self._held_bytes += size_bytes
        self._update_backlog()

    def replace_held(self, old_bytes: int, new_bytes: int) -> None:
        """Hold `new_bytes` in place of `old_bytes`: text that was encoded, parts acknowledged."""
        self._held_bytes += new_bytes - old_bytes
        self._budget.adjust(new_bytes - old_bytes)

    def wake(self) -> None:
        """Report a streaming writer that there is more text, or the seal."""
        self._update_backlog()
        self._text_added.set()

    async def next_texts(self) -> list[bytes | memoryview]:
        """Wait for the next text worth encoding, or for what is left at the seal."""
        while self.batch.seal_reason is None and self.batch.unencoded_bytes < MEMBER_BYTES:
            self._text_added.clear()
            self._is_waiting = True
            self._budget.notify()
            await self._text_added.wait()
        self._is_waiting = False
        texts = self.batch.take_texts(ENCODE_SLICE_BYTES)
        self._update_backlog()
        return texts

    def _update_backlog(self) -> None:
        """Keep the budget's count of text that a streaming writer has not come to."""
        is_ready = self.is_streaming and self.batch.unencoded_bytes >= MEMBER_BYTES
        backlog_bytes = self.batch.unencoded_bytes if is_ready else 0
        self._budget.backlog_bytes += backlog_bytes - self._backlog_bytes
        self._backlog_bytes = backlog_bytes

    def succeed(self, receipt: Receipt) -> None:
        """End the flight: the object is durable."""
        self.replace_held(self._held_bytes, 0)
        self.outcome.set_result(receipt)

    def fail(self, error: BaseException) -> None:
        """End the flight: nothing of it is durable."""
        self.batch.drop_texts()
        self._update_backlog()
        self.replace_held(self._held_bytes, 0)
        self.outcome.set_exception(error)
        self.outcome.exception()  # heard: whoever owns the flight reports it, never the loop
