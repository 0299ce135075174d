"""WaitQueue: the requests of one prefix that wait for their turn, first in, first out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf


class WaitQueue:
    """The waiting requests. Only the first one checks the rate limit."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiters: deque[Waiter] = deque()
        self._notice: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiters)

    def join(self, waiter: Waiter) -> None:
        """Add a waiter at the end. It must leave again, however its wait ends."""
        self._waiters.append(waiter)
        if len(self._waiters) == 1:
            waiter.wake()

    def leave(self, waiter: Waiter) -> None:
        """Remove a waiter, and wake the one that is first then."""
        self._waiters.remove(waiter)
        if self._waiters:
            self._waiters[0].wake()

    async def wait_for_turn(self, max_s: float) -> None:
        """Wait this long, or until a request of the prefix has ended, which may bring the turn.

        For the first waiter only.
        """
        loop = asyncio.get_running_loop()
        self._notice = loop.create_future()
        timer = None if max_s == inf else loop.call_later(max_s, self.notify)
        try:
            await self._notice
        finally:
            self._notice = None
            if timer is not None:
                timer.cancel()

    def notify(self) -> None:
        """Wake the first waiter, because a request has ended."""
        if self._notice is not None and not self._notice.done():
            self._notice.set_result(None)

    def reject_late(self, get_error: Callable[[Waiter, int], Exception | None]) -> None:
        """Reject the waiters for which there is an error now. The first one checks by itself.

        Args:
            get_error: returns the error or None, for a waiter and the number of waiters before it.
        """
        ahead = 0
        for waiter in self._waiters:
            if not waiter.is_decided:
                error = get_error(waiter, ahead)
                if error is not None:
                    waiter.reject(error)
                    continue
            ahead += 1


class Waiter:
    """One waiting request."""

    def __init__(self, operation: str, key: str, deadline_s: float | None) -> None:
        """Describe a request. It must begin before `deadline_s`, if that is set."""
        self.operation = operation
        self.key = key
        self.deadline_s = deadline_s
        self._decision: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_decided(self) -> bool:
        """Whether the wait is over: it is the first, or was rejected or cancelled."""
        return self._decision.done()

    def wake(self) -> None:
        """End the wait: it is the first now."""
        if not self._decision.done():
            self._decision.set_result(None)

    def reject(self, error: Exception) -> None:
        """End the wait with an error."""
        self._decision.set_exception(error)
        self._decision.exception()  # retrieved, even if the task is cancelled before it wakes

    async def wait_until_first(self) -> None:
        """Wait to be the first. Raise the error if it is rejected."""
        await self._decision
