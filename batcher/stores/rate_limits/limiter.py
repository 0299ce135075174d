"""PrefixLimiter: when the next request to a prefix may begin, by its rate and concurrency."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import inf
from types import MappingProxyType

from batcher.keys.names import QUARANTINE_FOLDER, root_prefix
from batcher.stores.rate_limits.concurrency import ConcurrencyLimit
from batcher.stores.rate_limits.rate import CubicRateLimit

MAX_PREFIXES = 4_096
"""Prefixes whose limits are remembered, about 1 KB each."""


class PrefixLimiter:
    """One prefix's limits.

    After `on_start`, exactly one of `on_response`, `on_throttle`, `on_cancel` and `on_failure` must
    be called.
    """

    __slots__ = ("_concurrency", "_rate", "throttles", "total_wait_s", "waiters")

    def __init__(self, max_per_s: float, max_in_flight: int, now_s: float) -> None:
        """Allow these limits until responses lower them."""
        self._rate = CubicRateLimit(max_per_s, now_s)
        self._concurrency = ConcurrencyLimit(max_in_flight)
        self.throttles: int = 0
        """Throttled requests so far."""
        self.total_wait_s: float = 0.0
        """The total time that requests have waited for their turns."""
        self.waiters: int = 0
        """Requests that wait for their turns now."""

    def down_s(self, now_s: float) -> float:
        """Return for how long S3 has been down, refusing everything. 0: it is up."""
        return self._rate.down_s(now_s)

    def rate_per_s(self, now_s: float) -> float:
        """Return the requests per second that may begin now."""
        return self._rate.rate_per_s(now_s)

    def is_reduced(self, now_s: float) -> bool:
        """Return whether throttles have lowered the rate."""
        return self._rate.is_reduced(now_s)

    def delay_s(self, now_s: float) -> float:
        """Return the time until the next request may begin. Infinite: when another has ended."""
        if self._concurrency.is_full:
            return inf
        return self._rate.delay_s(now_s)

    def estimate_wait_s(self, now_s: float, ahead: int) -> float:
        """Return how long a request will probably wait with `ahead` others before it.

        In a storm the first success raises the rate, so that all wait for the next request only.
        """
        if self._rate.is_storm:
            return self._rate.delay_s(now_s)
        return self._rate.delay_s(now_s) + ahead / self._rate.rate_per_s(now_s)

    def on_start(self, now_s: float) -> None:
        """Count a request that is sent now."""
        self._rate.take(now_s)
        self._concurrency.on_start()

    def on_response(self, began_s: float, now_s: float, *, timed: bool = True) -> None:
        """Count a request that was not throttled, whatever its result.

        Args:
            began_s: when it was sent.
            now_s: when the response came.
            timed: whether the time between shows how busy the store is.
        """
        self._rate.on_success(now_s, began_s)
        if timed:
            self._concurrency.on_response(began_s, now_s)
        else:
            self._concurrency.on_end()

    def on_throttle(self, began_s: float, now_s: float, retry_after_s: float | None = None) -> bool:
        """Count a throttled request. Return whether that lowers the rate."""
        self.throttles += 1
        self._concurrency.on_throttle(now_s)
        return self._rate.on_throttle(began_s, now_s, retry_after_s)

    def on_cancel(self, began_s: float, now_s: float) -> None:
        """Count a request that was cancelled before its response."""
        self._concurrency.on_cancel(began_s, now_s)

    def on_failure(self) -> None:
        """Count a request that failed in a way that does not show how busy the store is."""
        self._concurrency.on_end()

    def count_unlimited(self, now_s: float) -> None:
        """Count a request that is sent regardless of the limits, and whose end is not reported."""
        self._rate.take(now_s)

    @property
    def is_idle(self) -> bool:
        """Whether no request is in flight, and none waits."""
        return not self.waiters and not self._concurrency.in_flight

    def is_pristine(self, now_s: float) -> bool:
        """Return whether it is in the state of a new one."""
        return self.is_idle and self._rate.is_pristine(now_s)


class PrefixLimiters:
    """The limiters of a process by prefix. A throttle of one prefix does not affect the others."""

    def __init__(
        self, max_per_s: float, max_in_flight: int, root: str = "", fanout: int = 1
    ) -> None:
        """Limit the prefixes that `fanout` makes under `root`.

        Args:
            max_per_s: requests per second to one prefix by this process, more than 0.
            max_in_flight: requests to one prefix at once, from 1.
            root: the fixed start of every key.
            fanout: salts under it; 1: all keys have one prefix, which is the root.
        """
        self._max_per_s = max_per_s
        self._max_in_flight = max_in_flight
        start = root_prefix(root)
        self._quarantine_prefix = start + QUARANTINE_FOLDER
        self._prefix_length = len(start) + fanout.bit_length() - 1 if fanout > 1 else len(root)
        self._limiters: dict[str, PrefixLimiter] = {}
        self._throttles = 0
        self._total_wait_s = 0.0

    @property
    def throttles(self) -> int:
        """Throttled requests of all prefixes so far."""
        return self._throttles + sum(limiter.throttles for limiter in self._limiters.values())

    @property
    def total_wait_s(self) -> float:
        """The total time that requests of all prefixes have waited for their turns."""
        return self._total_wait_s + sum(limiter.total_wait_s for limiter in self._limiters.values())

    def by_prefix(self) -> Mapping[str, PrefixLimiter]:
        """Return a read-only view of the limiters."""
        return MappingProxyType(self._limiters)

    def get_prefix(self, key: str) -> str:
        """Return the rate-limited prefix of a key: root and salt, root alone, or the quarantine."""
        return (
            self._quarantine_prefix
            if key.startswith(self._quarantine_prefix)
            else key[: self._prefix_length]
        )

    def get(self, prefix: str, now_s: float) -> PrefixLimiter:
        """Return the limiter of a prefix."""
        limiter = self._limiters.get(prefix)
        if limiter is None:
            if len(self._limiters) >= MAX_PREFIXES:
                self._evict(now_s)
            limiter = self._limiters[prefix] = PrefixLimiter(
                self._max_per_s, self._max_in_flight, now_s
            )
        return limiter

    def _evict(self, now_s: float) -> None:
        """Remove pristine limiters, and then idle ones, down to half."""
        evicted = [
            prefix for prefix, limiter in self._limiters.items() if limiter.is_pristine(now_s)
        ]
        if len(evicted) < MAX_PREFIXES // 2:
            idle = (prefix for prefix, limiter in self._limiters.items() if limiter.is_idle)
            evicted = list(islice(idle, MAX_PREFIXES // 2))
        for prefix in evicted:
            limiter = self._limiters.pop(prefix)
            self._throttles += limiter.throttles
            self._total_wait_s += limiter.total_wait_s
