"""PacedStore: sends each request when its prefix's turn has come, and a slot is free."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import TypeVar

from batcher.concurrency import current_deadline_s, slot_released
from batcher.errors import RetryableError, ThrottledError, TooLateError
from batcher.stores.base import MultipartUpload, ObjectAttributes, ObjectInfo, ObjectStore
from batcher.stores.rate_limits.limiter import PrefixLimiter, PrefixLimiters
from batcher.stores.rate_limits.queue import Waiter, WaitQueue
from batcher.stores.timeouts import paused

T = TypeVar("T")


MAX_DOWN_S = 60.0
"""A request waits for its turn while others have theirs. Where the store has refused everything
for so long, it is handed back; those whose turn comes are sent, and find out when that is over."""


log = logging.getLogger("batcher")


class RateLimitedStore:
    """Keeps each prefix at the pace that the store bears, and all together within their slots.

    A request first waits for its prefix's turn, and holds nothing meanwhile; then it takes a slot,
    and keeps it while it is on the wire. So neither a slow prefix nor one that backs off takes a
    slot from another. Whatever ends the waiting, cancellation included, leaves nothing taken.

    PUT and all requests of a multipart upload count, for they share one limit in S3. HEAD has
    another one: it only needs a slot. An abort counts, and waits for nothing: it is cleanup.
    """

    def __init__(
        self,
        inner: ObjectStore,
        limiters: PrefixLimiters,
        concurrency: int,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Pace the requests to `inner`.

        Args:
            inner: sends each request once.
            paces: of its prefixes.
            concurrency: slots, for all requests together.
            sleep: waits so many seconds.
            clock: seconds, as the deadline has them; None: the event loop's.
        """
        self.inner = inner
        self.limiters = limiters
        """How fast each prefix goes, and what was refused and waited for."""
        self._slots = asyncio.Semaphore(concurrency)
        self._queues: dict[str, WaitQueue] = {}
        self._sleep = sleep
        self._clock = clock

    def __repr__(self) -> str:
        return repr(self.inner)

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object; see `ObjectStore.put`."""
        put = partial(self.inner.put, key, body, attributes, if_match=if_match)
        return await self.send("put", key, put)

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object; see `ObjectStore.head`."""
        with paused():
            await self._slots.acquire()
        try:
            return await self.inner.head(key)
        finally:
            self._slots.release()

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> RateLimitedUpload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""
        create = partial(self.inner.create_upload, key, attributes, part_bytes=part_bytes)
        return RateLimitedUpload(self, await self.send("create", key, create), key)

    def count_unlimited(self, key: str) -> None:
        """Count a request that goes out whatever the pace."""
        now_s = (self._clock or asyncio.get_running_loop().time)()
        self.limiters.get(self.limiters.get_prefix(key), now_s).count_unlimited(now_s)

    async def aclose(self) -> None:
        """Close the inner store."""
        await self.inner.aclose()

    async def send(
        self,
        operation: str,
        key: str,
        make_request: Callable[[], Awaitable[T]],
        *,
        timed: bool = True,
    ) -> T:
        """Make a request when it is its turn, and tell the pace how it ended.

        Args:
            operation: for messages.
            key: whose prefix is paced.
            request: makes it.
            is_timed: whether the time that the answer takes says how busy the store is.

        Raises:
            TooLateError: its turn would come after the event's deadline, or nobody knows when.
        """
        now = self._clock or asyncio.get_running_loop().time
        prefix = self.limiters.get_prefix(key)
        began_s = now()
        pace = self.limiters.get(prefix, began_s)
        if pace.waiters or pace.delay_s(began_s) or self._slots.locked():
            began_s = await self._wait_for_turn(
                pace, prefix, Waiter(operation, key, current_deadline_s.get()), now
            )
        else:
            await self._slots.acquire()  # one is free, so nothing waits
        pace.on_start(began_s)
        try:
            answer = await make_request()
        except ThrottledError as error:
            self._on_throttle(pace, prefix, began_s, now(), error.retry_after_s)
            raise
        except RetryableError:
            pace.on_failure()
            raise
        except asyncio.CancelledError:
            pace.on_cancel(began_s, now())
            raise
        except BaseException:
            pace.on_response(began_s, now(), timed=timed)  # no success, but an answer
            raise
        else:
            pace.on_response(began_s, now(), timed=timed)
            return answer
        finally:
            self._slots.release()
            if pace.waiters:
                self._queues[prefix].notify()

    async def _wait_for_turn(
        self, limiter: PrefixLimiter, prefix: str, waiter: Waiter, clock: Callable[[], float]
    ) -> float:
        """Wait in the prefix's line; give the time when the turn has come, with a slot taken."""
        since_s = clock()
        _raise_if_late(limiter, prefix, since_s, waiter, limiter.waiters)
        line = self._queues.setdefault(prefix, WaitQueue())
        line.join(waiter)
        limiter.waiters += 1
        try:
            with paused(), slot_released():
                await waiter.wait_until_first()
                while True:
                    now_s = clock()
                    delay_s = limiter.delay_s(now_s)
                    if delay_s == inf:
                        await line.wait_for_capacity()
                    elif delay_s:
                        _raise_if_late(limiter, prefix, now_s, waiter, 0)
                        await self._sleep(delay_s)
                    else:
                        await self._slots.acquire()
                        now_s = clock()
                        if not limiter.delay_s(now_s):
                            return now_s
                        self._slots.release()  # it took long, and things have changed
        finally:
            limiter.waiters -= 1
            limiter.total_wait_s += clock() - since_s
            line.leave(waiter)
            if not line:
                del self._queues[prefix]

    def _on_throttle(
        self,
        limiter: PrefixLimiter,
        prefix: str,
        began_s: float,
        now_s: float,
        retry_after_s: float | None,
    ) -> None:
        """Report the pace of a refusal, and hand back who cannot make it in time any more."""
        was_slow = limiter.is_reduced(now_s)
        if not limiter.on_throttle(began_s, now_s, retry_after_s):
            return
        if not was_slow:
            log.warning("prefix_slowed prefix=%s per_s=%.3g", prefix, limiter.rate_per_s(now_s))
        if limiter.waiters:
            too_late = partial(_late_error, limiter, prefix, now_s)
            self._queues[prefix].reject_late(too_late)


