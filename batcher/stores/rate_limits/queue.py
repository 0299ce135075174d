"""Line: the requests of one prefix that wait for their turn, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class WaitQueue:
    """Who waits; only the first of them looks at the pace."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._waiters: deque[Waiter] = deque()
        self._capacity: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiters)

    def join(self, waiter: Waiter) -> None:
        """Stand at the end; whoever joins must leave, however the waiting ends."""
        self._waiters.append(waiter)
        if len(self._waiters) == 1:
            waiter.wake()

    def leave(self, waiter: Waiter) -> None:
        """Stand there no longer; whoever is the first then is called, if it was not before."""
        self._waiters.remove(waiter)
        if self._waiters:
            self._waiters[0].wake()

    async def wait_for_capacity(self) -> None:
        """Wait until a request of this prefix has ended; for the first in line only."""
        self._capacity = asyncio.get_running_loop().create_future()
        try:
            await self._capacity
        finally:
            self._capacity = None

    def notify(self) -> None:
        """Report the first in line that a request has ended."""
        if self._capacity is not None and not self._capacity.done():
            self._capacity.set_result(None)

    def reject_late(self, get_error: Callable[[Waiter, int], Exception | None]) -> None:
        """Let those go for whom there is an error now; the first in line finds out by itself.

        Args:
            error_of: gives the error, or None, for one who waits and the number of those that
                stay before it.
        """
        ahead = 0
        for place in self._waiters:
            if not place.is_decided:
                error = get_error(place, ahead)
                if error is not None:
                    place.reject(error)
                    continue
            ahead += 1


class Waiter:
    """One request's place in a line."""

    def __init__(self, operation: str, key: str, deadline_s: float | None) -> None:
        """Wait with a request that must begin by `deadline_s`, or whenever it can."""
        self.operation = operation
        self.key = key
        self.deadline_s = deadline_s
        self._decision: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_decided(self) -> bool:
        """Whether it is decided: it is the first, or it has been sent away or cancelled."""
        return self._decision.done()

    def wake(self) -> None:
        """Report that it is the first now."""
        if not self._decision.done():
            self._decision.set_result(None)

    def reject(self, error: Exception) -> None:
        """End the waiting by an error."""
        self._decision.set_exception(error)
        self._decision.exception()  # heard, even if it is cancelled before it wakes

    async def wait_until_first(self) -> None:
        """Wait to be the first, or for the error that ends the waiting."""
        await self._decision
