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

SAMPLE, SAMPLE_S = 16, 1.0
"""A block is as many answers, and lasts so long, at least."""


PAUSE = 8.0
"""So many times the usual time between two requests is a pause: then measuring starts anew."""


BURST_S, BURST = 0.1, 2.0
"""After a pause the requests of so many seconds may go at once, or so many: one, and its retry."""


KEPT = 0.7
"""Of the rate that was refused, as in CUBIC."""


GENTLE_PER_S = 1.0
"""One refusal takes the rate no lower than this, or than half of what it was where that is less: a
503 out of the blue must not hold up a prefix that has ten objects an hour."""


LEAST_PER_S = 1 / 300
"""Not even many refusals take it lower."""


GROWTH = 1.0
"""Of the refused rate, added in the time that it took to come back to it."""


QUICKEST_S, SLOWEST_S = 4.0, 400.0
"""To come back to the rate that was refused."""


KNEE_PER_S, STEEPNESS = 0.25, 0.5
"""Up to this rate coming back takes longest; above, it shrinks by this power of the rate. By less
than the rate itself: of those who share a prefix, who has more must need more requests for it."""


FIRST_REQUESTS = 32.0
"""The first time it comes back within so many requests, and each further time within twice as many:
what was measured of a prefix in its first second may be far off."""


MOST_LESSONS = 20  # doublings far beyond any that matter


FORGIVEN = 200
"""A refusal after so many were accepted is taken for one of those that S3 has now and then; where
the rate is too high, the next one comes at once."""


SETTLE_S = 1.0
"""S3 counts by the second: after a refusal that counted, others count only when it is over."""


AWAY, AWAY_S = 5, 5.0
"""So many refusals, over so many seconds, with nothing accepted between them: the store does not
choose, it is away. That says nothing about the rate, which is then what it was before."""


LONGEST_HOLD_S = 30.0
"""What the store asks for itself (Retry-After) is heeded so long at most."""


class Rate:
    """One prefix's token bucket, and the rate that fills it."""

    __slots__ = (
        "_cut_s",
        "_depth",
        "_due_s",
        "_lately",
        "_lessons",
        "_most_per_s",
        "_recovery_s",
        "_refused_per_s",
        "_refused_since_s",
        "_row",
        "_smooth",
        "_sound_per_s",
    )

    def __init__(self, most_per_s: float, now_s: float) -> None:
        """Allow `most_per_s` requests a second, until the store says otherwise."""
        self._most_per_s = most_per_s
        self._due_s = -inf  # when the next request may begin; the bucket is full
        self._refused_per_s = 0.0  # 0: no refusal is remembered
        self._cut_s = self._recovery_s = self._depth = 0.0
        self._lately = Lately(now_s)
        self._lessons = 0  # refusals that counted
        self._row = 0  # refusals with nothing accepted between them
        self._sound_per_s = 0.0  # the rate before it
        self._refused_since_s = 0.0  # when that row began
        self._smooth = 0  # accepted with no refusal between them

    def per_s(self, now_s: float) -> float:
        """Give the requests a second that may begin now."""
        if not self._refused_per_s:
            return self._most_per_s
        beyond = (now_s - self._cut_s) / self._recovery_s - 1.0
        slope = self._depth if beyond < 0.0 else GROWTH
        per_s = self._refused_per_s * (1.0 + slope * beyond * beyond * beyond)
        if per_s >= self._most_per_s:
            self._refused_per_s = 0.0
            return self._most_per_s
        return per_s

    def delay_s(self, now_s: float) -> float:
        """Give the time until the next request may begin; 0: now."""
        return max(0.0, self._due_s - now_s)

    def is_slow(self, now_s: float) -> bool:
        """Say whether a refusal still holds it back."""
        return self.per_s(now_s) < self._most_per_s

    def is_at_rest(self, now_s: float) -> bool:
        """Say whether it is as a new one would be."""
        return self._due_s <= now_s and not self.is_slow(now_s)

    def away_s(self, now_s: float) -> float:
        """Give for how long the store has been away, refusing everything; 0: it is not."""
        refused_s = now_s - self._refused_since_s
        return refused_s if self._row >= AWAY and refused_s >= AWAY_S else 0.0

    def take(self, now_s: float) -> None:
        """Count a request that begins now, whether or not it may."""
        per_s = self.per_s(now_s)
        saved = max(BURST, per_s * BURST_S) - 1.0
        self._due_s = max(self._due_s, now_s - saved / per_s) + 1.0 / per_s
        self._lately.began(now_s)

    def accepted(self, now_s: float) -> None:
        """Count a request that the store has taken on."""
        self._lately.answered(now_s, is_accepted=True)
        if self.away_s(now_s):
            self._fall(self._sound_per_s, KEPT * self._sound_per_s, now_s)
            self._due_s = now_s
        self._row = 0
        self._smooth += 1

    def refused(self, began_s: float, now_s: float, retry_after_s: float | None = None) -> bool:
        """Count a request that the store has refused, and slow down; says whether it did.

        Args:
            began_s: when it began. Those that were under way when the rate fell say nothing of
                the new one: a burst of refusals counts once.
            now_s: when it was refused.
            retry_after_s: what the store asks to wait, if it does.
        """
        self._lately.answered(now_s, is_accepted=False)
        if not self._row:
            self._refused_since_s = now_s
            self._sound_per_s = self.per_s(now_s)
        self._row += 1
        if retry_after_s:
            self._due_s = max(self._due_s, now_s + min(retry_after_s, LONGEST_HOLD_S))
        if self._refused_per_s and (began_s <= self._cut_s or now_s < self._cut_s + SETTLE_S):
            return False
        smooth, self._smooth = self._smooth, 0
        if smooth >= FORGIVEN:
            return False
        if self.away_s(now_s):
            self._cut_s = now_s  # it stays as slow as it is
            return False
        allowed_per_s = self.per_s(now_s)
        sent_per_s, accepted_per_s = self._lately.per_s(now_s)
        refused_per_s = min(allowed_per_s, sent_per_s)
        gentle_per_s = max(LEAST_PER_S, min(allowed_per_s / 2, GENTLE_PER_S))
        per_s = max(min(KEPT * refused_per_s, accepted_per_s), min(gentle_per_s, allowed_per_s))
        self._fall(max(refused_per_s, per_s / KEPT), per_s, now_s)
        return True

    def _fall(self, refused_per_s: float, per_s: float, now_s: float) -> None:
        """Begin a curve from `per_s` back to `refused_per_s`, and on."""
        self._refused_per_s = refused_per_s
        self._depth = 1.0 - per_s / refused_per_s
        self._cut_s = now_s
        known_s = SLOWEST_S * min(1.0, (KNEE_PER_S / refused_per_s) ** STEEPNESS)
        learnt_s = FIRST_REQUESTS * 2.0**self._lessons / refused_per_s
        self._recovery_s = max(QUICKEST_S, min(known_s, learnt_s))
        self._lessons = min(self._lessons + 1, MOST_LESSONS)


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
