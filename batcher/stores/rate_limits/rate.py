"""Rate: how many requests a second one prefix may begin, as the store's refusals teach it.

Until the store refuses, this is a token bucket at the highest rate. A refusal takes the rate down
to what the store has accepted of late. From there it comes back along a cubic curve: fast at first,
slowly where it was refused, and ever faster beyond, for S3 may have split the prefix meanwhile. No
rate is built in as the usual one: the same rule serves a process that alone sends 3,000 requests a
second, and each of thousands that share them. Where the figures come from: `docs/prefixes.md`.

Source: RFC 9438 (CUBIC) for the curve; TCP Westwood for going by what is accepted.
"""

from __future__ import annotations

from math import inf

MIN_BLOCK_RESPONSES, MIN_BLOCK_S = 16, 1.0
"""A block is as many answers, and lasts so long, at least."""


PAUSE_FACTOR = 8.0
"""So many times the usual time between two requests is a pause: then measuring starts anew."""


BURST_S, MIN_BURST = 0.1, 2.0
"""After a pause the requests of so many seconds may go at once, or so many: one, and its retry."""


DECREASE_FACTOR = 0.7
"""Of the rate that was refused, as in CUBIC."""


FIRST_FLOOR_PER_S = 1.0
"""One refusal takes the rate no lower than this, or than half of what it was where that is less: a
503 out of the blue must not hold up a prefix that has ten objects an hour."""


MIN_PER_S = 1 / 300
"""Not even many refusals take it lower."""


CUBIC_GROWTH = 1.0
"""Of the refused rate, added in the time that it took to come back to it."""


MIN_RECOVERY_S, MAX_RECOVERY_S = 4.0, 400.0
"""To come back to the rate that was refused."""


RECOVERY_KNEE_PER_S, RECOVERY_EXPONENT = 0.25, 0.5
"""Up to this rate coming back takes longest; above, it shrinks by this power of the rate. By less
than the rate itself: of those who share a prefix, who has more must need more requests for it."""


FIRST_RECOVERY_REQUESTS = 32.0
"""The first time it comes back within so many requests, and each further time within twice as many:
what was measured of a prefix in its first second may be far off."""


MAX_RECOVERY_DOUBLINGS = 20  # doublings far beyond any that matter


FORGIVE_AFTER_SUCCESSES = 200
"""A refusal after so many were accepted is taken for one of those that S3 has now and then; where
the rate is too high, the next one comes at once."""


THROTTLE_WINDOW_S = 1.0
"""S3 counts by the second: after a refusal that counted, others count only when it is over."""


DOWN_AFTER_THROTTLES, DOWN_AFTER_S = 5, 5.0
"""So many refusals, over so many seconds, with nothing accepted between them: the store does not
choose, it is away. That says nothing about the rate, which is then what it was before."""


MAX_RETRY_AFTER_S = 30.0
"""What the store asks for itself (Retry-After) is heeded so long at most."""


