"""PacedStore: sends each request when its prefix's turn has come, and a slot is free."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import TypeVar

from batcher.concurrency import aside, deadline_s
from batcher.errors import RetryableError, ThrottledError, TooLateError
from batcher.stores.base import About, ObjectStore, Stored, Upload
from batcher.stores.rate_limits.limiter import Pace, Paces
from batcher.stores.rate_limits.queue import Line, Place
from batcher.stores.timeouts import standing_still

T = TypeVar("T")


LONGEST_AWAY_S = 60.0
"""A request waits for its turn while others have theirs. Where the store has refused everything
for so long, it is handed back; those whose turn comes are sent, and find out when that is over."""


log = logging.getLogger("batcher")


class PacedStore:
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
        paces: Paces,
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
        self.paces = paces
        """How fast each prefix goes, and what was refused and waited for."""
        self._slots = asyncio.Semaphore(concurrency)
        self._lines: dict[str, Line] = {}
        self._sleep = sleep
        self._clock = clock

    def __repr__(self) -> str:
        return repr(self.inner)

    async def put(
        self, key: str, body: bytes, about: About, *, replaces: str | None = None
    ) -> Stored:
        """Store one object; see `ObjectStore.put`."""
        put = partial(self.inner.put, key, body, about, replaces=replaces)
        return await self.send("put", key, put)

    async def head(self, key: str) -> Stored | None:
        """Look at an object; see `ObjectStore.head`."""
        with standing_still():
            await self._slots.acquire()
        try:
            return await self.inner.head(key)
        finally:
            self._slots.release()

    async def create_upload(self, key: str, about: About, *, part_bytes: int) -> PacedUpload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""
        create = partial(self.inner.create_upload, key, about, part_bytes=part_bytes)
        return PacedUpload(self, await self.send("create", key, create), key)

    def count(self, key: str) -> None:
        """Count a request that goes out whatever the pace."""
        now_s = (self._clock or asyncio.get_running_loop().time)()
        self.paces.of(self.paces.prefix_of(key), now_s).count(now_s)

    async def aclose(self) -> None:
        """Close the inner store."""
        await self.inner.aclose()

    async def send(
        self,
        operation: str,
        key: str,
        request: Callable[[], Awaitable[T]],
        *,
        is_timed: bool = True,
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
        prefix = self.paces.prefix_of(key)
        began_s = now()
        pace = self.paces.of(prefix, began_s)
        if pace.waiting or pace.delay_s(began_s) or self._slots.locked():
            began_s = await self._turn(pace, prefix, Place(operation, key, deadline_s.get()), now)
        else:
            await self._slots.acquire()  # one is free, so nothing waits
        pace.begin(began_s)
        try:
            answer = await request()
        except ThrottledError as error:
            self._slow_down(pace, prefix, began_s, now(), error.retry_after_s)
            raise
        except RetryableError:
            pace.failed()
            raise
        except asyncio.CancelledError:
            pace.unanswered(began_s, now())
            raise
        except BaseException:
            pace.answered(began_s, now(), is_timed=is_timed)  # no success, but an answer
            raise
        else:
            pace.answered(began_s, now(), is_timed=is_timed)
            return answer
        finally:
            self._slots.release()
            if pace.waiting:
                self._lines[prefix].free()

    async def _turn(self, pace: Pace, prefix: str, place: Place, now: Callable[[], float]) -> float:
        """Wait in the prefix's line; give the time when the turn has come, with a slot taken."""
        since_s = now()
        _check(pace, prefix, since_s, place, pace.waiting)
        line = self._lines.setdefault(prefix, Line())
        line.join(place)
        pace.waiting += 1
        try:
            with standing_still(), aside():
                await place.first()
                while True:
                    now_s = now()
                    delay_s = pace.delay_s(now_s)
                    if delay_s == inf:
                        await line.freed()
                    elif delay_s:
                        _check(pace, prefix, now_s, place, 0)
                        await self._sleep(delay_s)
                    else:
                        await self._slots.acquire()
                        now_s = now()
                        if not pace.delay_s(now_s):
                            return now_s
                        self._slots.release()  # it took long, and things have changed
        finally:
            pace.waiting -= 1
            pace.waited_s += now() - since_s
            line.leave(place)
            if not line:
                del self._lines[prefix]

    def _slow_down(
        self, pace: Pace, prefix: str, began_s: float, now_s: float, retry_after_s: float | None
    ) -> None:
        """Tell the pace of a refusal, and hand back who cannot make it in time any more."""
        was_slow = pace.is_slow(now_s)
        if not pace.refused(began_s, now_s, retry_after_s):
            return
        if not was_slow:
            log.warning("prefix_slowed prefix=%s per_s=%.3g", prefix, pace.per_s(now_s))
        if pace.waiting:
            too_late = partial(_too_late, pace, prefix, now_s)
            self._lines[prefix].send_away(too_late)


class PacedUpload:
    """An upload whose requests are paced."""

    def __init__(self, store: PacedStore, inner: Upload, key: str) -> None:
        """Pace the requests to `inner` as `store` does."""
        self.inner = inner
        self._store = store
        self._key = key

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`; see `Upload.put_part`."""
        put_part = partial(self.inner.put_part, number, body)
        await self._store.send(f"part {number}", self._key, put_part)

    async def complete(self, *, replaces: str | None = None) -> Stored:
        """Make the object appear; see `Upload.complete`."""
        complete = partial(self.inner.complete, replaces=replaces)
        return await self._store.send("complete", self._key, complete, is_timed=False)

    async def abort(self) -> None:
        """Throw the parts away; see `Upload.abort`."""
        self._store.count(self._key)
        await self.inner.abort()


def _check(pace: Pace, prefix: str, now_s: float, place: Place, ahead: int) -> None:
    """Raise TooLateError if the turn of a request that has so many before it comes too late."""
    error = _too_late(pace, prefix, now_s, place, ahead)
    if error is not None:
        raise error


def _too_late(
    pace: Pace, prefix: str, now_s: float, place: Place, ahead: int
) -> TooLateError | None:
    """Give the error for a request that would wait beyond its deadline, or for nothing."""
    wait_s = pace.wait_s(now_s, ahead)
    away_s = pace.away_s(now_s)
    if place.deadline_s is not None and now_s + wait_s > place.deadline_s:
        left_s = place.deadline_s - now_s
        why = f"in {wait_s:.1f} s, and the event's deadline is in {left_s:.1f} s"
    elif away_s and away_s + wait_s > LONGEST_AWAY_S:
        why = f"in {wait_s:.1f} s, and S3 has refused everything here for {away_s:.1f} s"
    else:
        return None
    text = (
        f"{place.operation} {place.key}: not sent: its turn would come {why}. "
        f"{prefix!r} goes at {pace.per_s(now_s):.3g} requests/s in this process now, {ahead} wait "
        f"before this one, {pace.refusals} were refused so far: raise `fanout`, send less at once, "
        "or give the event more time"
    )
    return TooLateError(text)
