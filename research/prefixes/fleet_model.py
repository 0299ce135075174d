"""A fleet of writers before the model of S3, event by event on a virtual clock.

Decisions are batcher's own code: names, salts and keys, the rate limit of each prefix, the backoff.
Waiting is simulated: objects arrive at random at each writer's queue; a writer takes as many as it
may hold; each waits in its prefix's queue, is sent, and after a refusal is sent again, as
`RateLimitedStore` and `RetryingStore` do it. What cannot be sent by its deadline goes back to the
queue and is redelivered.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf

from batcher.stores.rate_limits.limiter import PrefixLimiter, PrefixLimiters
from batcher.stores.retrying import Backoff
from key_layouts import ROOT, Keys, Layout
from s3_model import S3, Assumptions

PREFIX_RATE = 3_500
AGE_EVERY = 8
"""The age of every n-th delivery is kept."""


@dataclass(frozen=True)
class Case:
    """One simulated case."""

    name: str
    layout: Layout
    writers: int = 2_000
    per_s: float = 3.0
    """Objects that arrive at each writer in a second."""
    is_paced: bool = True
    fleet: int | None = None
    """The setting `fleet` of the writers; None: their number."""
    lasts_s: float = 9_000
    load: Callable[[float], float] | None = None
    """By how much the arrivals are multiplied, at a time."""
    starts_at_s: float = 1_790_000_000 // 86_400 * 86_400 + 10 * 3_600
    """The wall clock at the beginning: ten in the morning."""
    scale: float = 20
    """Writers and S3 are scaled down by this factor."""
    s3: Assumptions = field(default_factory=Assumptions)
    holds: int = 16
    """Objects that a writer has taken and not delivered, at most."""
    deadline_s: float = 60.0
    """An object that is not sent this long after it was taken is handed back."""
    returns_s: float = 360.0
    """What went back comes again after this: SQS's visibility timeout, by Amazon's advice six times
    the function's."""
    looks_again_s: float = 1.0
    """A writer that has handed an object back takes another one after this."""
    answer_s: float = 0.03
    """S3's time for an answer."""
    seed: int = 1


@dataclass
class Minute:
    """What happened in a minute of the model."""

    ends_s: float
    arrived: int = 0
    requests: int = 0
    refused: int = 0
    delivered: int = 0
    handed_back: int = 0
    backlog: int = 0
    """Arrived so far and not delivered, at its end."""
    partitions: int = 1
    by_salt: dict[str, int] = field(default_factory=dict)
    """Objects delivered."""
    ages_s: list[float] = field(default_factory=list)
    """Of some of the objects delivered, since they arrived."""

    @property
    def worst_over_mean(self) -> float:
        """How many more objects than the mean the busiest salt had."""
        return max(self.by_salt.values()) * len(self.by_salt) / sum(self.by_salt.values())


class PrefixQueue:
    """One writer's requests to one prefix."""

    __slots__ = ("is_stuck", "limiter", "waiting")

    def __init__(self, limiter: PrefixLimiter | None) -> None:
        """Start empty; without a limiter, requests are sent at once."""
        self.limiter = limiter
        self.waiting: deque[HeldObject] = deque()
        self.is_stuck = False
        """Whether it waits for a request in flight to end."""


class Writer:
    """One process."""

    __slots__ = ("delivered", "held", "limiters", "lines", "queue")

    def __init__(self, limiters: PrefixLimiters) -> None:
        """Begin with nothing to do."""
        self.limiters = limiters
        self.lines: dict[str, PrefixQueue] = {}
        self.queue: deque[float | HeldObject] = deque()
        self.held = 0
        self.delivered = 0


class HeldObject:
    """One object that a writer has taken from its queue."""

    __slots__ = ("arrived_s", "attempts", "deadline_s", "key", "line", "salt", "writer")

    def __init__(
        self, writer: Writer, arrived_s: float, key: str, salt: str, line: PrefixQueue
    ) -> None:
        """Take it for the first time."""
        self.writer = writer
        self.arrived_s = arrived_s
        self.key = key
        self.salt = salt
        self.line = line
        self.deadline_s = 0.0
        self.attempts = 0


