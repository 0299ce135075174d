"""A stream and its event source mapping: shards, windows, retry limits, batches that are given up.

Checkpoints, partial answers and bisect are `model.mapping.Lane`'s.
Source: AWS Lambda developer guide, "Using Lambda with Kinesis Data Streams".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from batcher.tools.demo.events import KINESIS, MAX_EVENT_BYTES, EventRecord, Webhook
from e2e.template import UNTIL_IT_EXPIRES, MappingSpec
from support.aws_model.sandbox import Outcome
from support.aws_model.shard_mapping import Lane


@dataclass(frozen=True, slots=True)
class Delivered:
    """A record as the stream sends it."""

    number: str
    record: EventRecord
    size_bytes: int

    @property
    def text(self) -> str:
        """Its payload."""
        return KINESIS.text(self.record)

    @property
    def arrived_s(self) -> float:
        """When the stream got it."""
        return KINESIS.arrived_s(self.record)


@dataclass
class LimitedLane(Lane[Delivered]):
    """A lane whose retries run out; splitting a batch does not count as one."""

    max_retries: int = UNTIL_IT_EXPIRES
    given_up: list[Delivered] = field(default_factory=list)
    _failures: int = 0

    def settle(self, batch: Sequence[Delivered], outcome: Outcome) -> None:
        """Do what the mapping does when an invocation has ended."""
        checkpoint, splits = self.checkpoint, self.reached["bisected"]
        super().settle(batch, outcome)
        if self.checkpoint > checkpoint:
            self._failures = 0
        elif self.reached["bisected"] == splits:
            self._failures += 1
        if self._failures > self.max_retries != UNTIL_IT_EXPIRES:
            self.given_up += batch
            self.checkpoint = self._ends.pop()
            self._failures = 0


class StreamMapping:
    """Delivers each shard's records in their order, until all are acknowledged or given up."""

    def __init__(self, mapping: MappingSpec) -> None:
        """Do as the template says."""
        self._mapping = mapping
        self.reached: Counter[str] = Counter()
        self.lanes: list[LimitedLane] = []
        self._as_they_come = False

    def send(self, webhooks: Sequence[Webhook], *, as_they_come: bool) -> None:
        """Take records, into some shards.

        `as_they_come`: at the times that they have, else all are there already.
        """
        self._as_they_come = as_they_come
        lanes: dict[tuple[str, int], list[Delivered]] = {}
        for batch in KINESIS.make_invocations(webhooks):
            for record in batch:
                shard = record["eventID"].partition(":")[0]
                key = int(record["kinesis"]["partitionKey"], 16)
                lane = lanes.setdefault((shard, key % self._mapping.parallelization), [])
                size_bytes = len(orjson.dumps(record)) + 1
                lane.append(Delivered(KINESIS.position(record), record, size_bytes))
        self.lanes += [self._lane(records) for records in lanes.values()]

    def _lane(self, records: list[Delivered]) -> LimitedLane:
        mapping = self._mapping
        return LimitedLane(
            records, mapping.reports, mapping.bisects, self.reached, max_retries=mapping.max_retries
        )

    def turns(self) -> Iterator[LimitedLane]:
        """Return lanes in turn, as long as they have something left."""
        while left := [lane for lane in self.lanes if not lane.is_drained]:
            yield from left

    def batch(self, lane: LimitedLane) -> Sequence[Delivered]:
        """Return a lane's next batch: what the window brings, up to the batch size and 6 MB."""
        until_s = lane.records[lane.checkpoint].arrived_s + self._mapping.window_s
        room_bytes = MAX_EVENT_BYTES - len(b'{"Records":[]}')
        size = 0
        for record in lane.records[lane.checkpoint :]:
            is_late = self._as_they_come and record.arrived_s > until_s
            if is_late or size == self._mapping.batch_size or record.size_bytes > room_bytes:
                break
            size += 1
            room_bytes -= record.size_bytes
        return lane.batch(size, as_before=True)

    @property
    def dead_letters(self) -> list[str]:
        """What the on-failure destination was told of; without one nobody knows."""
        if not self._mapping.has_destination:
            return []
        return [record.text for lane in self.lanes for record in lane.given_up]
