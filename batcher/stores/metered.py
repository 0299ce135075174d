"""MeteredStore: counts what is sent to a store, and how long each attempt to put takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from msgspec import Struct, field

from batcher.errors import ThrottledError
from batcher.stores.base import MultipartUpload, ObjectAttributes, ObjectInfo, ObjectStore


class MeteredStore:
    """Notes every attempt as it ends: durable, refused, or cut.

    It stands inside all that waits and repeats, so a time is the store's own. Objects and parts are
    timed; Complete is not, for S3 may join parts for minutes, and nor is a look or an abort.
    """

    def __init__(
        self,
        inner: ObjectStore,
        request_stats: RequestStats,
        get_prefix: Callable[[str], str],
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Note the requests to `inner`.

        Args:
            inner: sends each request once.
            requests: where they are noted.
            prefix_of: gives the prefix that a key counts for.
            clock: seconds; None: the event loop's.
        """
        self.inner = inner
        self.request_stats = request_stats
        self._get_prefix = get_prefix
        self._clock = clock

    def __repr__(self) -> str:
        return repr(self.inner)

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object; see `ObjectStore.put`."""
        with self.attempt(key, body):
            return await self.inner.put(key, body, attributes, if_match=if_match)

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object; see `ObjectStore.head`."""
        with self.attempt(key):
            return await self.inner.head(key)

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> MeteredUpload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""
        with self.attempt(key):
            upload = await self.inner.create_upload(key, attributes, part_bytes=part_bytes)
        return MeteredUpload(self, upload, key)

    async def aclose(self) -> None:
        """Close the inner store."""
        await self.inner.aclose()

    def attempt(self, key: str, body: bytes | None = None) -> MeteredAttempt:
        """Note what is done while this is entered; it is timed where there is a body to send."""
        now = self._clock or asyncio.get_running_loop().time
        return MeteredAttempt(self, key, body, now)

    def count_throttle(self, key: str) -> None:
        """Note that an attempt was refused for there were too many."""
        self.request_stats.throttles_by_prefix[self._get_prefix(key)] += 1


class MeteredAttempt:
    """One attempt; a class, for a generator's context manager takes three times as long."""

    __slots__ = ("_body", "_clock", "_key", "_start_s", "_store")

    def __init__(
        self, store: MeteredStore, key: str, body: bytes | None, clock: Callable[[], float]
    ) -> None:
        """Report `store` of it."""
        self._store = store
        self._key = key
        self._body = body
        self._clock = clock

    def __enter__(self) -> None:
        self._start_s = self._clock()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        requests = self._store.request_stats
        requests.attempts += 1
        if self._body is not None:
            requests.sent_bytes += len(self._body)
            requests.put_durations_s.append(self._clock() - self._start_s)
        if isinstance(error, ThrottledError):
            self._store.count_throttle(self._key)


class MeteredUpload:
    """An upload whose requests are noted."""

    def __init__(self, store: MeteredStore, inner: MultipartUpload, key: str) -> None:
        """Note the requests to `inner` as `store` does."""
        self.inner = inner
        self._store = store
        self._key = key

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`; see `Upload.put_part`."""
        with self._store.attempt(self._key, body):
            await self.inner.put_part(number, body)

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Make the object appear; see `Upload.complete`."""
        with self._store.attempt(self._key):
            return await self.inner.complete(if_match=if_match)

    async def abort(self) -> None:
        """Throw the parts away; see `Upload.abort`."""
        with self._store.attempt(self._key):
            await self.inner.abort()


class RequestStats(Struct):
    """What was sent to the store, attempt by attempt; an attempt is counted when it has ended."""

    attempts: int = 0
    """Attempts of any kind."""
    sent_bytes: int = 0
    """Bytes of bodies, those that were sent again counted again."""
    put_durations_s: list[float] = field(default_factory=list)
    """How long each attempt to put an object or a part took, whatever came of it."""
    throttles_by_prefix: Counter[str] = field(default_factory=Counter)
    """Attempts that were refused for there were too many, by the prefix of their keys."""

    def clear(self) -> None:
        """Begin anew."""
        self.attempts = self.sent_bytes = 0
        self.put_durations_s.clear()
        self.throttles_by_prefix.clear()