class Model:
    """Simulates one case."""

    def __init__(self, case: Case) -> None:
        """Create the writers and S3."""
        self.case = case
        fleet = case.writers if case.fleet is None else case.fleet
        most_per_s = PREFIX_RATE / fleet
        size = max(1, round(case.writers / case.scale))
        digits = case.layout.prefix_digits
        self.writers = [
            Writer(PrefixLimiters(most_per_s, case.holds, ROOT, 1 << digits)) for _ in range(size)
        ]
        self.s3 = S3(case.s3.scaled(case.scale))
        self.minutes: list[Minute] = []
        self._minute = Minute(60.0)
        self._keys = Keys(case.layout, case.starts_at_s, case.seed)
        self._random = random.Random(case.seed)  # noqa: S311  # no secret
        self._backoff = Backoff()
        self._now_s = 0.0
        self._events: list[tuple[float, int, Callable[..., None], object]] = []
        self._numbers = count()
        self._answers: deque[tuple[float, float, bool, HeldObject]] = deque()

    @property
    def unfinished(self) -> Minute:
        """The minute that the case has ended in."""
        return self._minute

    def waiting(self) -> int:
        """Count the objects that are somewhere between their queue and S3's answer."""
        in_queues = sum(len(writer.queue) for writer in self.writers)
        in_lines = sum(len(one.waiting) for writer in self.writers for one in writer.lines.values())
        later = (self._submit, self._return)
        return in_queues + in_lines + len(self._answers) + sum(e[2] in later for e in self._events)

    def play(self) -> list[Minute]:
        """Simulate the case to its end. Return what happened in each minute."""
        case, events, answers, writers = self.case, self._events, self._answers, self.writers
        expo, draw, load = self._random.expovariate, self._random.random, case.load
        per_s = len(writers) * case.per_s
        arrives_s = expo(per_s)
        looks_s = 0.0
        while self._now_s < case.lasts_s:
            answers_s = answers[0][0] if answers else inf
            event_s = events[0][0] if events else inf
            now_s = self._now_s = min(arrives_s, answers_s, event_s)
            if now_s >= looks_s:
                looks_s = self._look(now_s)
            if now_s == arrives_s:
                arrives_s = now_s + expo(per_s * (load(now_s) if load else 1.0))
                writer = writers[int(draw() * len(writers))]
                self._minute.arrived += 1
                writer.queue.append(now_s)
                if writer.held < case.holds:
                    self._fill(writer)
            elif now_s == answers_s:
                _, began_s, is_taken, held = answers.popleft()
                self._answered(held, began_s, is_taken=is_taken)
            else:
                _, _, happens, what = heappop(events)
                happens(what)
        return self.minutes

    def _later(self, at_s: float, happens: Callable[..., None], what: object) -> None:
        heappush(self._events, (at_s, next(self._numbers), happens, what))

    def _look(self, now_s: float) -> float:
        """Close the minutes that are over, and let S3 look at its load.

        Returns:
            When to look again.
        """
        while now_s >= self._minute.ends_s:
            minute = self._minute
            before = self.minutes[-1].backlog if self.minutes else 0
            minute.backlog = before + minute.arrived - minute.delivered
            self.s3.look(minute.ends_s)
            minute.partitions = self.s3.partitions
            self.minutes.append(minute)
            self._minute = Minute(minute.ends_s + 60.0)
        return self._minute.ends_s

    def _fill(self, writer: Writer) -> None:
        """Let a writer take what it has room for."""
        while writer.held < self.case.holds and writer.queue:
            writer.held += 1
            held = writer.queue.popleft()
            if isinstance(held, float):
                held = self._taken(writer, held)
            held.deadline_s = self._now_s + self.case.deadline_s
            held.attempts = 0
            self._submit(held)

    def _taken(self, writer: Writer, arrived_s: float) -> HeldObject:
        """Name an object that is taken for the first time."""
        key, salt = self._keys.make(self.case.starts_at_s + self._now_s)
        line = writer.lines.get(salt)
        if line is None:
            limiters = writer.limiters
            limiter = (
                limiters.get(limiters.get_prefix(key), self._now_s) if self.case.is_paced else None
            )
            line = writer.lines[salt] = PrefixQueue(limiter)
        return HeldObject(writer, arrived_s, key, salt, line)

    def _submit(self, held: HeldObject) -> None:
        """Send an object, or queue it, or hand it back."""
        line, now_s = held.line, self._now_s
        limiter, waiting = line.limiter, line.waiting
        if limiter is None:
            self._send(held)
            return
        delay_s = limiter.delay_s(now_s)
        if not waiting and not delay_s:
            self._send(held)
        elif now_s + limiter.estimate_wait_s(now_s, len(waiting)) > held.deadline_s:
            self._hand_back(held)
        else:
            waiting.append(held)
            if len(waiting) == 1:
                self._wait(line, delay_s)

    def _wait(self, line: PrefixQueue, delay_s: float) -> None:
        line.is_stuck = delay_s == inf
        if not line.is_stuck:
            self._later(self._now_s + delay_s, self._turn, line)

    def _turn(self, line: PrefixQueue) -> None:
        """Send the first in the queue, unless the rate has become slower meanwhile."""
        limiter, waiting, now_s = line.limiter, line.waiting, self._now_s
        assert limiter is not None  # noqa: S101  # only rate-limited requests wait
        delay_s = limiter.delay_s(now_s)
        if not delay_s:
            self._send(waiting.popleft())
            delay_s = limiter.delay_s(now_s)
        while waiting and now_s + delay_s > waiting[0].deadline_s and delay_s < inf:
            self._hand_back(waiting.popleft())
        if waiting:
            self._wait(line, delay_s)

    def _send(self, held: HeldObject) -> None:
        now_s = self._now_s
        if held.line.limiter is not None:
            held.line.limiter.on_start(now_s)
        self._minute.requests += 1
        is_taken = self.s3.put(held.key, now_s)
        self._answers.append((now_s + self.case.answer_s, now_s, is_taken, held))

    def _answered(self, held: HeldObject, began_s: float, *, is_taken: bool) -> None:
        line, now_s = held.line, self._now_s
        if is_taken:
            if line.limiter is not None:
                line.limiter.on_response(began_s, now_s)
            self._delivered(held)
        else:
            if line.limiter is not None:
                line.limiter.on_throttle(began_s, now_s)
            self._refused(held)
        if line.is_stuck and line.waiting:
            self._wait(line, 0.0)

    def _delivered(self, held: HeldObject) -> None:
        minute, writer = self._minute, held.writer
        minute.delivered += 1
        minute.by_salt[held.salt] = minute.by_salt.get(held.salt, 0) + 1
        if not minute.delivered % AGE_EVERY:
            minute.ages_s.append(self._now_s - held.arrived_s)
        writer.delivered += 1
        writer.held -= 1
        self._fill(writer)

    def _refused(self, held: HeldObject) -> None:
        """Send an object again after a while, if there is time."""
        self._minute.refused += 1
        held.attempts += 1
        delay_s = self._backoff.delay_s(held.attempts, self._random.random(), None)
        if self._now_s + delay_s >= held.deadline_s:
            self._hand_back(held)
        else:
            self._later(self._now_s + delay_s, self._submit, held)

    def _hand_back(self, held: HeldObject) -> None:
        self._minute.handed_back += 1
        self._later(self._now_s + self.case.returns_s, self._return, held)
        self._later(self._now_s + self.case.looks_again_s, self._free, held.writer)

    def _return(self, held: HeldObject) -> None:
        """Let an object that was handed back be the next that its writer takes."""
        held.writer.queue.appendleft(held)
        self._fill(held.writer)

    def _free(self, writer: Writer) -> None:
        writer.held -= 1
        self._fill(writer)
