"""InFlight: how many requests to one prefix may be under way at once, by how long answers take.

A round lasts as long as an answer usually takes. One in which all places were taken, and no answer
was slow, adds a place; one with a refusal, or with slow answers, takes a tenth of them away. Slow
is what is beyond the usual time by some deviations; both are moving averages.

Source: Vector's adaptive request concurrency, and TCP's additive increase, multiplicative decrease.
"""

from __future__ import annotations

from math import sqrt

MEAN_WEIGHT = 0.4
"""Of a round in the averages."""


SLOW_DEVIATIONS, MIN_DEVIATION_RATIO = 2.5, 0.4
"""So far beyond the usual time answers are slow; a deviation is at least so much of that time, so
that they take twice as long: on a busy machine half as much again means nothing."""


DECREASE_FACTOR = 0.9
"""Of the places, after a round with a refusal or with slow answers."""


class ConcurrencyLimit:
    """One prefix's places for requests."""

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
        """Begin with `most` places, and never have more."""
        self._max_limit = max_limit
        self.limit = max_limit
        """Places there are."""
        self.in_flight = 0
        """Requests under way."""
        self._peak_in_flight = 0
        self._total_response_s = 0.0
        self._responses = 0
        self._is_throttled = False
        self._mean_s = self._variance = 0.0
        self._round_ends_s = 0.0

    @property
    def is_full(self) -> bool:
        """Whether no place is free."""
        return self.in_flight >= self.limit

    def on_start(self) -> None:
        """Count a request that is sent."""
        self.in_flight += 1
        self._peak_in_flight = max(self._peak_in_flight, self.in_flight)

    def on_end(self) -> None:
        """Count a request that is over, and says nothing of the store."""
        self.in_flight -= 1

    def on_response(self, began_s: float, now_s: float) -> None:
        """Count an answer."""
        self.in_flight -= 1
        self._total_response_s += now_s - began_s
        self._responses += 1
        if now_s >= self._round_ends_s:
            self._end_round(now_s)

    def on_throttle(self, now_s: float) -> None:
        """Count a refusal, which comes too fast for its time to mean anything."""
        self.in_flight -= 1
        self._is_throttled = True
        if now_s >= self._round_ends_s:
            self._end_round(now_s)

    def on_cancel(self, began_s: float, now_s: float) -> None:
        """Count a request that was given up: its answer would have taken this long at least."""
        self.in_flight -= 1
        if now_s - began_s > self._mean_s > 0.0:
            self._total_response_s += now_s - began_s
            self._responses += 1
            if now_s >= self._round_ends_s:
                self._end_round(now_s)

    def _end_round(self, now_s: float) -> None:
        """Judge the round that is over, and begin the next one."""
        took_s = self._total_response_s / self._responses if self._responses else self._mean_s
        deviation_s = max(sqrt(self._variance), MIN_DEVIATION_RATIO * self._mean_s)
        is_slow = took_s > self._mean_s + SLOW_DEVIATIONS * deviation_s and self._mean_s > 0.0
        # Few in flight made nothing slow: only what was used is judged
        if (self._is_throttled or is_slow) and 2 * self._peak_in_flight > self.limit:
            self.limit = max(1, int(self.limit * DECREASE_FACTOR))
        elif self._peak_in_flight >= self.limit < self._max_limit and took_s <= self._mean_s:
            self.limit += 1
        if self._responses:
            if self._mean_s:
                off_s = took_s - self._mean_s
                self._mean_s += MEAN_WEIGHT * off_s
                self._variance = (1.0 - MEAN_WEIGHT) * (
                    self._variance + MEAN_WEIGHT * off_s * off_s
                )
            else:
                self._mean_s = took_s
        self._round_ends_s = now_s + self._mean_s
        self._peak_in_flight = self.in_flight
        self._responses = 0
        self._total_response_s = 0.0
        self._is_throttled = False
