"""Lately: how many requests a second were sent and accepted in the last two blocks of answers."""

from __future__ import annotations

from math import inf

SAMPLE, SAMPLE_S = 16, 1.0
"""A block is as many answers, and lasts so long, at least."""
PAUSE = 8.0
"""So many times the usual time between two requests is a pause: then measuring starts anew."""


class Lately:
    """Counts one prefix's requests and answers."""

    __slots__ = ("_accepted", "_answers", "_before", "_began_s", "_since_s")

    def __init__(self, now_s: float) -> None:
        """Start to measure."""
        self._start(now_s)

    def _start(self, now_s: float) -> None:
        self._before = (now_s, 0, 0)  # the block before this one: since when, answers, accepted
        self._since_s = self._began_s = now_s
        self._answers = self._accepted = 0

    def began(self, now_s: float) -> None:
        """Note that a request begins."""
        since_s, answers, _ = self._before
        known = answers + self._answers
        gap_s = now_s - self._began_s
        if known >= SAMPLE // 2 and gap_s * known > PAUSE * (self._began_s - since_s):
            self._start(now_s)
        self._began_s = now_s

    def answered(self, now_s: float, *, is_accepted: bool) -> None:
        """Count an answer."""
        self._answers += 1
        self._accepted += is_accepted
        if self._answers >= SAMPLE and now_s - self._since_s >= SAMPLE_S:
            self._before = (self._since_s, self._answers, self._accepted)
            self._since_s = now_s
            self._answers = self._accepted = 0

    def per_s(self, now_s: float) -> tuple[float, float]:
        """Give the requests a second that were answered, and those that were accepted.

        What a store accepts in the first part of a second may be all that it accepts in it.
        """
        since_s, answers, accepted = self._before
        lasted_s = now_s - since_s
        answered_per_s = (answers + self._answers) / lasted_s if lasted_s > 0.0 else inf
        return answered_per_s, (accepted + self._accepted) / max(SAMPLE_S, lasted_s)
