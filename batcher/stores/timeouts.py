"""Patience: the limits of a request that is under way; they stand still while it waits its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar


class PausableTimeout:
    """How long a request may take: `RetryingStore` sets the limits, `PacedStore` stops them."""

    __slots__ = ("_clock", "_response_s", "_response_timeout", "paused_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        """Report the time by `clock`."""
        self._clock = clock
        self._response_timeout: asyncio.Timeout | None = None
        self._response_s = 0.0
        self.paused_s = 0.0
        """What the request has waited for its turns so far."""

    def limit_response(self, response_s: float) -> asyncio.Timeout:
        """Return the limit of one attempt, which cuts it when its answer does not come."""
        self._response_timeout = asyncio.timeout(response_s)
        self._response_s = response_s
        return self._response_timeout

    @contextmanager
    def paused(self) -> Iterator[None]:
        """See `standing_still`."""
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


current_timeout: ContextVar[PausableTimeout | None] = ContextVar("patience", default=None)
"""Of the request that this task makes; None: nobody limits it."""


def paused() -> AbstractContextManager[None]:
    """Let no limit of this task's request count; the answer's has its whole time afterwards."""
    limits = current_timeout.get()
    return nullcontext() if limits is None else limits.paused()
