"""InFlight: how many requests to one prefix may be under way at once, by how long answers take.

A round lasts as long as an answer usually takes. One in which all places were taken, and no answer
was slow, adds a place; one with a refusal, or with slow answers, takes a tenth of them away. Slow
is what is beyond the usual time by some deviations; both are moving averages.

Source: Vector's adaptive request concurrency, and TCP's additive increase, multiplicative decrease.
"""

from __future__ import annotations

from math import sqrt

WEIGHT = 0.4
"""Of a round in the averages."""


DEVIATIONS, LEAST_DEVIATION = 2.5, 0.4
"""So far beyond the usual time answers are slow; a deviation is at least so much of that time, so
that they take twice as long: on a busy machine half as much again means nothing."""


KEPT = 0.9
"""Of the places, after a round with a refusal or with slow answers."""


class InFlight:
    """One prefix's places for requests."""

    __slots__ = (
        "_answers",
        "_is_refused",
        "_most",
        "_peak",
        "_round_ends_s",
        "_took_s",
        "_usual_s",
        "_variance",
        "limit",
        "now",
    )

    def __init__(self, most: int) -> None:
        """Begin with `most` places, and never have more."""
        self._most = most
        self.limit = most
        """Places there are."""
        self.now = 0
        """Requests under way."""
        self._peak = 0
        self._took_s = 0.0
        self._answers = 0
        self._is_refused = False
        self._usual_s = self._variance = 0.0
        self._round_ends_s = 0.0

    @property
    def is_full(self) -> bool:
        """Whether no place is free."""
        return self.now >= self.limit

    def began(self) -> None:
        """Count a request that is sent."""
        self.now += 1
        self._peak = max(self._peak, self.now)

    def ended(self) -> None:
        """Count a request that is over, and says nothing of the store."""
        self.now -= 1

    def answered(self, began_s: float, now_s: float) -> None:
        """Count an answer."""
        self.now -= 1
        self._took_s += now_s - began_s
        self._answers += 1
        if now_s >= self._round_ends_s:
            self._end_round(now_s)

    def refused(self, now_s: float) -> None:
        """Count a refusal, which comes too fast for its time to mean anything."""
        self.now -= 1
        self._is_refused = True
        if now_s >= self._round_ends_s:
            self._end_round(now_s)

    def unanswered(self, began_s: float, now_s: float) -> None:
        """Count a request that was given up: its answer would have taken this long at least."""
        self.now -= 1
        if now_s - began_s > self._usual_s > 0.0:
            self._took_s += now_s - began_s
            self._answers += 1
            if now_s >= self._round_ends_s:
                self._end_round(now_s)

    def _end_round(self, now_s: float) -> None:
        """Judge the round that is over, and begin the next one."""
        took_s = self._took_s / self._answers if self._answers else self._usual_s
        deviation_s = max(sqrt(self._variance), LEAST_DEVIATION * self._usual_s)
        is_slow = took_s > self._usual_s + DEVIATIONS * deviation_s and self._usual_s > 0.0
        # Few in flight made nothing slow: only what was used is judged
        if (self._is_refused or is_slow) and 2 * self._peak > self.limit:
            self.limit = max(1, int(self.limit * KEPT))
        elif self._peak >= self.limit < self._most and took_s <= self._usual_s:
            self.limit += 1
        if self._answers:
            if self._usual_s:
                off_s = took_s - self._usual_s
                self._usual_s += WEIGHT * off_s
                self._variance = (1.0 - WEIGHT) * (self._variance + WEIGHT * off_s * off_s)
            else:
                self._usual_s = took_s
        self._round_ends_s = now_s + self._usual_s
        self._peak = self.now
        self._answers = 0
        self._took_s = 0.0
        self._is_refused = False
