"""Each record of a stream is in exactly one object, whatever AWS may do short of losing memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.aws_model.s3 import Bucket
from support.aws_model.sandbox import NO_FAULTS, InvocationFaults, LambdaSandbox, Outcome, Responded
from support.aws_model.scenarios import (
    FEW_SCENARIOS,
    INVOCATION_FAULTS,
    TIMEOUT_S,
    assert_reached,
    digits,
    profile,
)
from support.aws_model.shard_mapping import Lane
from support.aws_model.streams import (
    PARTITIONS,
    Audit,
    StreamRecord,
    event_of,
    records_of,
    transform,
)
from support.examples import make_settings

KINDS = [*"aaaaabbbc", "leave", "bad", "bad", "bad", "odd", "odd", "raise"]
MINUTES = [-1, 1, 2, -61]
MOST = 16
RECORDS = st.lists(digits(len(KINDS), len(MINUTES), 6), min_size=6, max_size=MOST)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"deadline_margin_s": 0},
    {"concurrency": 1},
    {"compression": "none", "max_records": 2, "max_bytes": 1_000},
    {"compression": "none"},
]


class StreamMachine(RuleBasedStateMachine):
    """A shard, its lanes, a bucket, and the function between them."""

    source = "kinesis"
    bucket_kind: ClassVar[type[Bucket]] = Bucket
    reached: ClassVar[Counter[str]] = Counter()

    @initialize(
        drawn=RECORDS,
        chosen=st.sampled_from(SETTINGS),
        switches=digits(3, 2, 2, 2),
    )
    def start(
        self, drawn: list[tuple[int, ...]], chosen: dict[str, Any], switches: tuple[int, ...]
    ) -> None:
        """Draw the records, the mapping and the function's settings."""
        self.reached["scenarios"] += 1
        parallel = 1 + switches[0]
        reports, bisects, self.retries = map(bool, switches[1:])
        kinds, minutes, hashes = zip(*drawn, strict=True)
        self.records = records_of(
            self.source, [KINDS[kind] for kind in kinds], [MINUTES[minute] for minute in minutes]
        )
        self.bucket = self.bucket_kind(self.reached)
        self.audit = Audit(self.records)
        self.settings = make_settings(
            root="events",
            partition_by=PARTITIONS[self.source],
            partial_response=reports,
            **chosen,
        )
        by_lane = [
            [r for r, hashed in zip(self.records, hashes, strict=True) if hashed % parallel == lane]
            for lane in range(parallel)
        ]
        self.lanes = [
            Lane(records, reports, bisects, self.reached) for records in by_lane if records
        ]
        self.environment: LambdaSandbox | None = None
        self.begins: list[tuple[Lane[StreamRecord], int]] = [(lane, 0) for lane in self.lanes]
        self.done: dict[str, StreamRecord] = {}

    def begin_at(self, start: int, lane: Lane[StreamRecord]) -> None:
        """Note that a delivery may begin there: one did, or an acknowledged one ended there."""
        if (lane, start) not in self.begins and start < len(lane.records):
            self.begins.append((lane, start))

    def invoke(
        self,
        batch: Sequence[StreamRecord],
        faults: InvocationFaults,
        meanwhile: Sequence[Callable[[], object] | None] = (),
    ) -> Outcome:
        """Invoke the function, in a new sandbox where the last one was killed."""
        if self.environment is None or not self.environment.is_alive:
            self.environment = LambdaSandbox(
                self.bucket, self.settings, transform=transform, retries=self.retries
            )
        self.reached["invocations"] += 1
        outcome = self.environment.invoke(event_of(batch), faults, meanwhile)
        note(f"{[record.number for record in batch]} with {faults}: {outcome}")
        return outcome

    def look(self) -> None:
        """What was acknowledged is durable, once."""
        for lane in self.lanes:
            self.done |= {record.number: record for record in lane.records[: lane.checkpoint]}
        self.check_done()
        assert not self.reached["object replaced"]

    def check_done(self) -> None:
        """Check the records that were acknowledged so far."""
        self.audit.check(self.bucket, self.done.values())

    def deliver(
        self, lane: Lane[StreamRecord], size: int, faults: InvocationFaults, *, as_before: bool
    ) -> None:
        """Deliver a lane's next batch."""
        batch = lane.batch(size, as_before=as_before)
        before = lane.checkpoint
        lane.settle(batch, self.invoke(batch, faults))
        if lane.checkpoint != before:
            self.begin_at(lane.checkpoint, lane)
        self.look()

    @precondition(lambda self: not all(lane.is_drained for lane in self.lanes))
    @rule(drawn=digits(3, 8, 3, 6), faults=INVOCATION_FAULTS)
    def the_next_batch_comes(self, drawn: tuple[int, ...], faults: InvocationFaults) -> None:
        """A retry, where the last one failed."""
        which, size, new_end, recycled = drawn
        if recycled == 1:
            self.environment = None
        lanes = [lane for lane in self.lanes if not lane.is_drained]
        self.deliver(lanes[which % len(lanes)], size + 1, faults, as_before=not new_end)

    @precondition(lambda self: any(lane.acknowledged for lane in self.lanes))
    @rule(which=st.integers(0, 20), faults=INVOCATION_FAULTS)
    def an_acknowledged_batch_comes_again(self, which: int, faults: InvocationFaults) -> None:
        """As it was; nothing may change by it."""
        done = [batch for lane in self.lanes for batch in lane.acknowledged]
        self.reached["acknowledged batch came again"] += 1
        self.invoke(done[which % len(done)], faults)
        self.look()

    @rule(drawn=digits(12, 6), faults=INVOCATION_FAULTS)
    def another_cut_comes_again(self, drawn: tuple[int, ...], faults: InvocationFaults) -> None:
        """A lost checkpoint, or a second poller: from any known start, of any length."""
        lane, start, end = self.cut_again(*drawn)
        batch = lane.records[start:end]
        self.reached["another cut came again"] += 1
        self.take(lane, start, batch, self.invoke(batch, faults))
        self.look()

    @rule(drawn=digits(12, 6), other=digits(12, 6, 4), faults=INVOCATION_FAULTS)
    def two_pollers_overlap(
        self, drawn: tuple[int, ...], other: tuple[int, ...], faults: InvocationFaults
    ) -> None:
        """While a delivery is under way, another poller makes a whole one."""
        lane, start, end = self.cut_again(*drawn)
        other_lane, other_start, other_end = self.cut_again(*other[:2])
        other_batch = other_lane.records[other_start:other_end]
        second = LambdaSandbox(
            self.bucket, self.settings, transform=transform, retries=self.retries
        )
        outcomes: list[Outcome] = []

        def deliver_other() -> None:
            outcomes.append(second.invoke(event_of(other_batch)))

        before: list[Callable[[], object] | None] = [None] * other[2]
        batch = lane.records[start:end]
        outcome = self.invoke(batch, faults, [*before, deliver_other])
        self.reached["two pollers"] += len(outcomes)
        for other_outcome in outcomes:
            self.take(other_lane, other_start, other_batch, other_outcome)
        self.take(lane, start, batch, outcome)
        self.look()

    def cut_again(self, which: int, size: int) -> tuple[Lane[StreamRecord], int, int]:
        """Draw a delivery that begins where one may begin."""
        lane, start = self.begins[which % len(self.begins)]
        return lane, start, min(len(lane.records), start + 1 + size)

    def take(
        self,
        lane: Lane[StreamRecord],
        start: int,
        batch: Sequence[StreamRecord],
        outcome: Outcome,
    ) -> None:
        """Note what an additional delivery has acknowledged. The lane's checkpoint stays."""
        if outcome == Responded():
            self.done |= {record.number: record for record in batch}
            self.begin_at(start + len(batch), lane)

    @precondition(lambda self: self.bucket.pending)
    @rule(which=st.integers(0, 20))
    def a_late_write_lands(self, which: int) -> None:
        """Long after its sender is gone, perhaps."""
        self.bucket.land(self.bucket.pending[which % len(self.bucket.pending)])
        self.look()

    def teardown(self) -> None:
        """Deliver what is left, let all late writes land, and count."""
        if not hasattr(self, "lanes"):
            return
        for lane in self.lanes:
            while not lane.is_drained:
                before = lane.checkpoint
                self.deliver(lane, 5, NO_FAULTS, as_before=True)
                assert lane.checkpoint > before, "a clean delivery brings a lane on"
        while self.bucket.pending:
            self.bucket.land(self.bucket.pending[0])
        self.audit.check_end(self.bucket)