class RateLimitedUpload:
    """An upload whose requests are paced."""

    def __init__(self, store: RateLimitedStore, inner: MultipartUpload, key: str) -> None:
        """Pace the requests to `inner` as `store` does."""
        self.inner = inner
        self._store = store
        self._key = key

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`; see `Upload.put_part`."""
        put_part = partial(self.inner.put_part, number, body)
        await self._store.send(f"part {number}", self._key, put_part)

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Make the object appear; see `Upload.complete`."""
        complete = partial(self.inner.complete, if_match=if_match)
        return await self._store.send("complete", self._key, complete, timed=False)

    async def abort(self) -> None:
        """Throw the parts away; see `Upload.abort`."""
        self._store.count_unlimited(self._key)
        await self.inner.abort()


def _raise_if_late(
    limiter: PrefixLimiter, prefix: str, now_s: float, waiter: Waiter, ahead: int
) -> None:
    """Raise TooLateError if the turn of a request that has so many before it comes too late."""
    error = _late_error(limiter, prefix, now_s, waiter, ahead)
    if error is not None:
        raise error


def _late_error(
    limiter: PrefixLimiter, prefix: str, now_s: float, waiter: Waiter, ahead: int
) -> TooLateError | None:
    """Return the error for a request that would wait beyond its deadline, or for nothing."""
    wait_s = limiter.estimate_wait_s(now_s, ahead)
    away_s = limiter.down_s(now_s)
    if waiter.deadline_s is not None and now_s + wait_s > waiter.deadline_s:
        left_s = waiter.deadline_s - now_s
        why = f"in {wait_s:.1f} s, and the event's deadline is in {left_s:.1f} s"
    elif away_s and away_s + wait_s > MAX_DOWN_S:
        why = f"in {wait_s:.1f} s, and S3 has refused everything here for {away_s:.1f} s"
    else:
        return None
    text = (
        f"{waiter.operation} {waiter.key}: not sent: its turn would come {why}. "
        f"{prefix!r} goes at {limiter.rate_per_s(now_s):.3g} requests/s in this process now, "
        f"{ahead} wait before this one, {limiter.throttles} were refused so far: raise `fanout`, "
        "send less at once, "
        "or give the event more time"
    )
    return TooLateError(text)
