"""Deliveries of a shard in any cut, carried out against a store of positions, step by step.

Several shards may share the store, and their records the numbers, as in a DynamoDB stream.

The steps are those of `batcher.writing.write_once`, which the handler carries out as well. A step
may be lost, take effect without an answer, or take effect late.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from batcher.errors import RetryableError
from batcher.records.chunk import positions_digest
from batcher.records.position import (
    FINGERPRINT_DIGITS,
    fingerprint_of,
    full_positions,
    sequence_number,
)
from batcher.writing.write_once import (
    Answer,
    CreateGuard,
    CreateObject,
    ExistingObject,
    Look,
    ReadPositions,
    Step,
    plan_writes,
)

Name = tuple[int, str]
"""The partition, and the name in it."""

Plan = Generator[Step, Answer, None]

Planner = Callable[[Sequence[str]], Plan]


def planner(positions: Sequence[str]) -> Plan:
    """Plan the writes of a stream."""
    return plan_writes(positions, positions_digest, is_stream=True)


@dataclass
class PositionStore:
    """Objects and guards: their positions, by partition and name."""

    has_lists: bool = True
    """Whether positions lists can be read."""
    objects: dict[Name, tuple[str, ...]] = field(default_factory=dict)
    guards: dict[Name, tuple[str, ...]] = field(default_factory=dict)

    def do(self, partition: int, step: Step) -> Answer:
        """Carry out one step, and return its answer."""
        first = step.first if isinstance(step, Look | ReadPositions) else step.positions[0]
        name = (partition, f"{sequence_number(first)}~{step.suffix}")
        held = self.objects.get(name)
        listed = self.guards.get(name) if held is None else held
        if isinstance(step, CreateObject | CreateGuard):
            if listed is not None:
                return False
            there = self.objects if isinstance(step, CreateObject) else self.guards
            there[name] = tuple(step.positions)
            return True
        if isinstance(step, Look):
            if listed is None:
                return None
            records = 0 if held is None else len(held)
            return ExistingObject(positions_digest(listed), records, fingerprint_of(listed[0]))
        return list(listed) if self.has_lists and listed is not None else None

    def copies(self) -> Counter[str]:
        """Count the objects that hold each position."""
        return Counter(itertools.chain.from_iterable(self.objects.values()))


def position_of(number: int, shard: int | None = None) -> str:
    """Return the full position of a record.

    Args:
        number: of the record, from 0.
        shard: of several whose records share numbers. None: there is one, so that numbers do.
    """
    position = str(number + FIRST)
    if shard is None:
        return position
    (full,) = full_positions([position], [f"{shard:x}{number:x}".zfill(FINGERPRINT_DIGITS)])
    return full


def by_partition(
    partitions: Sequence[int], start: int, end: int, shard: int | None = None
) -> dict[int, list[str]]:
    """Return the full positions of a delivery by partition."""
    found: dict[int, list[str]] = {}
    for number in range(start, end):
        found.setdefault(partitions[number], []).append(position_of(number, shard))
    return found


FIRST = 8
"""The first position, so that the order of numbers differs from that of text."""


LATE, DONE, NOT_SENT = "late", "done", "not sent"


@dataclass(frozen=True)
class Delivery:
    """One delivery of the records from `start` up to `end`, which may be cut short."""

    start: int
    end: int
    crash: int | None = None
    """The step, from 0, at which the process is killed. None: it is not."""
    outcome: str = NOT_SENT
    """What becomes of that step."""
    late_steps_land: bool = False
    """Whether all steps that are late take effect after this delivery."""


@dataclass
class Shard:
    """The records of a shard, what holds them, and what was acknowledged."""

    partitions: Sequence[int]
    plan: Planner = planner
    store: PositionStore = field(default_factory=PositionStore)
    shard: int | None = None
    """See `position_of`."""
    late: list[tuple[int, Step]] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    front: int = 0
    """All records before it are acknowledged."""
    bounds: set[int] = field(default_factory=lambda: {0})
    """Where deliveries have begun, or acknowledged ones ended."""

    def deliver(self, delivery: Delivery) -> bool | None:
        """Make a delivery. Return whether it was acknowledged; None: it has no such step."""
        is_done = self._write(delivery)
        if delivery.crash is not None and is_done:
            return None
        if is_done:
            self.acknowledged |= {
                position_of(number, self.shard) for number in range(delivery.start, delivery.end)
            }
            self.bounds.add(delivery.end)
            self.front = max(self.front, delivery.end)
        self.bounds.add(delivery.start)
        return is_done

    def _write(self, delivery: Delivery) -> bool:
        number = 0
        parts = by_partition(self.partitions, delivery.start, delivery.end, self.shard)
        for partition, positions in sorted(parts.items()):
            steps = self.plan(positions)
            answer: Answer = None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration:
                    break
                except RetryableError:
                    return False
                if number == delivery.crash:
                    self._cut(partition, step, delivery.outcome)
                    return False
                answer = self.store.do(partition, step)
                number += 1
        return True

    def _cut(self, partition: int, step: Step, outcome: str) -> None:
        if outcome == DONE:
            self.store.do(partition, step)
        elif outcome == LATE and isinstance(step, CreateObject | CreateGuard):
            self.late.append((partition, step))

    def land(self) -> None:
        """Let all late steps take effect."""
        for partition, step in self.late:
            self.store.do(partition, step)
        self.late.clear()

    def finish(self) -> None:
        """Deliver what is left, as often as it takes."""
        for _ in range(3):
            if self.front < len(self.partitions):
                self.deliver(Delivery(self.front, len(self.partitions)))
        self.land()

    def lost(self) -> list[str]:
        """Return the acknowledged records that no object holds."""
        copies = self.store.copies()
        return sorted(position for position in self.acknowledged if not copies[position])

    def doubled(self) -> list[str]:
        """Return the records that several objects hold."""
        return sorted(position for position, found in self.store.copies().items() if found > 1)


MAX_STEPS = 14
"""Steps of a delivery at which it may be killed: none has more."""


def cuts(start: int, records: int) -> Iterator[Delivery]:
    """Return all deliveries from `start` on."""
    for end in range(start + 1, records + 1):
        for late_steps_land in (False, True):
            yield Delivery(start, end, late_steps_land=late_steps_land)
        for crash in range(MAX_STEPS):
            for outcome in (NOT_SENT, DONE, LATE):
                for late_steps_land in (False, True):
                    yield Delivery(start, end, crash, outcome, late_steps_land)


def all_plans(
    records: int, depth: int, *, known_bounds: bool, plan: Planner = planner
) -> Iterator[tuple[Shard, tuple[Delivery, ...]]]:
    """Return the shard after each sequence of up to `depth` deliveries, followed by clean ones.

    Args:
        records: of the shard, in up to two partitions, divided in all ways.
        depth: the most deliveries that are not clean.
        known_bounds: whether they begin at any known boundary. Else each begins where all records
            before it are acknowledged.
        plan: plans the writes of one partition.
    """
    for partitions in itertools.product((0, 1), repeat=records):
        if partitions[0] == 0:
            yield from _plans_after((), partitions, depth, plan, known_bounds=known_bounds)


def _plans_after(
    before: tuple[Delivery, ...],
    partitions: Sequence[int],
    depth: int,
    plan: Planner,
    *,
    known_bounds: bool,
) -> Iterator[tuple[Shard, tuple[Delivery, ...]]]:
    shard = Shard(partitions, plan)
    for delivery in before:
        if shard.deliver(delivery) is None:
            return  # the same as without a kill
        if delivery.late_steps_land:
            if not shard.late:
                return  # the same as without
            shard.land()
    starts = sorted(shard.bounds) if known_bounds else [shard.front]
    if len(before) < depth:
        for start in starts:
            for delivery in cuts(start, len(partitions)):
                yield from _plans_after(
                    (*before, delivery), partitions, depth, plan, known_bounds=known_bounds
                )
    shard.finish()
    yield shard, before


def all_plans_of_two_shards(
    records: int, depth: int, *, plan: Planner = planner
) -> Iterator[tuple[list[Shard], tuple[tuple[int, Delivery], ...]]]:
    """Return two shards that share all numbers after each sequence of up to `depth` deliveries.

    Each delivery, of either shard, begins at a boundary that its shard knows. Clean ones follow.
    See `all_plans`.
    """
    for partitions in itertools.product((0, 1), repeat=records):
        if partitions[0] == 0:
            yield from _plans_of_two_after((), partitions, depth, plan)


def _plans_of_two_after(
    before: tuple[tuple[int, Delivery], ...],
    partitions: Sequence[int],
    depth: int,
    plan: Planner,
) -> Iterator[tuple[list[Shard], tuple[tuple[int, Delivery], ...]]]:
    store = PositionStore()
    shards = [Shard(partitions, plan, store, shard) for shard in (0, 1)]
    for which, delivery in before:
        shard = shards[which]
        if shard.deliver(delivery) is None:
            return  # the same as without a kill
        if delivery.late_steps_land:
            if not shard.late:
                return  # the same as without
            shard.land()
    if len(before) < depth:
        for which, shard in enumerate(shards):
            for start in sorted(shard.bounds):
                for delivery in cuts(start, len(partitions)):
                    after = (*before, (which, delivery))
                    yield from _plans_of_two_after(after, partitions, depth, plan)
    for shard in shards:
        shard.finish()
    yield shards, before
