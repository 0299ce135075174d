"""Pollers of one or more shards, whose deliveries overlap step by step, at random."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from batcher.errors import RetryableError
from batcher.writing.write_once import Answer, CreateGuard, CreateObject, Step
from support.delivery_plans import (
    Plan,
    Planner,
    PositionStore,
    by_partition,
    planner,
    position_of,
)

MAX_TURNS = 6_000

CALM_TURNS = 2_500
"""The last turns, without faults, so that every run ends."""


@dataclass(frozen=True)
class Family:
    """How likely each fault is: per step, or per delivery that has ended."""

    fault: float = 0.04
    """Of a step: lost, done without an answer, or late."""
    bisects: bool = True
    restarts: float = 0.0
    """The poller forgets how the batch was bisected."""
    falls_back: float = 0.0
    """It continues from one of its last acknowledged ends."""
    jumps_back: float = 0.0
    """It continues from anywhere before."""
    expires: float = 0.0
    """The first records of a failed batch are given up, because of their age."""
    joins: float = 0.0
    """Another poller starts from an acknowledged end, beside the others."""
    repeats: float = 0.0
    """An acknowledged start is delivered once more, in another cut."""


FAMILIES: Mapping[str, Family] = {
    "retries": Family(),
    "restarts": Family(restarts=0.1),
    "checkpoint falls back": Family(restarts=0.05, falls_back=0.1),
    "pollers overlap": Family(restarts=0.03, joins=0.02),
    "repeats in another cut": Family(repeats=0.15),
    "falls back anywhere": Family(jumps_back=0.08),
    "records expire": Family(expires=0.2),
}

EXACT_FAMILIES = [
    "retries",
    "restarts",
    "checkpoint falls back",
    "pollers overlap",
    "repeats in another cut",
]
"""In these, each delivery begins where one began or an acknowledged one ended."""


@dataclass
class Run:
    """What one seed has come to."""

    lost: int
    doubled: int
    is_over: bool


@dataclass(eq=False)
class Poller:
    """One reader of the shard, and its delivery that is under way."""

    position: int
    shard: int | None = None
    """See `position_of`."""
    ends: list[tuple[int, int]] = field(default_factory=list)
    """The batches to deliver, the next one last. There are several after a bisect."""
    history: list[int] = field(default_factory=list)
    """The ends that it has acknowledged."""
    under_way: list[tuple[int, Plan, Answer]] = field(default_factory=list)
    is_delivering: bool = False
    has_failed: bool = False
    resume_at: int | None = None
    """Where it continues after a batch that was only repeated."""


class PollerModel:
    """Shards, their store, and their pollers."""

    def __init__(
        self,
        seed: int,
        family: Family,
        plan: Planner = planner,
        *,
        has_lists: bool = True,
        shards: int = 1,
    ) -> None:
        """Draw the shards of a seed. The records of several share all numbers."""
        self._chance = random.Random(seed)  # noqa: S311  # no secret
        self._family = family
        self._plan = plan
        self._records = self._chance.randint(6, 14)
        partitions = self._chance.randint(1, 3)
        self._partitions = [self._chance.randrange(partitions) for _ in range(self._records)]
        self.store = PositionStore(has_lists=has_lists)
        self._shards: list[int | None] = [None] if shards == 1 else [*range(shards)]
        self._acknowledged: set[str] = set()
        self._late: list[tuple[int, Step]] = []

    def run(self) -> Run:
        """Run until all pollers are at the end, and look at what the store has then."""
        is_over = self._play()
        for partition, step in self._late:
            self.store.do(partition, step)
        copies = self._copies()
        lost = sum(not copies[position] for position in self._acknowledged)
        return Run(lost, sum(found > 1 for found in copies.values()), is_over)

    def _copies(self) -> Counter[str]:
        """Count the objects that hold each position."""
        return self.store.copies()

    def _play(self) -> bool:
        """Let the pollers deliver. Return whether all have come to the end."""
        chance = self._chance
        pollers = [Poller(0, shard, history=[0]) for shard in self._shards]
        turns = MAX_TURNS
        while turns:
            turns -= 1
            if turns == CALM_TURNS:
                self._family = Family(fault=0.0, bisects=False)
            if len(pollers) < 3 and chance.random() < self._family.joins:
                joined = chance.choice(pollers)
                start = chance.choice(joined.history[-4:])
                pollers.append(Poller(start, joined.shard, history=[start]))
            if self._late and chance.random() < 0.08:
                self.store.do(*self._late.pop(chance.randrange(len(self._late))))
            live = [p for p in pollers if p.is_delivering or p.ends or p.position < self._records]
            if not live:
                break
            self._advance(chance.choice(live))
        return turns > 0

    def _advance(self, poller: Poller) -> None:
        """Let a poller take its next batch, one step of it, or its answer."""
        chance = self._chance
        if not poller.is_delivering:
            self._begin(poller)
        elif not poller.under_way:
            is_lost = chance.random() < self._family.fault  # the answer to the poller
            self._end(poller, is_acknowledged=not poller.has_failed and not is_lost)
        else:
            self._step(poller, poller.under_way.pop(chance.randrange(len(poller.under_way))))

    def _begin(self, poller: Poller) -> None:
        """Start the delivery of its next batch."""
        if not poller.ends:
            end = min(self._records, poller.position + self._chance.randint(1, 5))
            poller.ends.append((poller.position, end))
        poller.is_delivering, poller.has_failed = True, False
        self._send(poller, *poller.ends[-1])

    def _send(self, poller: Poller, start: int, end: int) -> None:
        """Hand the records from `start` up to `end` over to the handler."""
        parts = by_partition(self._partitions, start, end, poller.shard)
        poller.under_way = [(part, self._plan(found), None) for part, found in parts.items()]
        self._chance.shuffle(poller.under_way)

    def _step(self, poller: Poller, under_way: tuple[int, Plan, Answer]) -> None:
        partition, plan, answer = under_way
        try:
            step = plan.send(answer)
        except StopIteration:
            return
        except RetryableError:
            poller.has_failed = True
            return
        drawn, fault = self._chance.random(), self._family.fault
        if drawn < fault:  # killed
            what = self._chance.random()
            if what < 1 / 3:
                self.store.do(partition, step)
            elif what < 2 / 3 and isinstance(step, CreateObject | CreateGuard):
                self._late.append((partition, step))
            self._end(poller, is_acknowledged=False)
        elif drawn < 2 * fault:  # refused
            poller.has_failed = True
        elif drawn < 3 * fault:  # done without an answer, and given up
            self.store.do(partition, step)
            poller.has_failed = True
        else:
            if drawn < 4 * fault:  # done without an answer, and retried
                self.store.do(partition, step)
            poller.under_way.append((partition, plan, self.store.do(partition, step)))

    def _end(self, poller: Poller, *, is_acknowledged: bool) -> None:
        """Acknowledge a batch or prepare its retry, and decide where the poller continues."""
        chance, family = self._chance, self._family
        start, end = poller.ends[-1]
        poller.is_delivering = False
        poller.under_way.clear()
        if is_acknowledged:
            self._acknowledged |= {position_of(n, poller.shard) for n in range(start, end)}
            poller.ends.pop()
            poller.position = end
            poller.history.append(end)
        elif end - start > 1:
            if chance.random() < family.expires:
                cut = chance.randint(start + 1, end - 1)
                poller.ends[-1] = (cut, end)
                poller.position = cut
            elif family.bisects and chance.random() < 0.5:
                middle = (start + end) // 2
                poller.ends[-1:] = [(middle, end), (start, middle)]
        if poller.resume_at is not None:
            if is_acknowledged:
                poller.ends, poller.position = [], poller.resume_at
                poller.resume_at = None
            return
        if is_acknowledged and not poller.ends and chance.random() < family.repeats:
            before = [found for found in poller.history[-4:] if found < poller.position]
            poller.resume_at = poller.position
            poller.position = chance.choice(before)
            poller.ends = [(poller.position, chance.randint(poller.position + 1, end))]
            return
        self._move(poller)

    def _move(self, poller: Poller) -> None:
        """Perhaps continue elsewhere."""
        chance, family = self._chance, self._family
        drawn = chance.random()
        if drawn < family.restarts:
            poller.ends, poller.position = [], poller.history[-1]
        elif drawn < family.restarts + family.falls_back:
            poller.ends, poller.position = [], chance.choice(poller.history[-4:])
            poller.history = [found for found in poller.history if found <= poller.position]
        elif drawn < family.restarts + family.falls_back + family.jumps_back:
            poller.ends, poller.position = [], max(0, poller.position - chance.randint(0, 5))
