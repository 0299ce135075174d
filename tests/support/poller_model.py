"""Pollers of one or more shards, whose deliveries overlap step by step, at random."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from batcher.errors import RetryableError
from batcher.testing.shard_poller import MappingBehavior, ShardPoller
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


@dataclass
class Run:
    """What one seed has come to."""

    lost: int
    doubled: int
    is_over: bool


@dataclass(eq=False)
class Poller(ShardPoller):
    """One reader of the shard, and its delivery that is under way."""

    shard: int | None = None
    """See `position_of`."""
    under_way: list[tuple[int, Plan, Answer]] = field(default_factory=list)
    is_delivering: bool = False
    has_failed: bool = False


class PollerModel:
    """Shards, their store, and their pollers."""

    def __init__(
        self,
        seed: int,
        family: MappingBehavior,
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
        pollers = [Poller(0, shard=shard, history=[0]) for shard in self._shards]
        turns = MAX_TURNS
        while turns:
            turns -= 1
            if turns == CALM_TURNS:
                self._family = MappingBehavior(fault=0.0, bisects=False)
            if len(pollers) < 3 and chance.random() < self._family.joins:
                joined = chance.choice(pollers)
                start = joined.join(chance)
                pollers.append(Poller(start, shard=joined.shard, history=[start]))
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
        start, end = poller.next_batch(self._chance, self._records)
        poller.is_delivering, poller.has_failed = True, False
        self._send(poller, start, end)

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
        """Acknowledge a batch or prepare its retry."""
        start, end = poller.ends[-1]
        poller.is_delivering = False
        poller.under_way.clear()
        if is_acknowledged:
            self._acknowledged |= {position_of(n, poller.shard) for n in range(start, end)}
        poller.settle(self._chance, self._family, end - start if is_acknowledged else 0)
