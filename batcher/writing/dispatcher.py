"""Dispatcher: writes pending batches in tasks that it owns, a limited number at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from batcher.batching.batch import FlushReason
from batcher.concurrency import WorkerSlots, shielded
from batcher.errors import BatcherError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from batcher.writing.pending import PendingBatch
    from batcher.writing.stats import Stats
    from batcher.writing.writer import Writer


class Dispatcher:
    """Writes pending batches: sealed ones by a few workers, streamed ones in a task each."""

    def __init__(
        self,
        writer: Writer,
        stats: Stats,
        workers: int,
        on_failure: Callable[[PendingBatch], None] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write at most `workers` sealed batches at a time, without those that wait for a retry.

        Args:
            writer: writes one pending batch.
            stats: counts every outcome.
            workers: sealed batches that are written at the same time. The store limits requests.
            on_failure: called when a batch has failed, before its outcome is set.
            clock: seconds since 1970, the clock of arrival times.
        """
        self._writer = writer
        self._stats = stats
        self._slots = WorkerSlots(workers, self._start_worker)
        self._on_failure = on_failure
        self._clock = clock
        self._ready: deque[PendingBatch] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_progress: set[PendingBatch] = set()

    def submit(self, pending: PendingBatch) -> None:
        """Queue a sealed batch for a worker, or let its streaming writer send the rest."""
        self._mark_submitted(pending)
        if pending.is_streaming:
            pending.wake()
            return
        self._in_progress.add(pending)
        self._ready.append(pending)
        self._start_worker()

    async def run(self, pending: PendingBatch) -> None:
        """Write a sealed batch in the caller's own task, encoding included.

        For a batch that is alone: no other work is kept waiting.
        """
        self._mark_submitted(pending)
        self._in_progress.add(pending)
        await self._write(pending, inline=True)

    def stream(self, pending: PendingBatch) -> None:
        """Start writing an open batch, or wake its writer because text was added."""
        if not pending.is_streaming:
            pending.start_streaming()
            self._in_progress.add(pending)
            self._start_task(self._write(pending))
        pending.wake()

    def _mark_submitted(self, pending: PendingBatch) -> None:
        """Count the flush of a sealed batch, once per batch."""
        pending.mark_submitted()
        self._stats.count_flush(pending.batch)

    async def wait(self, pending: Collection[PendingBatch]) -> None:
        """Wait until the outcomes of all these batches are set."""
        outcomes = [each.outcome for each in pending if not each.outcome.done()]
        if outcomes:
            await asyncio.wait(outcomes)

    async def abort(self) -> None:
        """Cancel all writes and wait until none is left, even if cancelled meanwhile."""
        await shielded(self._abort())

    def cancel(self) -> None:
        """Cancel all writes. Batches that no worker has started are never written."""
        self._ready.clear()
        for task in self._tasks:
            task.cancel()

    async def _abort(self) -> None:
        self.cancel()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        for pending in list(self._in_progress):  # their tasks had not started
            self._fail(pending, RetryableError("not written: stopped before it was sent"))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # an interrupt, which the loop has raised: every outcome is set

    def _start_worker(self) -> None:
        """Start a worker if a batch is ready and a slot is free."""
        if self._ready and self._slots.acquire_nowait():
            self._start_task(self._run_worker())

    async def _run_worker(self) -> None:
        """Write ready batches until none is left, or until too many workers hold a slot."""
        try:
            while self._ready and not self._slots.is_oversubscribed:
                pending = self._ready.popleft()
                pending.slots = self._slots
                await self._write(pending)
        finally:
            self._slots.release()
            self._start_worker()  # for what is ready, if something else cancelled this worker

    async def _write(self, pending: PendingBatch, *, inline: bool = False) -> None:
        """Write one batch and set its outcome, whatever it is."""
        try:
            receipt = await self._writer.write(pending, inline=inline)
        except BatcherError as error:
            pending.may_be_durable = False
            self._fail(pending, error)
        except Exception as error:  # noqa: BLE001  # a bug of ours must reach the tickets as well
            self._fail(pending, error)
        except BaseException:  # cancelled or interrupted: its tickets must not wait forever
            msg = "not written: stopped while it was being sent"
            self._fail(pending, RetryableError(msg))
            raise
        else:
            self._in_progress.discard(pending)
            self._stats.count_written(pending.batch, receipt, self._clock())
            pending.succeed(receipt)

    def _fail(self, pending: PendingBatch, error: Exception) -> None:
        """Set the outcome of a batch that is not known to be durable."""
        self._in_progress.discard(pending)
        self._stats.count_failed(pending.batch, error)
        if self._on_failure is not None:
            self._on_failure(pending)
        if pending.batch.seal_reason is None:
            pending.batch.seal_reason = FlushReason.FAILURE
        pending.fail(error)
