"""Pace: when the next request to a prefix may begin, from its rate and its requests in flight."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import inf
from types import MappingProxyType

from batcher.keys.names import QUARANTINE_FOLDER, start_of
from batcher.stores.rate_limits.concurrency import InFlight
from batcher.stores.rate_limits.rate import Rate

MAX_PREFIXES = 4_096
"""Prefixes whose pace is remembered, some 1 KB each."""


class Pace:
    """One prefix's pace. Whoever begins a request tells how it ended, by exactly one of four."""

    __slots__ = ("_in_flight", "_rate", "refusals", "waited_s", "waiting")

    def __init__(self, most_per_s: float, most_in_flight: int, now_s: float) -> None:
        """Allow these, until the store's answers say otherwise."""
        self._rate = Rate(most_per_s, now_s)
        self._in_flight = InFlight(most_in_flight)
        self.refusals = 0
        """Requests that the store refused for there were too many."""
        self.waited_s = 0.0
        """What requests have waited for their turn, all together."""
        self.waiting = 0
        """Requests that wait for their turn now."""

    def away_s(self, now_s: float) -> float:
        """Give for how long the store has been away, refusing everything; 0: it is not."""
        return self._rate.away_s(now_s)

    def per_s(self, now_s: float) -> float:
        """Give the requests a second that may begin now."""
        return self._rate.per_s(now_s)

    def is_slow(self, now_s: float) -> bool:
        """Say whether refusals hold it back."""
        return self._rate.is_slow(now_s)

    def delay_s(self, now_s: float) -> float:
        """Give the time until the next request may begin; 0: now; infinite: when one has ended."""
        if self._in_flight.is_full:
            return inf
        return self._rate.delay_s(now_s)

    def wait_s(self, now_s: float, ahead: int) -> float:
        """Estimate how long a request waits that has so many before it."""
        return self._rate.delay_s(now_s) + ahead / self._rate.per_s(now_s)

    def begin(self, now_s: float) -> None:
        """Count a request that is sent now."""
        self._rate.take(now_s)
        self._in_flight.began()

    def answered(self, began_s: float, now_s: float, *, is_timed: bool = True) -> None:
        """Count a request that the store has taken on, whatever came of it.

        Args:
            is_timed: whether the time it took says how busy the store is.
        """
        self._rate.accepted(now_s)
        if is_timed:
            self._in_flight.answered(began_s, now_s)
        else:
            self._in_flight.ended()

    def refused(self, began_s: float, now_s: float, retry_after_s: float | None = None) -> bool:
        """Count a request for which the store asked for fewer; says whether there will be."""
        self.refusals += 1
        self._in_flight.refused(now_s)
        return self._rate.refused(began_s, now_s, retry_after_s)

    def unanswered(self, began_s: float, now_s: float) -> None:
        """Count a request that was given up before there was an answer."""
        self._in_flight.unanswered(began_s, now_s)

    def failed(self) -> None:
        """Count a request that failed, and says nothing of how busy the store is."""
        self._in_flight.ended()

    def count(self, now_s: float) -> None:
        """Count a request that is sent whatever the pace, and whose end says nothing."""
        self._rate.take(now_s)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, and none waits."""
        return not self.waiting and not self._in_flight.now

    def is_at_rest(self, now_s: float) -> bool:
        """Say whether it is as a new one would be."""
        return self.is_idle and self._rate.is_at_rest(now_s)


class Paces:
    """The paces of a process by prefix: what slows one down leaves the others as they are."""

    def __init__(
        self, most_per_s: float, most_in_flight: int, root: str = "", fanout: int = 1
    ) -> None:
        """Pace the prefixes that `fanout` makes under `root`.

        Args:
            most_per_s: requests a second to one prefix by this process, more than 0.
            most_in_flight: requests to one prefix at once, from 1.
            root: the fixed start of every key.
            fanout: salts under it; 1: all keys have one prefix, which is the root.
        """
        self._most_per_s = most_per_s
        self._most_in_flight = most_in_flight
        start = start_of(root)
        self._quarantine = start + QUARANTINE_FOLDER
        self._length = len(start) + fanout.bit_length() - 1 if fanout > 1 else len(root)
        self._paces: dict[str, Pace] = {}
        self._refusals = 0
        self._waited_s = 0.0

    @property
    def refusals(self) -> int:
        """Requests that the store refused for there were too many, of all prefixes so far."""
        return self._refusals + sum(pace.refusals for pace in self._paces.values())

    @property
    def waited_s(self) -> float:
        """What requests have waited for their turn, all together, of all prefixes so far."""
        return self._waited_s + sum(pace.waited_s for pace in self._paces.values())

    def by_prefix(self) -> Mapping[str, Pace]:
        """Give the paces that are remembered; a view."""
        return MappingProxyType(self._paces)

    def prefix_of(self, key: str) -> str:
        """Give the prefix that a key counts for: root and salt, root alone, or the quarantine."""
        return self._quarantine if key.startswith(self._quarantine) else key[: self._length]

    def of(self, prefix: str, now_s: float) -> Pace:
        """Give the pace of a prefix."""
        pace = self._paces.get(prefix)
        if pace is None:
            if len(self._paces) >= MAX_PREFIXES:
                self._forget(now_s)
            pace = self._paces[prefix] = Pace(self._most_per_s, self._most_in_flight, now_s)
        return pace

    def _forget(self, now_s: float) -> None:
        """Make room: what is as new goes first, then what is idle, down to half."""
        gone = [prefix for prefix, pace in self._paces.items() if pace.is_at_rest(now_s)]
        if len(gone) < MAX_PREFIXES // 2:
            idle = (prefix for prefix, pace in self._paces.items() if pace.is_idle)
            gone = list(islice(idle, MAX_PREFIXES // 2))
        for prefix in gone:
            pace = self._paces.pop(prefix)
            self._refusals += pace.refusals
            self._waited_s += pace.waited_s
