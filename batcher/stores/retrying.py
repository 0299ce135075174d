"""RetryingStore: sends a request again while that can help and there is time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from batcher.concurrency import current_deadline_s, slot_released
from batcher.errors import PreconditionFailedError, RetryableError, TooLateError, UploadLostError
from batcher.stores.base import MultipartUpload, ObjectAttributes, ObjectInfo, ObjectStore
from batcher.stores.timeouts import PausableTimeout, current_timeout

log = logging.getLogger("batcher")


T = TypeVar("T")


RESPONSE_TIMEOUT_S = 10.0
"""How long an answer may take beyond the sending of the body, before the request is sent again."""


MIN_BYTES_PER_S = 256 * 1024
"""A connection that is slower than this is taken for dead."""


COMPLETE_TIMEOUT_S = 300.0
"""S3 joins parts for minutes. Source: Amazon S3 API reference, CompleteMultipartUpload."""


ABORT_TIMEOUT_IN_EVENT_S, ABORT_TIMEOUT_IN_PROGRAM_S = 0.2, 3.0
"""An abort's own limit, so that there is time for another: see `batcher.writing.multipart`."""


class RetryingStore:
    """Repeats what failed with `RetryableError`, with full jitter, until a deadline.

    The deadline is the event's (`batcher.concurrency`), or `Backoff.max_elapsed_s` after the
    request was begun, whichever comes first. An attempt whose answer does not come is cut and sent
    again: every write is conditional, so a late one meets 412 and makes no second object. While it
    waits for its turn (`RateLimitedStore`) only the event's deadline counts. All other errors are
    raised at once. The store inside must not retry by itself, or attempts multiply.
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
        """Repeat the requests to `inner`.

        Args:
            inner: sends each request once.
            backoff: how long to wait, and when to give up.
            on_retry: called at each request that is sent again.
            share: gives random numbers from 0 to 1, which spread the waiting; None: by chance.
            sleep: waits so many seconds.
            clock: seconds, as the deadline has them; None: the event loop's.
        """
        self.inner = inner
        self._backoff = Backoff() if backoff is None else backoff
        self._on_retry = on_retry
        self._jitter = _random_jitter if jitter is None else jitter
        self._sleep = sleep
        self._clock = clock

    def __repr__(self) -> str:
        return repr(self.inner)

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object; see `ObjectStore.put`."""

        async def put() -> ObjectInfo:
            return await self.inner.put(key, body, attributes, if_match=if_match)

        repeated = RetryLog(key)
        try:
            stored = await self.retry("put", repeated, put, _body_timeout_s(body))
        except PreconditionFailedError:  # perhaps our own, by an attempt whose answer was lost
            repeated.write()
            raise
        repeated.write()
        return stored

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object; see `ObjectStore.head`."""

        async def head() -> ObjectInfo | None:
            return await self.inner.head(key)

        return await self.retry("head", RetryLog(key), head, RESPONSE_TIMEOUT_S)

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> RetryingUpload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""

        async def create() -> MultipartUpload:
            return await self.inner.create_upload(key, attributes, part_bytes=part_bytes)

        repeated = RetryLog(key)
        return RetryingUpload(
            self, await self.retry("create", repeated, create, RESPONSE_TIMEOUT_S), repeated
        )

    async def aclose(self) -> None:
        """Close the inner store."""
        await self.inner.aclose()

    async def retry(
        self,
        operation: str,
        retry_log: RetryLog,
        send: Callable[[], Awaitable[T]],
        response_timeout_s: float,
        *,
        cleanup: bool = False,
    ) -> T:
        """Send until it succeeds, cannot, or there is no time for another attempt.

        Args:
            operation: for messages.
            repeated: of the object, whose key is for messages; what is sent again is noted there.
            send: makes one attempt.
            answer_s: when an attempt is cut; the next one may succeed.
            is_cleanup: whether it must also be done after the event's deadline; its caller then
                says how long.
        """
        now = self._clock or asyncio.get_running_loop().time
        began_s = now()
        ends_s = None if cleanup else current_deadline_s.get()
        limits = PausableTimeout(now)
        attempts = 0
        while True:
            attempts += 1
            current_timeout.set(limits)
            try:
                async with limits.limit_response(response_timeout_s):
                    return await send()
            except (UploadLostError, TooLateError):
                raise
            except RetryableError as error:
                failure = error
            except TimeoutError:
                failure = RetryableError(
                    f"{operation} {retry_log.key}: no answer within {response_timeout_s:.0f} s"
                )
            finally:
                current_timeout.set(None)
            delay_s = self._backoff.delay_s(attempts, self._jitter(), failure.retry_after_s)
            until_s = began_s + self._backoff.max_elapsed_s + limits.paused_s
            if now() + delay_s >= (until_s if ends_s is None else min(until_s, ends_s)):
                lasted_s = now() - began_s
                msg = f"{failure} (attempt {attempts}, after {lasted_s:.1f} s: no time for another)"
                raise RetryableError(msg, failure.retry_after_s) from failure
            retry_log.add(operation, failure)
            if self._on_retry is not None:
                self._on_retry()
            with slot_released():
                await self._sleep(delay_s)


class RetryingUpload:
    """An upload whose requests are repeated."""

    def __init__(self, store: RetryingStore, inner: MultipartUpload, retry_log: RetryLog) -> None:
        """Repeat the requests to `inner` as `store` does; its creation is in `repeated`."""
        self.inner = inner
        self._store = store
        self._retry_log = retry_log

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`; see `Upload.put_part`."""

        async def put_part() -> None:
            await self.inner.put_part(number, body)

        await self._store.retry(f"part {number}", self._retry_log, put_part, _body_timeout_s(body))

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Make the object appear; see `Upload.complete`."""

        async def complete() -> ObjectInfo:
            return await self.inner.complete(if_match=if_match)

        stored = await self._store.retry("complete", self._retry_log, complete, COMPLETE_TIMEOUT_S)
        self._retry_log.write()
        return stored

    async def abort(self) -> None:
        """Throw the parts away; see `Upload.abort`."""
        answer_s = (
            ABORT_TIMEOUT_IN_PROGRAM_S
            if current_deadline_s.get() is None
            else ABORT_TIMEOUT_IN_EVENT_S
        )
        await self._store.retry("abort", self._retry_log, self.inner.abort, answer_s, cleanup=True)


def _body_timeout_s(body: bytes) -> float:
    """Return the longest time in which a body is sent and answered."""
    return RESPONSE_TIMEOUT_S + len(body) / MIN_BYTES_PER_S


def _random_jitter() -> float:
    import random  # noqa: PLC0415  # where nothing fails, nothing is drawn

    return random.random()  # noqa: S311  # no secret


class Backoff(Struct, frozen=True):
    """Full jitter: any time up to a ceiling that doubles with each attempt.

    So many writers that were refused together do not come back together.
    Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """

    base_s: float = 0.1
    """The ceiling after the first attempt."""
    cap_s: float = 5.0
    """The ceiling never grows beyond this."""
    max_elapsed_s: float = 30.0
    """One request is given up this long after it was begun, whatever the deadline."""

    def delay_s(self, attempts: int, jitter: float, retry_after_s: float | None) -> float:
        """Return the time to wait before the next attempt.

        Args:
            attempts: how many have failed, from 1.
            share: a random number from 0 to 1, which chooses below the ceiling.
            retry_after_s: what the store asked for; it is waited for in full, and the jitter on
                top of it spreads those who were told the same.
        """
        doublings = min(attempts - 1, 30)  # far beyond any cap, and never an overflow
        ceiling_s = min(self.cap_s, self.base_s * 2.0**doublings)
        return (retry_after_s or 0.0) + jitter * ceiling_s


class RetryLog:
    """Remembers the first failure of an object's requests, and how many were sent again.

    Where the object does not come about, nothing is told here: the error that says so is.
    """

    __slots__ = ("_first_error", "_first_operation", "_retries", "key")

    def __init__(self, key: str) -> None:
        """Begin an object at `key`, with nothing repeated."""
        self.key = key
        self._first_operation = self._first_error = ""
        self._retries = 0

    def add(self, operation: str, error: Exception) -> None:
        """Count a request that is sent again after this error."""
        if not self._retries:
            self._first_operation, self._first_error = operation, str(error)
        self._retries += 1

    def write(self) -> None:
        """Log the first error and the number of retries, if there were any."""
        if self._retries:
            log.warning(
                "request_repeated operation=%s key=%s times=%s error=%s",
                self._first_operation,
                self.key,
                self._retries,
                self._first_error,
            )
            self._retries = 0
