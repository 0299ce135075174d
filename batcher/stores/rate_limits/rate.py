"""CubicRateLimit: how many requests per second one prefix may begin, adapted to throttles.

Without throttles this is a token bucket at the highest rate. A throttle lowers the rate to what
the store has accepted recently. From there the rate recovers along a cubic curve: fast at first,
slowly near the rate that was throttled, and faster and faster beyond it, because S3 may have split
the prefix in the meantime. No rate is assumed: the same rule serves one process that sends 3,000
requests per second, and thousands of processes that share them. `docs/prefixes.md` has the
measurements behind the figures.

Source: RFC 9438 (CUBIC) for the curve; TCP Westwood for going by what is accepted.
"""

from __future__ import annotations

from math import inf

MIN_BLOCK_RESPONSES, MIN_BLOCK_S = 16, 1.0
"""A block of measurements has at least this many responses, and lasts at least this long."""


PAUSE_FACTOR = 8.0
"""A gap of this many times the mean between two requests is a pause: measuring starts again."""


BURST_S, MIN_BURST = 0.1, 2.0
"""After a pause the requests of this many seconds may start at once, or at least this many: one and
its retry."""


DECREASE_FACTOR = 0.7
"""The throttled rate is multiplied by this, as in CUBIC."""


FIRST_FLOOR_PER_S = 1.0
"""One throttle lowers the rate to no less than this, or to half if that is less: a sporadic 503
must not delay a prefix that gets ten objects per hour."""


MIN_PER_S = 1 / 40
"""The lowest rate, however many throttles there are: a store that has recovered is noticed within
this many seconds."""


STORM_AFTER_REDUCTIONS, CALM_AFTER_SUCCESSES = 4, 5
"""After the first figure of reductions, with fewer than the second figure of successes between any
two of them, a storm is assumed: the store refuses whatever the rate. A lower rate would not help
then, and would outlast the storm. So a success doubles the rate, and the next request may begin at
once."""


DOUBT_BELOW_PER_S, DOUBT_AFTER_SUCCESSES = 0.06, 2
"""Below the first figure, a rate in requests per second, this many successes since the reduction
double the rate as in a storm: a chance run of successes may have ended the storm, and the curve is
slow there. Once only until the rate has recovered, because among many writers that share a prefix
a low rate is right."""


DOUBLING_S = 0.1
"""In a storm, successes double the rate at most once per this many seconds."""


CUBIC_GROWTH = 1.0
"""Growth beyond the throttled rate, as a part of it, in a time as long as the recovery took."""


MIN_RECOVERY_S, MAX_RECOVERY_S = 4.0, 400.0
"""Limits of the time to recover the throttled rate."""


RECOVERY_KNEE_PER_S, RECOVERY_EXPONENT = 0.25, 0.5
"""Up to the first figure, a rate in requests per second, recovery takes `MAX_RECOVERY_S`. Above it
the time is divided by (rate / first figure) to the power of the second. That power is less than 1,
so that among writers that share a prefix, those with a higher rate need more requests to recover.
"""


FIRST_RECOVERY_REQUESTS = 32.0
"""The first recovery takes at most the time of this many requests, and each further one twice as
many, because the rate measured in a prefix's first second may be wrong."""


MAX_RECOVERY_DOUBLINGS = 20  # far beyond the number that matters


FORGIVE_AFTER_SUCCESSES = 200
"""A throttle after this many accepted requests is ignored as sporadic. If the rate is too high, the
next one comes at once."""


THROTTLE_WINDOW_S = 1.0
"""S3 counts per second: after a throttle that counted, further ones are ignored for this long."""


DOWN_AFTER_THROTTLES, DOWN_AFTER_S = 5, 5.0
"""After this many consecutive refusals over this many seconds, treat S3 as down rather than
throttling, and keep the previous rate."""


DOWN_PER_S = 1 / 20
"""While S3 is down, refusals lower the rate to this: the first success restores it."""


MAX_RETRY_AFTER_S = 30.0
"""A longer Retry-After is cut to this."""