class TableMachine(StreamMachine):
    """The same with the stream of a DynamoDB table."""

    source = "dynamodb"
    reached: ClassVar[Counter[str]] = Counter()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize(("machine", "examples"), [(StreamMachine, 400), (TableMachine, 200)])
def test_each_record_is_in_exactly_one_object(machine: type[StreamMachine], examples: int) -> None:
    """Through kills, late writes, lost answers, bisected, repeated and parallel batches."""
    machine.reached.clear()
    run_state_machine_as_test(machine, settings=profile(examples, steps=20))
    assert_reached(
        machine.reached,
        "scenarios",
        "bisected",
        "longer retry",
        "shorter retry",
        "came back by an answer",
        "acknowledged batch came again",
        "handler raised",
        "killed by a crash",
        "killed by Lambda's timeout",
        "killed by nothing would happen",
        "late write landed",
        "late write refused",
        "another cut came again",
        "two pollers",
        "put acts",
    )


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("machine", [StreamMachine, TableMachine])
def test_each_record_is_in_exactly_one_object_in_a_few_scenarios(
    machine: type[StreamMachine],
) -> None:
    """The same with fewer scenarios, for every run of the tests."""
    run_state_machine_as_test(machine, settings=profile(FEW_SCENARIOS, steps=20))
