"""Backoff: how long to wait before a request is sent again, and when to give up."""

from __future__ import annotations

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Full jitter: any time up to a ceiling that doubles with each attempt.

    So many writers that were refused together do not come back together.
    Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """

    base_s: float = 0.1
    """The ceiling after the first attempt."""
    cap_s: float = 5.0
    """The ceiling never grows beyond this."""
    for_s: float = 30.0
    """One request is given up this long after it was begun, whatever the deadline."""

    def delay_s(self, attempts: int, share: float, retry_after_s: float | None) -> float:
        """Give the time to wait before the next attempt.

        Args:
            attempts: how many have failed, from 1.
            share: a random number from 0 to 1, which chooses below the ceiling.
            retry_after_s: what the store asked for; it is waited for in full, and the jitter on
                top of it spreads those who were told the same.
        """
        doublings = min(attempts - 1, 30)  # far beyond any cap, and never an overflow
        ceiling_s = min(self.cap_s, self.base_s * 2.0**doublings)
        return (retry_after_s or 0.0) + share * ceiling_s
