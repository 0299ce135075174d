"""Patience: the limits of a request that is under way; they stand still while it waits its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar


class Patience:
    """How long a request may take: `RetryingStore` sets the limits, `PacedStore` stops them."""

    __slots__ = ("_answer", "_answer_s", "_clock", "waited_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        """Tell the time by `clock`."""
        self._clock = clock
        self._answer: asyncio.Timeout | None = None
        self._answer_s = 0.0
        self.waited_s = 0.0
        """What the request has waited for its turns so far."""

    def answer_within(self, answer_s: float) -> asyncio.Timeout:
        """Give the limit of one attempt, which cuts it when its answer does not come."""
        self._answer = asyncio.timeout(answer_s)
        self._answer_s = answer_s
        return self._answer

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """See `standing_still`."""
        since_s = self._clock()
        if self._answer is not None:
            self._answer.reschedule(None)
        try:
            yield
        finally:
            self.waited_s += self._clock() - since_s
            if self._answer is not None:
                now_s = asyncio.get_running_loop().time()
                self._answer.reschedule(now_s + self._answer_s)


patience: ContextVar[Patience | None] = ContextVar("patience", default=None)
"""Of the request that this task makes; None: nobody limits it."""


def standing_still() -> AbstractContextManager[None]:
    """Let no limit of this task's request count; the answer's has its whole time afterwards."""
    limits = patience.get()
    return nullcontext() if limits is None else limits.standing_still()