class CubicRateLimit:
    """One prefix's token bucket, and the rate that fills it."""

    __slots__ = (
        "_consecutive_reductions",
        "_consecutive_successes",
        "_consecutive_throttles",
        "_curve_began_s",
        "_is_doubted",
        "_max_per_s",
        "_meter",
        "_next_start_s",
        "_probed_from_per_s",
        "_recovery_s",
        "_reduced_at_s",
        "_reduction",
        "_reductions",
        "_successes_since",
        "_throttled_per_s",
        "_throttled_since_s",
        "_unthrottled_per_s",
    )

    def __init__(self, max_per_s: float, now_s: float) -> None:
        """Allow `max_per_s` requests per second until the store throttles."""
        self._max_per_s = max_per_s
        self._next_start_s = -inf  # when the next request may begin; the bucket is full
        self._throttled_per_s = 0.0  # 0: the rate is not reduced
        self._reduced_at_s = self._recovery_s = self._reduction = 0.0
        self._curve_began_s = 0.0
        self._consecutive_reductions = 0  # with few successes between them
        self._successes_since = 0  # the last reduction, of requests that began after it
        self._probed_from_per_s = 0.0  # the rate before successes doubled it; 0: they do not
        self._is_doubted = True  # whether successes at a very low rate may double it
        self._meter = RateMeter(now_s)
        self._reductions = 0  # throttles that counted
        self._consecutive_throttles = 0  # with nothing accepted between them
        self._unthrottled_per_s = 0.0  # the rate before them
        self._throttled_since_s = 0.0  # the time of the first of them
        self._consecutive_successes = 0  # with no throttle between them

    def rate_per_s(self, now_s: float) -> float:
        """Return the requests per second that may begin now."""
        if not self._throttled_per_s:
            return self._max_per_s
        beyond = (now_s - self._curve_began_s) / self._recovery_s - 1.0
        slope = self._reduction if beyond < 0.0 else CUBIC_GROWTH
        per_s = self._throttled_per_s * (1.0 + slope * beyond * beyond * beyond)
        if per_s >= self._max_per_s:
            self._throttled_per_s = self._probed_from_per_s = 0.0
            return self._max_per_s
        return per_s

    def delay_s(self, now_s: float) -> float:
        """Return the time until the next request may begin. 0: now."""
        return max(0.0, self._next_start_s - now_s)

    def is_reduced(self, now_s: float) -> bool:
        """Return whether a throttle still lowers the rate."""
        return self.rate_per_s(now_s) < self._max_per_s

    def is_pristine(self, now_s: float) -> bool:
        """Return whether it is in the state of a new one."""
        return self._next_start_s <= now_s and not self.is_reduced(now_s)

    def down_s(self, now_s: float) -> float:
        """Return for how long S3 has been down, refusing everything. 0: it is up."""
        down_s = now_s - self._throttled_since_s
        return (
            down_s
            if self._consecutive_throttles >= DOWN_AFTER_THROTTLES and down_s >= DOWN_AFTER_S
            else 0.0
        )

    @property
    def is_storm(self) -> bool:
        """Whether the store refuses requests whatever the rate, until a success shows otherwise."""
        return self._consecutive_reductions >= STORM_AFTER_REDUCTIONS

    def take(self, now_s: float) -> None:
        """Count a request that begins now, whether or not it is allowed."""
        per_s = self.rate_per_s(now_s)
        saved = max(MIN_BURST, per_s * BURST_S) - 1.0
        self._next_start_s = max(self._next_start_s, now_s - saved / per_s) + 1.0 / per_s
        self._meter.on_start(now_s)

    def on_success(self, now_s: float, began_s: float = inf) -> None:
        """Count a request that was not throttled.

        Args:
            now_s: when its response came.
            began_s: when it was sent. Requests that were in flight when the rate was lowered do
                not raise it.
        """
        self._meter.on_response(now_s, accepted=True)
        if self.down_s(now_s):
            self._reduce(self._unthrottled_per_s, DECREASE_FACTOR * self._unthrottled_per_s, now_s)
            self._next_start_s = now_s
        elif began_s > self._reduced_at_s:
            self._successes_since += 1
            if self.is_reduced(now_s) and self._may_probe(now_s):
                self._probe(now_s)
        self._consecutive_throttles = 0
        self._consecutive_successes += 1

    def on_throttle(self, began_s: float, now_s: float, retry_after_s: float | None = None) -> bool:
        """Count a throttled request. Return whether that lowers the rate.

        Args:
            began_s: when it was sent. Requests that were in flight when the rate was lowered do
                not lower it again, so a burst of throttles counts once.
            now_s: when it was throttled.
            retry_after_s: how long the store asks to wait, if it does.
        """
        self._meter.on_response(now_s, accepted=False)
        if not self._consecutive_throttles:
            self._throttled_since_s = now_s
            self._unthrottled_per_s = self._probed_from_per_s or self.rate_per_s(now_s)
        self._consecutive_throttles += 1
        if retry_after_s:
            self._next_start_s = max(
                self._next_start_s, now_s + min(retry_after_s, MAX_RETRY_AFTER_S)
            )
        if self._throttled_per_s and began_s <= self._reduced_at_s:
            return False
        if self._probed_from_per_s and self._successes_since < CALM_AFTER_SUCCESSES:
            self._end_probe(now_s)
            return True
        if self._throttled_per_s and now_s < self._reduced_at_s + THROTTLE_WINDOW_S:
            self._curve_began_s = now_s  # the same rate: it must not grow meanwhile
            self._next_start_s = max(self._next_start_s, self._reduced_at_s + THROTTLE_WINDOW_S)
            return False
        successes, self._consecutive_successes = self._consecutive_successes, 0
        if successes >= FORGIVE_AFTER_SUCCESSES:
            return False
        if self.down_s(now_s):
            per_s = self.rate_per_s(now_s)
            per_s = max(DECREASE_FACTOR * per_s, min(DOWN_PER_S, per_s))
            self._start_curve(per_s / DECREASE_FACTOR, per_s, now_s)
            self._reduced_at_s = now_s
            return False
        allowed_per_s = self.rate_per_s(now_s)
        sent_per_s, accepted_per_s = self._meter.measure_per_s(now_s)
        throttled_per_s = min(allowed_per_s, sent_per_s)
        floor_per_s = max(MIN_PER_S, min(allowed_per_s / 2, FIRST_FLOOR_PER_S))
        per_s = max(
            min(DECREASE_FACTOR * throttled_per_s, accepted_per_s), min(floor_per_s, allowed_per_s)
        )
        self._reduce(max(throttled_per_s, per_s / DECREASE_FACTOR), per_s, now_s)
        return True

    def _may_probe(self, now_s: float) -> bool:
        """Return whether a success doubles the rate."""
        if self.is_storm or self._probed_from_per_s:
            return True
        may_probe = (
            self._is_doubted
            and self._successes_since >= DOUBT_AFTER_SUCCESSES
            and self.rate_per_s(now_s) < DOUBT_BELOW_PER_S
        )
        self._is_doubted &= not may_probe
        return may_probe

    def _probe(self, now_s: float) -> None:
        """Double the rate, and let the next request begin at once."""
        per_s = self.rate_per_s(now_s)
        if not self._probed_from_per_s:
            self._probed_from_per_s = per_s
        self._next_start_s = min(self._next_start_s, now_s)
        if now_s >= self._curve_began_s + DOUBLING_S:
            self._start_curve(2.0 * per_s / DECREASE_FACTOR, 2.0 * per_s, now_s)

    def _end_probe(self, now_s: float) -> None:
        """Lower the rate below what it was before it was doubled, and wait for as long."""
        floor_per_s = min(MIN_PER_S, self._max_per_s)
        per_s = max(DECREASE_FACTOR * self._probed_from_per_s, floor_per_s)
        self._reduce(per_s / DECREASE_FACTOR, per_s, now_s)
        self._next_start_s = max(self._next_start_s, now_s + 1.0 / per_s)

    def _reduce(self, throttled_per_s: float, per_s: float, now_s: float) -> None:
        """Lower the rate to `per_s`, from where a curve leads to `throttled_per_s` and beyond."""
        self._is_doubted |= not self._throttled_per_s
        self._start_curve(throttled_per_s, per_s, now_s)
        self._reduced_at_s = now_s
        self._probed_from_per_s = 0.0
        is_calm = self._successes_since >= CALM_AFTER_SUCCESSES
        self._consecutive_reductions = 1 if is_calm else self._consecutive_reductions + 1
        self._successes_since = 0
        self._reductions = min(self._reductions + 1, MAX_RECOVERY_DOUBLINGS)

    def _start_curve(self, throttled_per_s: float, per_s: float, now_s: float) -> None:
        """Start a curve from `per_s` to `throttled_per_s` and beyond."""
        self._throttled_per_s = throttled_per_s
        self._reduction = 1.0 - per_s / throttled_per_s
        self._curve_began_s = now_s
        known_s = MAX_RECOVERY_S * min(
            1.0, (RECOVERY_KNEE_PER_S / throttled_per_s) ** RECOVERY_EXPONENT
        )
        first_s = FIRST_RECOVERY_REQUESTS * 2.0**self._reductions / throttled_per_s
        self._recovery_s = max(MIN_RECOVERY_S, min(known_s, first_s))


