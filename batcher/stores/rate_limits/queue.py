"""Line: the requests of one prefix that wait for their turn, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Line:
    """Who waits; only the first of them looks at the pace."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._places: deque[Place] = deque()
        self._freed: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def join(self, place: Place) -> None:
        """Stand at the end; whoever joins must leave, however the waiting ends."""
        self._places.append(place)
        if len(self._places) == 1:
            place.call()

    def leave(self, place: Place) -> None:
        """Stand there no longer; whoever is the first then is called, if it was not before."""
        self._places.remove(place)
        if self._places:
            self._places[0].call()

    async def freed(self) -> None:
        """Wait until a request of this prefix has ended; for the first in line only."""
        self._freed = asyncio.get_running_loop().create_future()
        try:
            await self._freed
        finally:
            self._freed = None

    def free(self) -> None:
        """Tell the first in line that a request has ended."""
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

    def send_away(self, error_of: Callable[[Place, int], Exception | None]) -> None:
        """Let those go for whom there is an error now; the first in line finds out by itself.

        Args:
            error_of: gives the error, or None, for one who waits and the number of those that
                stay before it.
        """
        ahead = 0
        for place in self._places:
            if not place.is_called:
                error = error_of(place, ahead)
                if error is not None:
                    place.send_away(error)
                    continue
            ahead += 1


class Place:
    """One request's place in a line."""

    def __init__(self, operation: str, key: str, deadline_s: float | None) -> None:
        """Wait with a request that must begin by `deadline_s`, or whenever it can."""
        self.operation = operation
        self.key = key
        self.deadline_s = deadline_s
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_called(self) -> bool:
        """Whether it is decided: it is the first, or it has been sent away or cancelled."""
        return self._first.done()

    def call(self) -> None:
        """Tell that it is the first now."""
        if not self._first.done():
            self._first.set_result(None)

    def send_away(self, error: Exception) -> None:
        """End the waiting by an error."""
        self._first.set_exception(error)
        self._first.exception()  # heard, even if it is cancelled before it wakes

    async def first(self) -> None:
        """Wait to be the first, or for the error that ends the waiting."""
        await self._first
