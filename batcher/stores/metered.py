"""MeteredStore: counts requests, and measures how long each attempt to send a body takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from msgspec import Struct, field

from batcher.errors import ThrottledError
from batcher.stores.base import ObjectStore
from batcher.stores.request import Request, Response


class MeteredStore(ObjectStore):
    """Counts every attempt when it ends: in success, an error, or a cancellation.

    It is inside the stores that wait and retry, so it measures the engine alone. PUT and parts are
    timed. The completion of an upload is not, because S3 may join parts for minutes.
    """

    def __init__(
        self,
        inner: ObjectStore,
        request_stats: RequestStats,
        get_prefix: Callable[[str], str],
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Count the requests to `inner`.

        Args:
            inner: sends each request once.
            request_stats: receives the counts.
            get_prefix: returns the prefix to which a key's throttles are counted.
            clock: seconds; None: the event loop's.
        """
        self.inner = inner
        self.request_stats = request_stats
        self._get_prefix = get_prefix
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
        """Send one request, and count it."""
        now = self._clock or asyncio.get_running_loop().time
        start_s = now()
        stats = self.request_stats
        try:
            return await self.inner.send(request)
        except ThrottledError:
            stats.throttles_by_prefix[self._get_prefix(request.key)] += 1
            raise
        finally:
            stats.attempts += 1
            if request.operation.has_body:
                stats.sent_bytes += len(request.body)
                stats.put_durations_s.append(now() - start_s)


class RequestStats(Struct):
    """Counts of the attempts that have ended."""

    attempts: int = 0
    """Attempts of any kind."""
    sent_bytes: int = 0
    """Bytes of bodies. A retry counts again."""
    put_durations_s: list[float] = field(default_factory=list)
    """How long each attempt to send an object or a part took, whatever the result."""
    throttles_by_prefix: Counter[str] = field(default_factory=Counter)
    """Throttled attempts by the prefix of their keys."""

    def clear(self) -> None:
        """Set all counts to zero."""
        self.attempts = self.sent_bytes = 0
        self.put_durations_s.clear()
        self.throttles_by_prefix.clear()
