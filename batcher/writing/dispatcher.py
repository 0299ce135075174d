"""Dispatch: the flights that are under way, and the tasks that carry them; it owns both."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from batcher.batching.batch import FlushReason
from batcher.concurrency import WorkerSlots, current_slots, shielded
from batcher.errors import BatcherError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from batcher.writing.pending import PendingBatch
    from batcher.writing.stats import Stats
    from batcher.writing.writer import Writer


class Dispatcher:
    """Carries flights to the store: a few workers for sealed batches, a task each for streams."""

    def __init__(
        self,
        writer: Writer,
        stats: Stats,
        workers: int,
        on_failure: Callable[[PendingBatch], None] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Carry at most `workers` sealed batches at a time, those that only wait not counted.

        Args:
            writer: writes one flight.
            counts: told of every outcome.
            workers: batches carried side by side; the store bounds the requests.
            on_failure: called when a flight has failed, before its outcome is known.
            clock: seconds since 1970, as arrivals are told.
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
        """Send a sealed flight off, or tell its writer, if it is streaming, that no more comes."""
        self._mark_submitted(pending)
        if pending.is_streaming:
            pending.wake()
            return
        self._in_progress.add(pending)
        self._ready.append(pending)
        self._start_worker()

    async def run(self, pending: PendingBatch) -> None:
        """Write a sealed flight in the caller's own task: nothing else is there to be done."""
        self._mark_submitted(pending)
        self._in_progress.add(pending)
        await self._write(pending)

    def stream(self, pending: PendingBatch) -> None:
        """Let a writer begin with, or go on with, a flight that is still open."""
        if not pending.is_streaming:
            pending.is_streaming = True
            self._in_progress.add(pending)
            self._start_task(self._write(pending))
        pending.wake()

    def _mark_submitted(self, pending: PendingBatch) -> None:
        """Count a sealed flight, once."""
        pending.is_submitted = True
        self._stats.flushes[str(pending.batch.seal_reason)] += 1

    async def wait(self, pending: Collection[PendingBatch]) -> None:
        """Wait until the outcomes of all these flights are known."""
        outcomes = [flight.outcome for flight in pending if not flight.outcome.done()]
        if outcomes:
            await asyncio.wait(outcomes)

    async def abort(self) -> None:
        """Cancel all flights, and wait until nothing of them is left, even when cancelled."""
        await shielded(self._abort())

    def cancel(self) -> None:
        """Cancel all flights; those whose tasks have not begun never do."""
        self._ready.clear()
        for task in self._tasks:
            task.cancel()

    async def _abort(self) -> None:
        self.cancel()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        for flight in list(self._in_progress):  # their tasks had not begun
            self._fail(flight, RetryableError("not written: stopped before it was sent"))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # an interrupt, which the loop has raised already; no flight is lost

    def _start_worker(self) -> None:
        """Let a worker begin, if there is a flight for it and a seat."""
        if self._ready and self._slots.acquire_nowait():
            self._start_task(self._run_worker())

    async def _run_worker(self) -> None:
        """Carry ready flights, one after another, until none is left, or others work enough."""
        current_slots.set(self._slots)
        try:
            while self._ready and not self._slots.is_oversubscribed:
                await self._write(self._ready.popleft())
        finally:
            self._slots.release()

    async def _write(self, pending: PendingBatch) -> None:
        """Write one flight and make its outcome known, whatever it is."""
        try:
            receipt = await self._writer.write(pending)
        except BatcherError as error:
            self._fail(pending, error)
        except Exception as error:  # noqa: BLE001  # a bug of ours must reach the tickets as well
            self._fail(pending, error)
        except BaseException:  # cancelled, or interrupted: whoever waits must not wait for ever
            msg = "not written: stopped while it was being sent"
            self._fail(pending, RetryableError(msg))
            raise
        else:
            self._in_progress.discard(pending)
            self._stats.count_written(pending.batch, receipt, self._clock())
            pending.succeed(receipt)

    def _fail(self, pending: PendingBatch, error: Exception) -> None:
        self._in_progress.discard(pending)
        self._stats.failed += pending.batch.records
        if self._on_failure is not None:
            self._on_failure(pending)
        if pending.batch.seal_reason is None:
            pending.batch.seal_reason = FlushReason.FAILURE
        pending.fail(error)
