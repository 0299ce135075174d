"""RateLimitedStore: sends each request when its prefix's turn has come and a slot is free."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from math import inf

from batcher.errors import RetryableError, ThrottledError, TooLateError
from batcher.stores.base import ObjectStore
from batcher.stores.rate_limits.limiter import PrefixLimiter, PrefixLimiters
from batcher.stores.rate_limits.queue import Waiter, WaitQueue
from batcher.stores.request import Operation, Request, Response

MIN_RESPONSE_S = 0.25
"""A request whose turn comes later than this before its deadline is not sent: cancelled before its
response, it would have taken the turn for nothing."""


MAX_DOWN_S = 60.0
"""After S3 has refused everything for this long, waiting requests fail instead of waiting on.
Requests whose turn comes are still sent, to find out when S3 is up again."""


log: logging.Logger = logging.getLogger("batcher")


class RateLimitedStore(ObjectStore):
    """Limits the request rate of each prefix, and the concurrency of all of them together.

    A request first waits for its prefix's turn without holding anything. Then it takes a slot, and
    holds it while it is on the wire. So a prefix that is slow or backs off takes no slot from
    another. However the wait ends, cancellation included, nothing stays taken.

    PUT and all requests of a multipart upload share one rate limit in S3, so all count. HEAD and
    READ have a separate limit in S3, and only take a slot. An abort counts, but waits for nothing.
    """

    def __init__(
        self,
        inner: ObjectStore,
        limiters: PrefixLimiters,
        concurrency: int,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Limit the requests to `inner`.

        Args:
            inner: sends each request once.
            limiters: of its prefixes.
            concurrency: slots for all requests together.
            clock: seconds, comparable with `Request.deadline_s`; None: the event loop's.
        """
        self.inner = inner
        self.limiters = limiters
        """The rate of each prefix, its throttles, and the time spent waiting."""
        self._slots = asyncio.Semaphore(concurrency)
        self._queues: dict[str, WaitQueue] = {}
        self._clock = clock

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
        """Send a request when it is its turn, and adapt the limits to the response.

        Raises:
            TooLateError: its turn would come after its deadline, or S3 is down.
        """
        now = self._clock or asyncio.get_running_loop().time
        operation = request.operation
        if operation.only_reads:
            return await self._send_in_slot(request)
        prefix = self.limiters.get_prefix(request.key)
        began_s = now()
        limiter = self.limiters.get(prefix, began_s)
        if operation.is_cleanup:
            limiter.count_unlimited(began_s)
            return await self.inner.send(request)
        if limiter.waiters or limiter.delay_s(began_s) or self._slots.locked():
            began_s = await self._wait_for_turn(limiter, prefix, request, now)
        else:
            await self._slots.acquire()  # one is free, so this does not wait
        limiter.on_start(began_s)
        # S3 may join parts for minutes: the time of a completion does not show how busy it is
        timed = operation is not Operation.COMPLETE_UPLOAD
        try:
            response = await self.inner.send(request)
        except ThrottledError as error:
            self._on_throttle(limiter, prefix, began_s, now(), error.retry_after_s)
            raise
        except RetryableError:
            limiter.on_failure()
            raise
        except asyncio.CancelledError:
            limiter.on_cancel(began_s, now())
            raise
        except BaseException:
            limiter.on_response(began_s, now(), timed=timed)  # an error, but a response
            raise
        else:
            limiter.on_response(began_s, now(), timed=timed)
            return response
        finally:
            self._slots.release()
            if limiter.waiters:
                self._queues[prefix].notify()

    async def _send_in_slot(self, request: Request) -> Response:
        """Send a request that needs no turn."""
        with request.timeout_paused():
            await self._slots.acquire()
        try:
            return await self.inner.send(request)
        finally:
            self._slots.release()

    async def _wait_for_turn(
        self, limiter: PrefixLimiter, prefix: str, request: Request, clock: Callable[[], float]
    ) -> float:
        """Wait in the prefix's queue. Return the time of the turn, with a slot taken."""
        waiter = Waiter(request.label, request.key, request.deadline_s)
        since_s = clock()
        _raise_if_late(limiter, prefix, since_s, waiter, limiter.waiters)
        queue = self._queues.setdefault(prefix, WaitQueue())
        queue.join(waiter)
        limiter.waiters += 1
        try:
            with request.timeout_paused(), request.slot_released():
                await waiter.wait_until_first()
                while True:
                    now_s = clock()
                    delay_s = limiter.delay_s(now_s)
                    if delay_s:
                        if delay_s != inf:
                            _raise_if_late(limiter, prefix, now_s, waiter, 0)
                        await queue.wait_for_turn(delay_s)
                    else:
                        await self._slots.acquire()
                        now_s = clock()
                        if not limiter.delay_s(now_s):
                            return now_s
                        self._slots.release()  # the limit has changed while this waited for a slot
        finally:
            limiter.waiters -= 1
            limiter.total_wait_s += clock() - since_s
            queue.leave(waiter)
            if not queue:
                del self._queues[prefix]

    def _on_throttle(
        self,
        limiter: PrefixLimiter,
        prefix: str,
        began_s: float,
        now_s: float,
        retry_after_s: float | None,
    ) -> None:
        """Lower the rate, and reject the waiting requests that cannot meet their deadline now."""
        was_reduced = limiter.is_reduced(now_s)
        if not limiter.on_throttle(began_s, now_s, retry_after_s):
            return
        if not was_reduced:
            log.warning("prefix_slowed prefix=%s per_s=%.3g", prefix, limiter.rate_per_s(now_s))
        if limiter.waiters:
            late_error = partial(_late_error, limiter, prefix, now_s)
            self._queues[prefix].reject_late(late_error)


def _raise_if_late(
    limiter: PrefixLimiter, prefix: str, now_s: float, waiter: Waiter, ahead: int
) -> None:
    """Raise TooLateError if the turn of a request with `ahead` others before it comes too late."""
    error = _late_error(limiter, prefix, now_s, waiter, ahead)
    if error is not None:
        raise error


def _late_error(
    limiter: PrefixLimiter, prefix: str, now_s: float, waiter: Waiter, ahead: int
) -> TooLateError | None:
    """Return the error for a request that would wait beyond its deadline, or while S3 is down."""
    wait_s = limiter.estimate_wait_s(now_s, ahead)
    down_s = limiter.down_s(now_s)
    if waiter.deadline_s is not None and now_s + wait_s + MIN_RESPONSE_S > waiter.deadline_s:
        left_s = waiter.deadline_s - now_s
        why = f"in {wait_s:.1f} s, and the event's deadline is in {left_s:.1f} s"
    elif down_s and down_s + wait_s > MAX_DOWN_S:
        why = f"in {wait_s:.1f} s, and S3 has refused everything here for {down_s:.1f} s"
    else:
        return None
    text = (
        f"{waiter.operation} {waiter.key}: not sent: its turn would come {why}. "
        f"{prefix!r} goes at {limiter.rate_per_s(now_s):.3g} requests/s in this process now, "
        f"{ahead} wait before this one, {limiter.throttles} were refused so far; raise `fanout`, "
        "send less at once, "
        "or give the event more time"
    )
    return TooLateError(text)
