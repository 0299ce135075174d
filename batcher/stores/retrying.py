"""RetryingStore: retries a request while that can help and there is time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace

from batcher.errors import (
    PreconditionFailedError,
    RetryableError,
    TooLateError,
    UploadLostError,
    own_copy,
    shorten,
)
from batcher.stores.base import ObjectStore
from batcher.stores.request import Operation, PausableTimeout, Request, Response, RetryLog

WARN_AFTER_S = 3.0
"""A request that is retried for longer is logged, lest the program seems to hang."""


WARN_EVERY_S = 30.0
"""So often at most, for all requests of a store together."""


log: logging.Logger = logging.getLogger("batcher")


class RetryingStore(ObjectStore):
    """Retries what failed with `RetryableError`, with full jitter, until a deadline.

    The deadline is the request's, or `Backoff.max_elapsed_s` after its start, whichever is first.
    While the request waits for its turn (`RateLimitedStore`) only its own deadline counts. An
    attempt without a response is cut after `Request.response_timeout_s` and retried. That is safe
    because every write is conditional: a late one meets 412, and makes no second object. All other
    errors are raised at once. The store inside must not retry by itself, or attempts multiply.
    """

    def __init__(  # noqa: PLR0913  # time and chance come from outside
        self,
        inner: ObjectStore,
        backoff: Backoff | None = None,
        *,
        on_retry: Callable[[], None] | None = None,
        jitter: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Retry the requests to `inner`.

        Args:
            inner: sends each request once.
            backoff: how long to wait, and when to give up.
            on_retry: called before each retry.
            jitter: returns random numbers from 0 to 1, which spread the waits.
            sleep: waits this many seconds.
            clock: seconds, comparable with `Request.deadline_s`; None: the event loop's.
        """
        self.inner = inner
        self._backoff = Backoff() if backoff is None else backoff
        self._on_retry = _ignore if on_retry is None else on_retry
        self._jitter = _random_jitter if jitter is None else jitter
        self._sleep = sleep
        self._clock = clock
        self._next_warning_s = float("-inf")

    def __repr__(self) -> str:
        return repr(self.inner)

    @property
    def parallel_parts(self) -> int:
        """As the inner store's."""
        return self.inner.parallel_parts

    async def aclose(self) -> None:
        """Close the inner store."""
        await self.inner.aclose()

    async def send(self, request: Request) -> Response:
        """Send until success, an error that a retry cannot help, or the deadline."""
        now = self._clock or asyncio.get_running_loop().time
        began_s = now()
        operation = request.operation
        retry_log = request.retry_log or RetryLog(request.key)
        timeout = PausableTimeout(now)
        request = replace(request, timeout=timeout)
        response_timeout_s = request.response_timeout_s
        attempts = 0
        while True:
            attempts += 1
            try:
                async with timeout.limit_response(response_timeout_s):
                    response = await self.inner.send(request)
            except (UploadLostError, TooLateError):
                raise
            except RetryableError as error:
                failure = shorten(error)  # else its frames would hold it, and the request
            except TimeoutError:
                msg = (
                    f"{request.label} {request.key}: no response within {response_timeout_s:.0f} s"
                )
                failure = RetryableError(msg)
            except PreconditionFailedError:
                if operation is Operation.PUT:  # perhaps ours, by an attempt without a response
                    retry_log.write()
                raise
            else:
                if operation.creates_object:
                    retry_log.write()
                return response
            delay_s = self._backoff.delay_s(attempts, self._jitter(), failure.retry_after_s)
            lasted_s = now() - began_s
            left_s = self._until_s(request, began_s, timeout) - began_s - lasted_s
            if delay_s >= left_s:
                raise _final(failure, f"gave up after {lasted_s:.1f} s and {_count(attempts)}")
            retry_log.add(request.label, failure)
            self._on_retry()
            self._warn(failure, lasted_s, left_s)
            with request.slot_released():
                await self._sleep(delay_s)

    def _until_s(self, request: Request, began_s: float, timeout: PausableTimeout) -> float:
        """Return when the request fails if it has not succeeded. Clean-ups ignore the deadline."""
        until_s = began_s + self._backoff.max_elapsed_s + timeout.paused_s
        if request.deadline_s is None or request.operation.is_cleanup:
            return until_s
        return min(until_s, request.deadline_s)

    def _warn(self, failure: RetryableError, lasted_s: float, left_s: float) -> None:
        """Log what is retried and for how long, unless another request was logged before."""
        now_s = (self._clock or asyncio.get_running_loop().time)()
        if lasted_s >= WARN_AFTER_S and now_s >= self._next_warning_s:
            self._next_warning_s = now_s + WARN_EVERY_S
            log.warning("still retrying, for at most %.0f s more: %s", left_s, failure)


def _count(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts:,} attempts"


def _final(failure: RetryableError, end: str) -> RetryableError:
    """Return the last failure of a request, with its cause, to be raised for the request."""
    final = own_copy(failure)
    final.args = (f"{failure} ({end})",)
    return final.with_traceback(None)


def _ignore() -> None:
    pass


def _random_jitter() -> float:
    import random  # noqa: PLC0415  # only needed after a failure

    return random.random()  # noqa: S311  # no secret


class Backoff(Struct, frozen=True):
    """Full jitter: a random time up to a ceiling that doubles with each attempt.

    Without it, writers that were refused together would return together.
    Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """

    base_s: float = 0.1
    """The ceiling after the first attempt."""
    cap_s: float = 5.0
    """The ceiling never grows beyond this."""
    max_elapsed_s: float = 30.0
    """A request fails this long after its start, whatever the deadline."""

    def delay_s(self, attempts: int, jitter: float, retry_after_s: float | None) -> float:
        """Return the time to wait before the next attempt.

        Args:
            attempts: how many have failed, from 1.
            jitter: a random number from 0 to 1, which chooses below the ceiling.
            retry_after_s: what the store asked for. It is waited in full. The jitter is added, to
                spread the writers that received the same value.
        """
        doublings = min(attempts - 1, 30)  # far beyond any cap, and never an overflow
        ceiling_s = min(self.cap_s, self.base_s * 2.0**doublings)
        return (retry_after_s or 0.0) + jitter * ceiling_s
