"""The response timeout of a request, which is paused while the request waits for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class PausableTimeout:
    """Time limits of one request. `RetryingStore` sets them, `RateLimitedStore` pauses them."""

    __slots__ = ("_clock", "_response_s", "_response_timeout", "paused_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        """Read the time from `clock`, in seconds."""
        self._clock = clock
        self._response_timeout: asyncio.Timeout | None = None
        self._response_s = 0.0
        self.paused_s = 0.0
        """How long the request has waited for its turns so far."""

    def limit_response(self, response_s: float) -> asyncio.Timeout:
        """Return a timeout that cancels an attempt whose response takes longer than this."""
        self._response_timeout = asyncio.timeout(response_s)
        self._response_s = response_s
        return self._response_timeout

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all limits meanwhile. The response has its whole time again afterwards."""
        since_s = self._clock()
        if self._response_timeout is not None:
            self._response_timeout.reschedule(None)
        try:
            yield
        finally:
            self.paused_s += self._clock() - since_s
            if self._response_timeout is not None:
                now_s = asyncio.get_running_loop().time()
                self._response_timeout.reschedule(now_s + self._response_s)
