"""Dispatch: the flights that are under way, and the tasks that carry them; it owns both."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from batcher.batching.batch import FlushReason
from batcher.concurrency import Seats, taken, uninterrupted
from batcher.errors import BatcherError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from batcher.writing.pending import Flight
    from batcher.writing.stats import Counts
    from batcher.writing.writer import Writer


class Dispatch:
    """Carries flights to the store: a few workers for sealed batches, a task each for streams."""

    def __init__(
        self,
        writer: Writer,
        counts: Counts,
        workers: int,
        on_failure: Callable[[Flight], None] | None = None,
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
        self._counts = counts
        self._seats = Seats(workers, self._begin)
        self._on_failure = on_failure
        self._clock = clock
        self._ready: deque[Flight] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: set[Flight] = set()

    def launch(self, flight: Flight) -> None:
        """Send a sealed flight off, or tell its writer, if it is streaming, that no more comes."""
        self._sent_off(flight)
        if flight.is_streaming:
            flight.wake()
            return
        self._under_way.add(flight)
        self._ready.append(flight)
        self._begin()

    async def carry(self, flight: Flight) -> None:
        """Write a sealed flight in the caller's own task: nothing else is there to be done."""
        self._sent_off(flight)
        self._under_way.add(flight)
        await self._carry(flight)

    def stream(self, flight: Flight) -> None:
        """Let a writer begin with, or go on with, a flight that is still open."""
        if not flight.is_streaming:
            flight.is_streaming = True
            self._under_way.add(flight)
            self._start(self._carry(flight))
        flight.wake()

    def _sent_off(self, flight: Flight) -> None:
        """Count a sealed flight, once."""
        flight.is_launched = True
        self._counts.flushes[str(flight.batch.sealed)] += 1

    async def settled(self, flights: Collection[Flight]) -> None:
        """Wait until the outcomes of all these flights are known."""
        outcomes = [flight.outcome for flight in flights if not flight.outcome.done()]
        if outcomes:
            await asyncio.wait(outcomes)

    async def abort(self) -> None:
        """Cancel all flights, and wait until nothing of them is left, even when cancelled."""
        await uninterrupted(self._abort())

    def cancel(self) -> None:
        """Cancel all flights; those whose tasks have not begun never do."""
        self._ready.clear()
        for task in self._tasks:
            task.cancel()

    async def _abort(self) -> None:
        self.cancel()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        for flight in list(self._under_way):  # their tasks had not begun
            self._failed(flight, RetryableError("not written: stopped before it was sent"))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # an interrupt, which the loop has raised already; no flight is lost

    def _begin(self) -> None:
        """Let a worker begin, if there is a flight for it and a seat."""
        if self._ready and self._seats.take_nowait():
            self._start(self._work())

    async def _work(self) -> None:
        """Carry ready flights, one after another, until none is left, or others work enough."""
        taken.set(self._seats)
        try:
            while self._ready and not self._seats.is_over:
                await self._carry(self._ready.popleft())
        finally:
            self._seats.give_back()

    async def _carry(self, flight: Flight) -> None:
        """Write one flight and make its outcome known, whatever it is."""
        try:
            receipt = await self._writer.write(flight)
        except BatcherError as error:
            self._failed(flight, error)
        except Exception as error:  # noqa: BLE001  # a bug of ours must reach the tickets as well
            self._failed(flight, error)
        except BaseException:  # cancelled, or interrupted: whoever waits must not wait for ever
            msg = "not written: stopped while it was being sent"
            self._failed(flight, RetryableError(msg))
            raise
        else:
            self._under_way.discard(flight)
            self._counts.written(flight.batch, receipt, self._clock())
            flight.succeed(receipt)

    def _failed(self, flight: Flight, error: Exception) -> None:
        self._under_way.discard(flight)
        self._counts.failed += flight.batch.records
        if self._on_failure is not None:
            self._on_failure(flight)
        if flight.batch.sealed is None:
            flight.batch.sealed = FlushReason.FAILURE
        flight.fail(error)