class CubicRateLimit:
    """One prefix's token bucket, and the rate that fills it."""

    __slots__ = (
        "_consecutive_successes",
        "_consecutive_throttles",
        "_max_per_s",
        "_meter",
        "_next_start_s",
        "_recovery_s",
        "_reduced_at_s",
        "_reduction",
        "_reductions",
        "_throttled_per_s",
        "_throttled_since_s",
        "_unthrottled_per_s",
    )

    def __init__(self, max_per_s: float, now_s: float) -> None:
        """Allow `most_per_s` requests a second, until the store says otherwise."""
        self._max_per_s = max_per_s
        self._next_start_s = -inf  # when the next request may begin; the bucket is full
        self._throttled_per_s = 0.0  # 0: no refusal is remembered
        self._reduced_at_s = self._recovery_s = self._reduction = 0.0
        self._meter = RateMeter(now_s)
        self._reductions = 0  # refusals that counted
        self._consecutive_throttles = 0  # refusals with nothing accepted between them
        self._unthrottled_per_s = 0.0  # the rate before it
        self._throttled_since_s = 0.0  # when that row began
        self._consecutive_successes = 0  # accepted with no refusal between them

    def rate_per_s(self, now_s: float) -> float:
        """Return the requests a second that may begin now."""
        if not self._throttled_per_s:
            return self._max_per_s
        beyond = (now_s - self._reduced_at_s) / self._recovery_s - 1.0
        slope = self._reduction if beyond < 0.0 else CUBIC_GROWTH
        per_s = self._throttled_per_s * (1.0 + slope * beyond * beyond * beyond)
        if per_s >= self._max_per_s:
            self._throttled_per_s = 0.0
            return self._max_per_s
        return per_s

    def delay_s(self, now_s: float) -> float:
        """Return the time until the next request may begin; 0: now."""
        return max(0.0, self._next_start_s - now_s)

    def is_reduced(self, now_s: float) -> bool:
        """Return whether a refusal still holds it back."""
        return self.rate_per_s(now_s) < self._max_per_s

    def is_pristine(self, now_s: float) -> bool:
        """Return whether it is as a new one would be."""
        return self._next_start_s <= now_s and not self.is_reduced(now_s)

    def down_s(self, now_s: float) -> float:
        """Return for how long the store has been away, refusing everything; 0: it is not."""
        refused_s = now_s - self._throttled_since_s
        return (
            refused_s
            if self._consecutive_throttles >= DOWN_AFTER_THROTTLES and refused_s >= DOWN_AFTER_S
            else 0.0
        )

    def take(self, now_s: float) -> None:
        """Count a request that begins now, whether or not it may."""
        per_s = self.rate_per_s(now_s)
        saved = max(MIN_BURST, per_s * BURST_S) - 1.0
        self._next_start_s = max(self._next_start_s, now_s - saved / per_s) + 1.0 / per_s
        self._meter.on_start(now_s)

    def on_success(self, now_s: float) -> None:
        """Count a request that the store has taken on."""
        self._meter.on_response(now_s, accepted=True)
        if self.down_s(now_s):
            self._reduce(self._unthrottled_per_s, DECREASE_FACTOR * self._unthrottled_per_s, now_s)
            self._next_start_s = now_s
        self._consecutive_throttles = 0
        self._consecutive_successes += 1

    def on_throttle(self, began_s: float, now_s: float, retry_after_s: float | None = None) -> bool:
        """Count a request that the store has refused, and slow down; says whether it did.

        Args:
            began_s: when it began. Those that were under way when the rate fell say nothing of
                the new one: a burst of refusals counts once.
            now_s: when it was refused.
            retry_after_s: what the store asks to wait, if it does.
        """
        self._meter.on_response(now_s, accepted=False)
        if not self._consecutive_throttles:
            self._throttled_since_s = now_s
            self._unthrottled_per_s = self.rate_per_s(now_s)
        self._consecutive_throttles += 1
        if retry_after_s:
            self._next_start_s = max(
                self._next_start_s, now_s + min(retry_after_s, MAX_RETRY_AFTER_S)
            )
        if self._throttled_per_s and (
            began_s <= self._reduced_at_s or now_s < self._reduced_at_s + THROTTLE_WINDOW_S
        ):
            return False
        smooth, self._consecutive_successes = self._consecutive_successes, 0
        if smooth >= FORGIVE_AFTER_SUCCESSES:
            return False
        if self.down_s(now_s):
            self._reduced_at_s = now_s  # it stays as slow as it is
            return False
        allowed_per_s = self.rate_per_s(now_s)
        sent_per_s, accepted_per_s = self._meter.measure_per_s(now_s)
        refused_per_s = min(allowed_per_s, sent_per_s)
        gentle_per_s = max(MIN_PER_S, min(allowed_per_s / 2, FIRST_FLOOR_PER_S))
        per_s = max(
            min(DECREASE_FACTOR * refused_per_s, accepted_per_s), min(gentle_per_s, allowed_per_s)
        )
        self._reduce(max(refused_per_s, per_s / DECREASE_FACTOR), per_s, now_s)
        return True

    def _reduce(self, throttled_per_s: float, per_s: float, now_s: float) -> None:
        """Begin a curve from `per_s` back to `refused_per_s`, and on."""
        self._throttled_per_s = throttled_per_s
        self._reduction = 1.0 - per_s / throttled_per_s
        self._reduced_at_s = now_s
        known_s = MAX_RECOVERY_S * min(
            1.0, (RECOVERY_KNEE_PER_S / throttled_per_s) ** RECOVERY_EXPONENT
        )
        learnt_s = FIRST_RECOVERY_REQUESTS * 2.0**self._reductions / throttled_per_s
        self._recovery_s = max(MIN_RECOVERY_S, min(known_s, learnt_s))
        self._reductions = min(self._reductions + 1, MAX_RECOVERY_DOUBLINGS)


class RateMeter:
    """Counts one prefix's requests and answers."""

    __slots__ = ("_accepted", "_block_start_s", "_last_start_s", "_previous_block", "_responses")

    def __init__(self, now_s: float) -> None:
        """Start to measure."""
        self._reset(now_s)

    def _reset(self, now_s: float) -> None:
        self._previous_block = (
            now_s,
            0,
            0,
        )  # the block before this one: since when, answers, accepted
        self._block_start_s = self._last_start_s = now_s
        self._responses = self._accepted = 0

    def on_start(self, now_s: float) -> None:
        """Note that a request begins."""
        since_s, answers, _ = self._previous_block
        known = answers + self._responses
        gap_s = now_s - self._last_start_s
        if known >= MIN_BLOCK_RESPONSES // 2 and gap_s * known > PAUSE_FACTOR * (
            self._last_start_s - since_s
        ):
            self._reset(now_s)
        self._last_start_s = now_s

    def on_response(self, now_s: float, *, accepted: bool) -> None:
        """Count an answer."""
        self._responses += 1
        self._accepted += accepted
        if self._responses >= MIN_BLOCK_RESPONSES and now_s - self._block_start_s >= MIN_BLOCK_S:
            self._previous_block = (self._block_start_s, self._responses, self._accepted)
            self._block_start_s = now_s
            self._responses = self._accepted = 0

    def measure_per_s(self, now_s: float) -> tuple[float, float]:
        """Return the requests a second that were answered, and those that were accepted.

        What a store accepts in the first part of a second may be all that it accepts in it.
        """
        since_s, answers, accepted = self._previous_block
        lasted_s = now_s - since_s
        answered_per_s = (answers + self._responses) / lasted_s if lasted_s > 0.0 else inf
        return answered_per_s, (accepted + self._accepted) / max(MIN_BLOCK_S, lasted_s)
