"""Fakes: stores that fail, hang or lose answers as a test says, around one that does the work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from batcher.stores import ObjectStore, Request, Response
from batcher.stores.memory import MemoryStore
from batcher.testing.context import FakeContext

__all__ = [
    "Call",
    "FakeClock",
    "FakeContext",
    "Gate",
    "HookedStore",
    "InlineExecutor",
    "failing",
    "hang",
    "hanging",
    "incompressible_bytes",
    "lines_in",
    "no_hook",
    "texts_in",
    "yielding",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a store."""

    operation: str
    """`put`, `head`, `create`, `part`, `complete` or `abort`."""
    key: str
    part: int = 0
    if_match: str | None = None


Hook = Callable[[Call], Awaitable[None]]


async def no_hook(call: Call) -> None:
    """Do nothing."""
    del call


class HookedStore(ObjectStore):
    """Passes every request to `inner`, with a hook before and after it.

    An error that `before` raises is a request that did not reach the store. An error that `after`
    raises is a lost response.
    """

    def __init__(self, inner: ObjectStore, before: Hook = no_hook, after: Hook = no_hook) -> None:
        """Pass requests to `inner`."""
        self.inner = inner
        self.before = before
        self.after = after
        self.calls: list[Call] = []
        self.is_closed = False

    def operations(self) -> list[str]:
        """Return the operations of all requests, in order."""
        return [call.operation for call in self.calls]

    async def send(self, request: Request) -> Response:
        """Send one request; see `ObjectStore.send`."""
        label = request.operation.label
        call = Call(label, request.key, request.part_number, request.if_match)
        self.calls.append(call)
        await self.before(call)
        response = await self.inner.send(request)
        await self.after(call)
        return response

    async def aclose(self) -> None:
        """Close the inner store."""
        self.is_closed = True
        await self.inner.aclose()


def failing(error: Exception, *operations: str, key: str = "", times: int = 10**9) -> Hook:
    """Raise `error` in the first `times` calls of these operations on keys that hold `key`."""
    count = 0

    async def fail(call: Call) -> None:
        nonlocal count
        if call.operation in operations and key in call.key and count < times:
            count += 1
            raise error

    return fail


async def hang(call: Call) -> None:
    """Never answer."""
    del call
    await asyncio.Event().wait()


def hanging(*operations: str, key: str = "") -> Hook:
    """Never answer calls of these operations on keys that hold `key`."""

    async def wait(call: Call) -> None:
        if call.operation in operations and key in call.key:
            await hang(call)

    return wait


@dataclass(eq=False, slots=True)
class Gate:
    """A hook that holds the n-th call of one operation until `open` is set."""

    operation: str
    number: int = 1
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = 0

    async def __call__(self, call: Call) -> None:
        """Hold the call if it is the one."""
        if call.operation != self.operation:
            return
        self._seen += 1
        if self._seen == self.number:
            self.reached.set()
            await self.open.wait()


async def yielding(call: Call) -> None:
    """Return the loop a turn, as a network would."""
    del call
    await asyncio.sleep(0)


@dataclass(slots=True)
class FakeClock:
    """Seconds that pass only when a test says so."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


class InlineExecutor(ThreadPoolExecutor):
    """Does the work at once, so that a loop's turns are the same each time."""

    def submit(self, fn: Callable[..., T], /, *args: object, **kwargs: object) -> Future[T]:
        """Do it, and give the future of what is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # the future's owner gets it
            future.set_exception(error)
        return future


def texts_in(store: MemoryStore) -> dict[str, bytes]:
    """Return the text of every object, by key."""
    return {key: store.read_text(key) for key in store.objects}


def lines_in(store: MemoryStore, fragment: str = "") -> list[bytes]:
    """Return lines of all objects whose key has `fragment` in it, in the order of their keys."""
    return store.read_lines(fragment)


def incompressible_bytes(size_bytes: int, seed: int = 0) -> bytes:
    """Return a line that nothing compresses, the same for the same seed."""
    return random.Random(seed).randbytes(size_bytes).replace(b"\n", b" ")  # noqa: S311  # no secret
