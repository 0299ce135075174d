"""Stores on a virtual clock: one that refuses what is over its limit, and the whole stack on it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from batcher.errors import ThrottledError
from batcher.stores import ObjectAttributes, ObjectStore
from batcher.stores.memory import MemoryStore
from batcher.stores.rate_limits.limiter import PrefixLimiters
from batcher.stores.rate_limits.store import RateLimitedStore
from batcher.testing.virtual_loop import virtual_loop
from support.fakes import Call, HookedStore

T = TypeVar("T")

ROOT = "events"
ANSWER_S = 0.02
BUSY = ThrottledError("503 SlowDown")


def played(program: Coroutine[Any, Any, T]) -> T:
    """Run a program on a clock of its own, which only jumps."""
    loop = virtual_loop()
    result = loop.run_until_complete(program)
    assert not loop.unhandled, loop.unhandled
    return result


def now() -> float:
    """Return the virtual time."""
    return asyncio.get_running_loop().time()


def key(salt: str, number: int = 0) -> str:
    """Name an object under a salt."""
    return f"{ROOT}/{salt}/dt=2026-11-23/{number}.ndjson.gz"


@dataclass
class Seen:
    """What a store was sent."""

    began_s: dict[str, list[float]] = field(default_factory=dict)
    """When requests to each prefix began."""
    refused: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0


class Limited:
    """A hook that takes time, and refuses what is over a prefix's requests a second."""

    def __init__(
        self, per_s: float, answer_s: float = ANSWER_S, burst_s: float = 1.0, jitter: float = 0.0
    ) -> None:
        """Take so many requests a second from each prefix; unused ones for `burst_s`.

        Args:
            jitter: the part of the time to an answer that is by chance, the same in each run;
                without it a writer can hit upon the gaps that others leave, again and again.
        """
        self.per_s = per_s
        self.answer_s = answer_s
        self._jitter = jitter
        self._random = random.Random(1)  # noqa: S311  # no secret
        self.seen = Seen()
        self._most = max(1.0, per_s * burst_s)
        self._buckets: dict[str, tuple[float, float]] = {}

    async def __call__(self, call: Call) -> None:
        """Answer after a while; a HEAD costs nothing."""
        seen, prefix, now_s = self.seen, "/".join(call.key.split("/")[:2]), now()
        if call.operation != "head":
            seen.began_s.setdefault(prefix, []).append(now_s)
        seen.in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
        is_taken = call.operation == "head" or self._take(prefix, now_s)
        try:
            await asyncio.sleep(self.answer_s * (1 + self._jitter * self._random.uniform(-1, 1)))
        finally:
            seen.in_flight -= 1
        if not is_taken:
            seen.refused[prefix] += 1
            text = "503 SlowDown"
            raise ThrottledError(text)

    def _take(self, prefix: str, now_s: float) -> bool:
        tokens, filled_s = self._buckets.get(prefix, (self._most, now_s))
        tokens = min(self._most, tokens + (now_s - filled_s) * self.per_s)
        is_taken = tokens >= 1.0
        self._buckets[prefix] = (tokens - is_taken, now_s)
        return is_taken


def paced(
    before: Callable[[Call], Awaitable[None]],
    most_per_s: float = 3_500.0,
    concurrency: int = 16,
    fanout: int = 16,
) -> RateLimitedStore:
    """Return a paced store around a memory that a hook stands before."""
    hooked = HookedStore(MemoryStore(), before)
    return RateLimitedStore(
        hooked, PrefixLimiters(most_per_s, concurrency, ROOT, fanout), concurrency
    )


def memory_of(store: ObjectStore) -> MemoryStore:
    """Return the memory at the bottom of a stack of stores."""
    while not isinstance(store, MemoryStore):
        store = store.inner  # type: ignore[attr-defined]  # all of them have one
    return store


def put(store: ObjectStore, where: str, within_s: float | None = None) -> asyncio.Task[Any]:
    """Start to put an object, for an event whose answer is due `within_s` from now."""
    deadline_s = None if within_s is None else now() + within_s
    putting = store.put(where, b"body", ObjectAttributes(), deadline_s=deadline_s)
    return asyncio.get_running_loop().create_task(putting)


async def outcomes(tasks: list[asyncio.Task[object]]) -> list[BaseException | None]:
    """Wait for all tasks; give the error of each."""
    await asyncio.wait(tasks)
    return [task.exception() for task in tasks]