class RateMeter:
    """Measures one prefix's response rate."""

    __slots__ = ("_accepted", "_block_start_s", "_last_start_s", "_previous_block", "_responses")

    def __init__(self, now_s: float) -> None:
        """Start measuring."""
        self._reset(now_s)

    def _reset(self, now_s: float) -> None:
        # The block before this one: its start, its responses, and how many of them were accepted
        self._previous_block = (now_s, 0, 0)
        self._block_start_s = self._last_start_s = now_s
        self._responses = self._accepted = 0

    def on_start(self, now_s: float) -> None:
        """Count a request that begins. A pause before it resets the measurements."""
        since_s, responses, _ = self._previous_block
        responses += self._responses
        gap_s = now_s - self._last_start_s
        if responses >= MIN_BLOCK_RESPONSES // 2 and gap_s * responses > PAUSE_FACTOR * (
            self._last_start_s - since_s
        ):
            self._reset(now_s)
        self._last_start_s = now_s

    def on_response(self, now_s: float, *, accepted: bool) -> None:
        """Count a response."""
        self._responses += 1
        self._accepted += accepted
        if self._responses >= MIN_BLOCK_RESPONSES and now_s - self._block_start_s >= MIN_BLOCK_S:
            self._previous_block = (self._block_start_s, self._responses, self._accepted)
            self._block_start_s = now_s
            self._responses = self._accepted = 0

    def measure_per_s(self, now_s: float) -> tuple[float, float]:
        """Return the rates of all responses and of accepted requests, per second.

        The accepted rate is over at least a second, because a store may accept all that it takes
        within a second at the start of it.
        """
        since_s, responses, accepted = self._previous_block
        lasted_s = now_s - since_s
        responses_per_s = (responses + self._responses) / lasted_s if lasted_s > 0.0 else inf
        return responses_per_s, (accepted + self._accepted) / max(MIN_BLOCK_S, lasted_s)
