"""BackgroundLoop: an event loop in a thread of its own, for callers in other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

from batcher.concurrency import shielded

T = TypeVar("T")


class LoopEndedError(Exception):
    """The event loop takes no more calls. `SyncBatcher` handles it; it never reaches a user."""


class BackgroundLoop:
    """An event loop in a daemon thread. Other threads run coroutine functions in it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may call while its thread holds it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._has_ended = False
        self.is_ending: bool = False
        """Whether no more calls are taken."""

    def is_own_thread(self) -> bool:
        """Return whether this is called in the thread of the loop."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def run(
        self,
        function: Callable[[], Coroutine[Any, Any, T]],
        timeout: float | None = None,
        *,
        is_last: bool = False,
    ) -> T:
        """Run a coroutine function, and return or raise what it does.

        If the wait is interrupted or takes longer than `timeout` seconds, the coroutine is
        cancelled and waited for. A second interrupt ends that wait, too.

        Args:
            function: called in the thread of the loop.
            timeout: seconds; None: no limit.
            is_last: take no more calls, and end the loop after all.

        Raises:
            LoopEndedError: the last call was made before.
            TimeoutError: the time is over.
        """
        outcome: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            work = self._run_last(function) if is_last else function()
            task = loop.create_task(work)
            tasks.append(task)
            self._tasks.add(task)
            task.add_done_callback(finish)

        def finish(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                outcome.cancel()
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())
            if is_last:
                self._has_ended = True
                loop.stop()

        def cancel() -> None:
            loop.call_soon(tasks[0].cancel)  # after its first step: a call that closes must begin

        with self._lock:
            loop = self._start()
            loop.call_soon_threadsafe(start)
            self.is_ending = is_last
        try:
            return outcome.result(timeout)
        except BaseException:
            if not outcome.done():
                loop.call_soon_threadsafe(cancel)
                with suppress(CancelledError):
                    outcome.exception()
            raise

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, after the last call.

        Raises:
            TimeoutError: it has not ended after `timeout` seconds.
        """
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise TimeoutError

    def _start(self) -> asyncio.AbstractEventLoop:
        """Start the thread, unless it runs. Return its loop. Raise LoopEndedError at its end."""
        if self._loop is None:
            self._loop = loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._run_forever, args=(loop,), name="batcher-loop", daemon=True
            )
            try:
                self._thread.start()  # a signal handler may make the last call during this wait
            except RuntimeError:  # no more threads can be started
                self._loop = self._thread = None
                loop.close()
                raise
        if self.is_ending or self._has_ended:
            raise LoopEndedError
        return self._loop

    def _run_forever(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop until its last call has ended."""
        asyncio.set_event_loop(loop)
        try:
            while not self._has_ended:
                with suppress(SystemExit, KeyboardInterrupt):  # of a task, whose caller gets it
                    loop.run_forever()
        finally:
            loop.close()

    async def _run_last(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the last call, and wait for those that were made before it."""
        try:
            return await function()
        finally:
            others = self._tasks - {asyncio.current_task()}
            if others:
                await shielded(_wait_all(others))


async def _wait_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)
