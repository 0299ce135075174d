"""A pending batch: one batch from its first held byte until its outcome is known."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from batcher.batching.batch import Batch
from batcher.encoding.codec import BLOCK_BYTES
from batcher.errors import BatcherError, clear_frames, shorten
from batcher.writing.budget import Budget
from batcher.writing.object import Receipt

if TYPE_CHECKING:
    from batcher.concurrency import WorkerSlots

ENCODE_SLICE_BYTES = 8 * BLOCK_BYTES
"""Text handed to the encoder at once: enough for two cores, and little to hold twice."""


class PendingState(Enum):
    """The state of a pending batch between its first record and its outcome."""

    OPEN = "open"
    """It takes records. Nothing of it is being written."""
    STREAMING = "streaming"
    """It takes records while a writer encodes and sends them."""
    STARVED = "starved"
    """As `STREAMING`, but the writer waits because too little text is left to encode."""
    SUBMITTED = "submitted"
    """It is sealed. It waits for a worker slot, or a worker writes it."""
    FINISHING = "finishing"
    """It was sealed while it was streaming. Its writer sends the rest."""
    DURABLE = "durable"
    """Its object is durable."""
    FAILED = "failed"
    """Nothing of it is durable, and no caller has received the error yet."""
    REPORTED = "reported"
    """Nothing of it is durable, and a caller has received the error."""


_UNSUBMITTED = (PendingState.OPEN, PendingState.STREAMING, PendingState.STARVED)


_STREAMED = (PendingState.STREAMING, PendingState.STARVED, PendingState.FINISHING)


class PendingBatch:
    """A batch, the bytes that it holds of the budget, and the outcome that tickets wait for."""

    def __init__(
        self, batch: Batch, budget: Budget, uuid_name: str, *, deadline_s: float | None = None
    ) -> None:
        """Track `batch`, which holds nothing yet.

        Args:
            batch: open or sealed.
            budget: where its bytes are counted.
            uuid_name: a new UUIDv7, for an object that is not named after its records. It is made
                here, so that names follow the order in which batches were opened.
            deadline_s: when the outcome must be known, on the event loop's clock; None: any time.
        """
        self.batch = batch
        self.uuid_name = uuid_name
        self.deadline_s = deadline_s
        self.slots: WorkerSlots | None = None
        """The slots of which the worker that writes the batch holds one. None: it holds none."""
        self.outcome: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.state: PendingState = PendingState.OPEN
        self.waiters = 0
        """Tickets that wait for the outcome now. They receive the error if it fails.

        A count and no state: a waiter may come and go, by cancellation, in any state.
        """
        self.may_be_durable = False
        """Whether the request that makes the object durable may have been sent."""
        self.in_flight_bytes = 0
        """Bytes of the parts that are being sent."""
        self._budget = budget
        self._held_bytes = 0
        self._backlog_bytes = 0
        self._text_added = asyncio.Event()

    def __repr__(self) -> str:
        return f"<PendingBatch {self.batch!r} {self.state.value} held={self._held_bytes}>"

    @property
    def is_submitted(self) -> bool:
        """Whether it was submitted after its seal, or has failed before."""
        return self.state not in _UNSUBMITTED

    @property
    def is_durable(self) -> bool:
        """Whether its object is durable."""
        return self.state is PendingState.DURABLE

    @property
    def is_streaming(self) -> bool:
        """Whether a writer took it while it was open, and has not ended yet."""
        return self.state in _STREAMED

    @property
    def idle_bytes(self) -> int:
        """Held bytes that are released only if the batch is sealed: no writer takes them now."""
        if self.state in (PendingState.OPEN, PendingState.STARVED):
            return self._held_bytes - self.in_flight_bytes
        return 0

    @property
    def is_exhausted(self) -> bool:
        """Whether no text is left and none will be added."""
        return self.batch.seal_reason is not None and not self.batch.unencoded_bytes

    def start_streaming(self) -> None:
        """Note that a writer takes the open batch."""
        self.state = PendingState.STREAMING

    def mark_submitted(self) -> None:
        """Note that the batch is sealed and that its writing must end."""
        self.state = PendingState.FINISHING if self.is_streaming else PendingState.SUBMITTED

    def mark_reported(self) -> None:
        """Note that a caller receives the outcome."""
        if self.state is PendingState.FAILED:
            self.state = PendingState.REPORTED

    def add_held(self, size_bytes: int) -> None:
        """Count bytes that were added to the batch and already taken from the budget."""
        self._held_bytes += size_bytes
        self._update_backlog()

    def replace_held(self, old_bytes: int, new_bytes: int) -> None:
        """Hold `new_bytes` instead of `old_bytes`: text was encoded, or a part acknowledged."""
        self._held_bytes += new_bytes - old_bytes
        self._budget.adjust(new_bytes - old_bytes)

    def wake(self) -> None:
        """Wake the streaming writer: text was added, or the batch was sealed."""
        self._update_backlog()
        self._text_added.set()

    async def next_texts(self) -> list[bytes | memoryview]:
        """Wait for at least one block of text, or for the seal, and return the next text."""
        while self.batch.seal_reason is None and self.batch.unencoded_bytes < BLOCK_BYTES:
            self._text_added.clear()
            self.state = PendingState.STARVED
            self._budget.notify()
            await self._text_added.wait()
        if self.state is PendingState.STARVED:
            self.state = PendingState.STREAMING
        texts = self.batch.take_texts(ENCODE_SLICE_BYTES)
        self._update_backlog()
        return texts

    def _update_backlog(self) -> None:
        """Update the budget's count of text that a streaming writer has yet to encode."""
        is_ready = self.is_streaming and self.batch.unencoded_bytes >= BLOCK_BYTES
        backlog_bytes = self.batch.unencoded_bytes if is_ready else 0
        self._budget.backlog_bytes += backlog_bytes - self._backlog_bytes
        self._backlog_bytes = backlog_bytes

    def restart(self, batch: Batch) -> PendingBatch:
        """Return a pending batch of some of its records, to be encoded and sent in its place.

        What this one holds is released, and the text of the other is held. `release` it at the end.
        """
        rest = PendingBatch(batch, self._budget, self.uuid_name, deadline_s=self.deadline_s)
        rest.slots = self.slots
        rest.mark_submitted()
        self.replace_held(self._held_bytes, 0)
        rest.replace_held(0, batch.size_bytes)
        return rest

    def release(self) -> None:
        """Release all held bytes: nothing more of it will be sent."""
        self.replace_held(self._held_bytes, 0)

    def succeed(self, receipt: Receipt) -> None:
        """Set the outcome: the object is durable."""
        self.state = PendingState.DURABLE
        self.replace_held(self._held_bytes, 0)
        self.outcome.set_result(receipt)

    def fail(self, error: BaseException) -> None:
        """Set the outcome: nothing of the batch is durable."""
        self.state = PendingState.FAILED
        self.batch.drop_texts()
        if isinstance(error, BatcherError):
            shorten(error)
        else:  # a bug: where it was raised matters
            clear_frames(error)
        self._update_backlog()
        self.replace_held(self._held_bytes, 0)
        self.outcome.set_exception(error)
        self.outcome.exception()  # the owner of the batch reports it: asyncio need not warn
