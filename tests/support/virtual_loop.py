"""VirtualLoop: an event loop whose time only jumps, and which can stop for good at any step."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from itertools import count
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ENOUGH_STEPS = 100_000
"""No invocation of a model takes so many: one that does turns in circles."""


class Killed(BaseException):
    """The sandbox is gone; `reason` says why."""

    def __init__(self, reason: str) -> None:
        """Return why."""
        super().__init__(reason)
        self.reason = reason


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in order; where none is ready, time jumps to the next timer.

    What batcher asks of a loop is here, and nothing else: all other calls are refused. Executors
    work inline, so that the same inputs take the same steps.
    """

    def __init__(self) -> None:
        """Start at time 0."""
        self.steps = 0
        """Callbacks run so far."""
        self.kill_at_step: int | None = None
        """The step before which the process is killed."""
        self.kill_at_s: float | None = None
        """When the process is killed: Lambda's timeout."""
        self.unheard: list[dict[str, Any]] = []
        """What went to the exception handler: errors that nobody has taken."""
        self._now_s = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        """Return the virtual time."""
        return self._now_s

    def run_until_complete(
        self,
        future: Generator[Any, None, T] | Coroutine[Any, Any, T] | Awaitable[T],
    ) -> T:
        """Run until the future is done.

        Raises:
            Killed: the process was killed before; see `end_unseen`.
        """
        assert all(task.done() for task in self._tasks), "a task has outlived its invocation"
        self._tasks.clear()
        assert asyncio.iscoroutine(future), "the handler hands over coroutines"
        main: asyncio.Task[T] = self.create_task(future)
        self._run(main.done)
        return main.result()

    def close_without_cleanup(self) -> None:
        """End what a kill has left, as if it were never there.

        Whoever calls this has cut the process off from the world first: then its code may well
        clean up, for nobody will ever see it.
        """
        self.kill_at_step = self.kill_at_s = None
        self._tasks[0].cancel()  # the others have owners that end them
        self._run(lambda: all(task.done() for task in self._tasks))
        for task in self._tasks:
            if not task.cancelled():
                task.exception()  # heard

    def _run(self, is_over: Callable[[], bool]) -> None:
        until_step = self.steps + ENOUGH_STEPS
        asyncio._set_running_loop(self)  # noqa: SLF001  # exported for those who make loops
        try:
            while not is_over():
                self._step()
                assert self.steps < until_step, "the program turns in circles"
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001  # as above

    def _step(self) -> None:
        if self.kill_at_step is not None and self.steps >= self.kill_at_step:
            reason = "a crash"
            raise Killed(reason)
        if not self._ready:
            self._jump()
        handle = self._ready.popleft()
        if not handle.cancelled():
            self.steps += 1
            handle._run()  # noqa: SLF001  # a loop is who runs handles

    def _jump(self) -> None:
        """Move to the time of the next timer, or to that of the kill."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        due_s = self._timers[0][0] if self._timers else float("inf")
        if due_s >= (float("inf") if self.kill_at_s is None else self.kill_at_s):
            reason = "Lambda's timeout" if self.kill_at_s is not None else "nothing would happen"
            self._now_s = self._now_s if self.kill_at_s is None else self.kill_at_s
            raise Killed(reason)
        self._now_s = due_s
        while self._timers and self._timers[0][0] <= due_s:
            self._ready.append(heapq.heappop(self._timers)[2])

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Run a callback after those that are ready."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback so many seconds from now."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: object,
    ) -> asyncio.Task[T]:
        """Start a task."""
        del options
        task: asyncio.Task[T] = asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=context
        )
        self._tasks.append(task)
        return task

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Do the work here and now; the future is done."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # the future's owner gets it
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody has taken."""
        self.unheard.append(context)

    def get_debug(self) -> bool:
        """Return no: a model has checks of its own."""
        return False

    def is_closed(self) -> bool:
        """Return no: there is nothing to close."""
        return False

    def is_running(self) -> bool:
        """Return whether it is entered."""
        return asyncio._get_running_loop() is self  # noqa: SLF001  # as above


def virtual_loop() -> VirtualLoop:
    """Make a loop."""
    return VirtualLoop()  # type: ignore[abstract]  # all that batcher calls is there
