"""Pace: when the next request to a prefix may begin, from its rate and its requests in flight."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import inf
from types import MappingProxyType

from batcher.keys.names import QUARANTINE_FOLDER, root_prefix
from batcher.stores.rate_limits.concurrency import ConcurrencyLimit
from batcher.stores.rate_limits.rate import CubicRateLimit

MAX_PREFIXES = 4_096
"""Prefixes whose pace is remembered, some 1 KB each."""


class PrefixLimiter:
    """One prefix's pace. Whoever begins a request tells how it ended, by exactly one of four."""

    __slots__ = ("_concurrency", "_rate", "throttles", "total_wait_s", "waiters")

    def __init__(self, max_per_s: float, max_in_flight: int, now_s: float) -> None:
        """Allow these, until the store's answers say otherwise."""
        self._rate = CubicRateLimit(max_per_s, now_s)
        self._concurrency = ConcurrencyLimit(max_in_flight)
        self.throttles = 0
        """Requests that the store refused for there were too many."""
        self.total_wait_s = 0.0
        """What requests have waited for their turn, all together."""
        self.waiters = 0
        """Requests that wait for their turn now."""

    def down_s(self, now_s: float) -> float:
        """Return for how long the store has been away, refusing everything; 0: it is not."""
        return self._rate.down_s(now_s)

    def rate_per_s(self, now_s: float) -> float:
        """Return the requests a second that may begin now."""
        return self._rate.rate_per_s(now_s)

    def is_reduced(self, now_s: float) -> bool:
        """Return whether refusals hold it back."""
        return self._rate.is_reduced(now_s)

    def delay_s(self, now_s: float) -> float:
        """Return time until the next request may begin; 0: now; infinite: when one has ended."""
        if self._concurrency.is_full:
            return inf
        return self._rate.delay_s(now_s)

    def estimate_wait_s(self, now_s: float, ahead: int) -> float:
        """Estimate how long a request waits that has so many before it."""
        return self._rate.delay_s(now_s) + ahead / self._rate.rate_per_s(now_s)

    def on_start(self, now_s: float) -> None:
        """Count a request that is sent now."""
        self._rate.take(now_s)
        self._concurrency.on_start()

    def on_response(self, began_s: float, now_s: float, *, timed: bool = True) -> None:
        """Count a request that the store has taken on, whatever came of it.

        Args:
            is_timed: whether the time it took says how busy the store is.
        """
        self._rate.on_success(now_s)
        if timed:
            self._concurrency.on_response(began_s, now_s)
        else:
            self._concurrency.on_end()

    def on_throttle(self, began_s: float, now_s: float, retry_after_s: float | None = None) -> bool:
        """Count a request for which the store asked for fewer; says whether there will be."""
        self.throttles += 1
        self._concurrency.on_throttle(now_s)
        return self._rate.on_throttle(began_s, now_s, retry_after_s)

    def on_cancel(self, began_s: float, now_s: float) -> None:
        """Count a request that was given up before there was an answer."""
        self._concurrency.on_cancel(began_s, now_s)

    def on_failure(self) -> None:
        """Count a request that failed, and says nothing of how busy the store is."""
        self._concurrency.on_end()

    def count_unlimited(self, now_s: float) -> None:
        """Count a request that is sent whatever the pace, and whose end says nothing."""
        self._rate.take(now_s)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, and none waits."""
        return not self.waiters and not self._concurrency.in_flight

    def is_pristine(self, now_s: float) -> bool:
        """Return whether it is as a new one would be."""
        return self.is_idle and self._rate.is_pristine(now_s)


class PrefixLimiters:
    """The paces of a process by prefix: what slows one down leaves the others as they are."""

    def __init__(
        self, max_per_s: float, max_in_flight: int, root: str = "", fanout: int = 1
    ) -> None:
        """Pace the prefixes that `fanout` makes under `root`.

        Args:
            most_per_s: requests a second to one prefix by this process, more than 0.
            most_in_flight: requests to one prefix at once, from 1.
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
        """Requests that the store refused for there were too many, of all prefixes so far."""
        return self._throttles + sum(pace.throttles for pace in self._limiters.values())

    @property
    def total_wait_s(self) -> float:
        """What requests have waited for their turn, all together, of all prefixes so far."""
        return self._total_wait_s + sum(pace.total_wait_s for pace in self._limiters.values())

    def by_prefix(self) -> Mapping[str, PrefixLimiter]:
        """Return the paces that are remembered; a view."""
        return MappingProxyType(self._limiters)

    def get_prefix(self, key: str) -> str:
        """Return the prefix that a key counts for: root and salt, root alone, or the quarantine."""
        return (
            self._quarantine_prefix
            if key.startswith(self._quarantine_prefix)
            else key[: self._prefix_length]
        )

    def get(self, prefix: str, now_s: float) -> PrefixLimiter:
        """Return the pace of a prefix."""
        pace = self._limiters.get(prefix)
        if pace is None:
            if len(self._limiters) >= MAX_PREFIXES:
                self._evict(now_s)
            pace = self._limiters[prefix] = PrefixLimiter(
                self._max_per_s, self._max_in_flight, now_s
            )
        return pace

    def _evict(self, now_s: float) -> None:
        """Make room: what is as new goes first, then what is idle, down to half."""
        gone = [prefix for prefix, pace in self._limiters.items() if pace.is_pristine(now_s)]
        if len(gone) < MAX_PREFIXES // 2:
            idle = (prefix for prefix, pace in self._limiters.items() if pace.is_idle)
            gone = list(islice(idle, MAX_PREFIXES // 2))
        for prefix in gone:
            pace = self._limiters.pop(prefix)
            self._throttles += pace.throttles
            self._total_wait_s += pace.total_wait_s
