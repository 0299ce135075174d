"""Sandbox: a process of a Lambda function, which runs any handler in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol
from unittest.mock import patch

from batcher.errors import BatcherError, RejectedError
from batcher.stores.base import ObjectStore
from batcher.stores.memory import MemoryStore
from batcher.stores.request import Request, Response
from batcher.testing.context import FakeContext
from batcher.testing.faulty_store import FaultyStore, StoreFault
from batcher.testing.virtual_loop import Killed, VirtualLoop, virtual_loop

TIMEOUT_S = 60.0
"""The timeout of the function."""


class AnyHandler(Protocol):
    """A Lambda handler: batcher's, or any function that writes to the store that it was given."""

    def __call__(self, event: Any, context: Any, /) -> object:  # noqa: ANN401  # as Lambda gives it
        """Return the answer to the event source, or raise. The context is a `FakeContext`."""


MakeHandler = Callable[[ObjectStore], AnyHandler]
"""Makes a handler that writes to this store. It is called at each cold start."""


class KillOutcome(StrEnum):
    """What becomes of the request that is under way when the process is killed."""

    NOT_SENT = "killed before a request"
    DONE = "killed after a request"
    LATE = "killed, and the request takes effect later"


@dataclass(frozen=True, slots=True)
class InvocationPlan:
    """The faults of one invocation. Requests count from 0."""

    faults: Mapping[int, StoreFault] = field(default_factory=dict)
    kill_at: int | None = None
    """The request at which the process is killed."""
    kill_outcome: KillOutcome = KillOutcome.NOT_SENT
    others_at: int | None = None
    """The request before which `others` is called."""
    others: Callable[[], object] | None = None
    """What others do meanwhile: another delivery."""


NO_FAULTS = InvocationPlan()


@dataclass(frozen=True, slots=True)
class InvocationOutcome:
    """What the event source sees of one invocation."""

    error: str = ""
    """Why there is no answer. Empty: there is one."""
    answer: object = None


class SandboxStore(FaultyStore):
    """What a process writes to. Once the process is killed, all of its requests fail."""

    def __init__(self, memory: MemoryStore, late: list[Request], on_fault: OnFault) -> None:
        """Write to `memory`, and add requests that are late to `late`."""
        super().__init__(inner=memory)
        self.late = late
        self.plan: InvocationPlan = NO_FAULTS
        self.is_cut = False
        self._number = 0
        self._on_fault = on_fault

    def begin(self, plan: InvocationPlan) -> None:
        """Start an invocation with these faults."""
        self.plan = plan
        self._number = 0

    def decide(self, request: Request) -> StoreFault | None:
        """Return the fault of the plan for this request."""
        del request
        fault = self.plan.faults.get(self._number)
        if fault is not None:
            self._on_fault(fault)
        return fault

    async def send(self, request: Request) -> Response:
        """Send one request; see `ObjectStore.send`. The process may be killed at it.

        Raises:
            RuntimeError: the event loop has no virtual time, so that a fault could hang for ever.
        """
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            msg = (
                f"store: the handler uses a {type(loop).__name__} of its own; let it use "
                "asyncio.run or asyncio.Runner when it is called, which have virtual time here"
            )
            raise RuntimeError(msg)  # noqa: TRY004  # not the type of an argument
        await self._pause()
        plan = self.plan
        if plan.others is not None and self._number == plan.others_at:
            _run_in_thread(plan.others)
        if self._number == plan.kill_at:
            await self._kill(loop, request, plan.kill_outcome)
        try:
            response = await super().send(request)
        finally:
            self._number += 1
        await self._pause()
        return response

    async def _pause(self) -> None:
        await asyncio.sleep(0)
        if self.is_cut:
            reason = "the process was killed"
            raise RejectedError(reason)

    async def _kill(self, loop: VirtualLoop, request: Request, outcome: KillOutcome) -> None:
        self._on_fault(outcome)
        if outcome is KillOutcome.DONE:
            with suppress(BatcherError):
                await self.inner.send(request)
        elif outcome is KillOutcome.LATE and not request.operation.only_reads:
            self.late.append(request)
        loop.kill_at_step = loop.steps  # before the next one
        await self._pause()


OnFault = Callable[[str], object]
"""Called with each fault that happens."""


class VirtualSandbox:
    """A process that stays warm between invocations until it is killed."""

    def __init__(self, make: MakeHandler, store: SandboxStore) -> None:
        """Start cold: make a handler that writes to `store`."""
        self.is_alive: bool = True
        self._store = store
        self._loops: list[VirtualLoop] = []
        with self._virtual_time():
            self._handler = make(store)

    def invoke(self, event: object, plan: InvocationPlan = NO_FAULTS) -> InvocationOutcome:
        """Invoke the handler once. Afterwards it may not be alive any more."""
        self._store.begin(plan)
        for loop in self._loops:
            loop.kill_at_s = loop.time() + TIMEOUT_S
        try:
            with self._virtual_time():
                answer = self._handler(event, FakeContext(int(TIMEOUT_S * 1000)))
        except Killed as killed:
            self._end()
            return InvocationOutcome(f"killed by {killed.reason}")
        except Exception as error:  # noqa: BLE001  # Lambda catches it, too
            if self._store.is_cut:
                self._end()
            return InvocationOutcome(f"raised {type(error).__name__}: {error}")
        finally:
            for loop in self._loops:
                loop.kill_at_s = loop.kill_at_step = None
        if self._store.is_cut:  # the handler has caught `Killed`, which no process can
            self._end()
            return InvocationOutcome("killed by a crash")
        return InvocationOutcome("", answer)

    def close(self) -> None:
        """Close the handler if it can be closed, and end what it has left."""
        close = getattr(self._handler, "close", None)
        if self.is_alive and callable(close):
            with self._virtual_time():
                close()
        self._end()

    def _end(self) -> None:
        self.is_alive = False
        self._cut()
        for loop in self._loops:
            if not loop.is_closed():
                with suppress(Killed):  # a task that goes on in spite of its cancellation
                    loop.cancel_tasks()

    def _cut(self) -> None:
        self._store.is_cut = True

    @contextmanager
    def _virtual_time(self) -> Iterator[None]:
        """Let asyncio.Runner and asyncio.run use loops with virtual time."""

        def new_loop() -> VirtualLoop:
            loop = virtual_loop()
            loop.kill_at_s = TIMEOUT_S
            loop.on_kill = self._cut
            self._loops = [each for each in self._loops if not each.is_closed()]
            self._loops.append(loop)
            return loop

        with (
            patch.object(asyncio.events, "new_event_loop", new_loop),
            patch.object(asyncio, "new_event_loop", new_loop),
        ):
            yield


def _run_in_thread(act: Callable[[], object]) -> None:
    """Do something while the running event loop stands still; it may run a loop of its own."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)  # noqa: SLF001  # it stands still: waiting does not block it
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(act).result()
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001  # as above
