"""An event loop with virtual time that can be killed at any step."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from itertools import count
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_STEPS = 100_000
"""An invocation of a model takes far fewer steps. One that takes more is in an endless loop."""


class Killed(BaseException):
    """The process of a sandbox was killed."""

    def __init__(self, reason: str) -> None:
        """Store the reason."""
        super().__init__(reason)
        self.reason = reason


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in order. If none is ready, its time jumps to the next timer.

    It has the methods that batcher and `asyncio.run` need; those of sockets, pipes, signals and
    processes raise NotImplementedError. Executors run inline, so that the same inputs take the same
    steps.
    """

    def __init__(self) -> None:
        """Start at time 0."""
        self.steps: int = 0
        """Callbacks run so far."""
        self.kill_at_step: int | None = None
        """The step before which the process is killed."""
        self.kill_at_s: float | None = None
        """The time at which the process is killed, as by Lambda's timeout."""
        self.on_kill: Callable[[], object] | None = None
        """Called when the process is killed, before its clean-up code runs."""
        self.unhandled: list[dict[str, Any]] = []
        """Calls of the exception handler: exceptions that were never retrieved."""
        self._now_s = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._is_closed = False

    def time(self) -> float:
        """Return the virtual time."""
        return self._now_s

    def run_until_complete(
        self,
        future: Generator[Any, None, T] | Coroutine[Any, Any, T] | Awaitable[T],
    ) -> T:
        """Run until the future is done.

        Raises:
            AssertionError: a task has outlived the invocation before. Lambda would freeze it.
            Killed: the process was killed before that; see `close_without_cleanup`.
        """
        if asyncio.iscoroutine(future):
            if not all(task.done() for task in self._tasks):
                future.close()
                msg = "a task has outlived its invocation"
                raise AssertionError(msg)
            self._tasks.clear()
        main: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]  # coroutines and futures
        self._run(main.done)
        return main.result()

    def close_without_cleanup(self) -> None:
        """End the tasks that were left by a kill, as if they had never run.

        The caller has cut the process's connections first, so that the clean-up code of these tasks
        has no effect.
        """
        self._tasks[0].cancel()  # the others have owners that end them
        self._finish_tasks()

    def cancel_tasks(self) -> None:
        """Cancel all tasks that are left, and run until they have ended."""
        for task in self._tasks:
            task.cancel()
        self._finish_tasks()

    def _finish_tasks(self) -> None:
        self.kill_at_step = self.kill_at_s = None
        self._run(lambda: all(task.done() for task in self._tasks))
        for task in self._tasks:
            if not task.cancelled():
                task.exception()  # marks it as retrieved

    def _run(self, is_over: Callable[[], bool]) -> None:
        last_step = self.steps + MAX_STEPS
        asyncio._set_running_loop(self)  # noqa: SLF001  # exported for implementers of loops
        try:
            while not is_over():
                self._step()
                if self.steps >= last_step:
                    msg = f"the program is in an endless loop: it has taken {MAX_STEPS} steps"
                    raise AssertionError(msg)
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001  # as above

    def _step(self) -> None:
        if self.kill_at_step is not None and self.steps >= self.kill_at_step:
            self._kill("a crash")
        if not self._ready:
            self._jump()
        handle = self._ready.popleft()
        if not handle.cancelled():
            self.steps += 1
            handle._run()  # noqa: SLF001  # loops run handles

    def _jump(self) -> None:
        """Advance the time to the next timer, or to the kill."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        due_s = self._timers[0][0] if self._timers else float("inf")
        if due_s >= (float("inf") if self.kill_at_s is None else self.kill_at_s):
            reason = "Lambda's timeout" if self.kill_at_s is not None else "nothing would happen"
            self._now_s = self._now_s if self.kill_at_s is None else self.kill_at_s
            self._kill(reason)
        self._now_s = due_s
        while self._timers and self._timers[0][0] <= due_s:
            self._ready.append(heapq.heappop(self._timers)[2])

    def _kill(self, reason: str) -> NoReturn:
        self.kill_at_step = self.kill_at_s = None
        if self.on_kill is not None:
            self.on_kill()
        raise Killed(reason)

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
        """Run a callback `delay` seconds from now."""
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
        """Do nothing: a cancelled timer is skipped when it is due."""

    def create_future(self) -> asyncio.Future[Any]:
        """Create a future."""
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
        """Call `func` at once and return a future that is done."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # the future's owner gets it
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Record the call."""
        self.unhandled.append(context)

    def get_debug(self) -> bool:
        """Return False: models have checks of their own."""
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001  # the interface's
        """Do nothing; see `get_debug`."""

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: an async generator that is left ends with its task."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # the interface's
        """Do nothing: there is no executor."""

    def close(self) -> None:
        """Mark it as closed; there is nothing to release."""
        self._is_closed = True

    def is_closed(self) -> bool:
        """Return whether `close` was called."""
        return self._is_closed

    def is_running(self) -> bool:
        """Return whether it runs callbacks."""
        return asyncio._get_running_loop() is self  # noqa: SLF001  # as above


def virtual_loop() -> VirtualLoop:
    """Create a loop."""
    return VirtualLoop()  # type: ignore[abstract]  # it has all methods that batcher calls
