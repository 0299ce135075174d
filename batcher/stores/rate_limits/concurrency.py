"""ConcurrencyLimit: how many requests to one prefix may be in flight, by their response times.

A round lasts as long as a mean response. A round that used the whole limit, with no slow responses,
raises the limit by one. A round with a throttle or with slow responses lowers it by a tenth.
Responses are slow if they exceed the mean by some deviations; both are moving averages.

Source: Vector's adaptive request concurrency, and TCP's additive increase, multiplicative decrease.
"""

from __future__ import annotations

from math import sqrt

MEAN_WEIGHT = 0.4
"""The weight of a round in the moving averages."""


SLOW_DEVIATIONS, MIN_DEVIATION_RATIO = 2.5, 0.4
"""Responses are slow if they exceed the mean by this many deviations. A deviation is at least this
part of the mean, so slow means twice as long: on a busy machine 1.5 times shows nothing."""


DECREASE_FACTOR = 0.9
"""The limit is multiplied by this after a round with a throttle or with slow responses."""


class ConcurrencyLimit:
    """One prefix's limit of requests in flight."""

    __slots__ = (
        "_is_throttled",
        "_max_limit",
        "_mean_s",
        "_peak_in_flight",
        "_responses",
        "_round_ends_s",
        "_total_response_s",
        "_variance",
        "in_flight",
        "limit",
    )

    def __init__(self, max_limit: int) -> None:
        """Start with `max_limit`, and never exceed it."""
        self._max_limit = max_limit
        self.limit: int = max_limit
        """The limit now."""
        self.in_flight: int = 0
        """Requests in flight."""
        self._peak_in_flight = 0
        self._total_response_s = 0.0
        self._responses = 0
        self._is_throttled = False
        self._mean_s = self._variance = 0.0
        self._round_ends_s = 0.0

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return self.in_flight >= self.limit

    def on_start(self) -> None:
        """Count a request that is sent."""
        self.in_flight += 1
        self._peak_in_flight = max(self._peak_in_flight, self.in_flight)

    def on_end(self) -> None:
        """Count a request that has ended, and whose time shows nothing."""
        self.in_flight -= 1

    def on_response(self, began_s: float, now_s: float) -> None:
        """Count a response."""
        self.in_flight -= 1
        self._total_response_s += now_s - began_s
        self._responses += 1
        if now_s >= self._round_ends_s:
            self._end_round(now_s)

    def on_throttle(self, now_s: float) -> None:
        """Count a throttle. Its time is ignored, because S3 refuses fast."""
        self.in_flight -= 1
        self._is_throttled = True
        if now_s >= self._round_ends_s:
            self._end_round(now_s)

    def on_cancel(self, began_s: float, now_s: float) -> None:
        """Count a cancelled request: its response would have taken at least this long."""
        self.in_flight -= 1
        if now_s - began_s > self._mean_s > 0.0:
            self._total_response_s += now_s - began_s
            self._responses += 1
            if now_s >= self._round_ends_s:
                self._end_round(now_s)

    def _end_round(self, now_s: float) -> None:
        """Adapt the limit to the round that is over, and start the next one."""
        response_s = self._total_response_s / self._responses if self._responses else self._mean_s
        deviation_s = max(sqrt(self._variance), MIN_DEVIATION_RATIO * self._mean_s)
        is_slow = response_s > self._mean_s + SLOW_DEVIATIONS * deviation_s and self._mean_s > 0.0
        # A lower limit cannot help if less than half of it was used
        if (self._is_throttled or is_slow) and 2 * self._peak_in_flight > self.limit:
            self.limit = max(1, int(self.limit * DECREASE_FACTOR))
        elif self._peak_in_flight >= self.limit < self._max_limit and response_s <= self._mean_s:
            self.limit += 1
        if self._responses:
            if self._mean_s:
                deviation_from_mean_s = response_s - self._mean_s
                self._mean_s += MEAN_WEIGHT * deviation_from_mean_s
                self._variance = (1.0 - MEAN_WEIGHT) * (
                    self._variance + MEAN_WEIGHT * deviation_from_mean_s * deviation_from_mean_s
                )
            else:
                self._mean_s = response_s
        self._round_ends_s = now_s + self._mean_s
        self._peak_in_flight = self.in_flight
        self._responses = 0
        self._total_response_s = 0.0
        self._is_throttled = False
