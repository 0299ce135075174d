"""No message of a queue is lost, one set is written once, and a FIFO group keeps its order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import compress
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
from support.aws_model.sandbox import NO_FAULTS, InvocationFaults, LambdaSandbox, Outcome
from support.aws_model.scenarios import (
    FEW_SCENARIOS,
    INVOCATION_FAULTS,
    TIMEOUT_S,
    assert_reached,
    digits,
    profile,
)
from support.aws_model.sqs import BORDER_MS, Queue, QueueAudit, QueueMessage, event_of
from support.aws_model.streams import transform
from support.examples import make_settings

KINDS = [*"aaabbc", "leave", "bad", "bad"]
SENT_MS = [0, 0, -1, -3_600_001]
GROUPS = ["g", "h", "i"]
MOST = 12
SETTINGS: list[dict[str, Any]] = [
    {},
    {"max_records": 2},
    {"max_bytes": 120, "compression": "none"},
    {"budget_bytes": 300, "deadline_margin_s": 0},
    {"concurrency": 1},
]


class QueueMachine(RuleBasedStateMachine):
    """A standard queue, a bucket, and the function between them."""

    is_fifo = False
    bucket_kind: ClassVar[type[Bucket]] = Bucket
    reached: ClassVar[Counter[str]] = Counter()

    @initialize(
        drawn=st.lists(digits(len(KINDS), len(SENT_MS), len(GROUPS)), min_size=3, max_size=MOST),
        chosen=st.sampled_from(SETTINGS),
        switches=digits(2, 2),
    )
    def start(
        self, drawn: list[tuple[int, ...]], chosen: dict[str, Any], switches: tuple[int, ...]
    ) -> None:
        """Draw the messages, the mapping and the function's settings."""
        self.reached["scenarios"] += 1
        reports, self.retries = map(bool, switches)
        messages = [
            QueueMessage(
                97 + number,
                KINDS[kind],
                BORDER_MS + SENT_MS[sent],
                GROUPS[group] if self.is_fifo else "",
            )
            for number, (kind, sent, group) in enumerate(drawn)
        ]
        self.queue = Queue(messages, reports, self.reached)
        self.bucket = self.bucket_kind(self.reached)
        self.audit = QueueAudit(messages)
        self.settings = make_settings(
            root="events",
            partition_by="hour={arrival:%H}/kind={field:kind}",
            partial_response=reports,
            **chosen,
        )
        self.environment: LambdaSandbox | None = None

    def invoke(self, batch: Sequence[QueueMessage], faults: InvocationFaults) -> Outcome:
        """Invoke the function, in a new sandbox where the last one was killed."""
        if self.environment is None or not self.environment.is_alive:
            self.environment = LambdaSandbox(
                self.bucket, self.settings, transform=transform, retries=self.retries
            )
        self.reached["invocations"] += 1
        outcome = self.environment.invoke(event_of(batch), faults)
        note(f"{[each.number for each in batch]} with {faults}: {outcome}")
        return outcome

    def deliver(self, batch: list[QueueMessage], faults: InvocationFaults) -> None:
        """Deliver a batch; what goes from the queue by it is durable."""
        self.queue.batches.append(batch)
        self.settle(batch, self.invoke(batch, faults))

    def settle(self, batch: list[QueueMessage], outcome: Outcome) -> None:
        """Let the mapping delete messages, and look."""
        self.queue.settle(batch, outcome)
        self.audit.check(self.bucket, self.queue.deleted)

    def choose(self, mask: int) -> list[QueueMessage]:
        """Choose the messages of a batch: any that are visible."""
        visible = self.queue.visible()
        return list(compress(visible, map(int, f"{mask:012b}"))) or visible

    @precondition(lambda self: self.queue.visible())
    @rule(mask=st.integers(0, 2**MOST - 1), order=st.integers(0, 2), faults=INVOCATION_FAULTS)
    def a_batch_comes(self, mask: int, order: int, faults: InvocationFaults) -> None:
        """In no order, where the queue has none."""
        batch = self.choose(mask)
        self.deliver(batch[::-1] if order == 1 and not self.is_fifo else batch, faults)

    @precondition(lambda self: self.queue.batches)
    @rule(which=st.integers(0, 20), faults=INVOCATION_FAULTS)
    def a_batch_comes_again(self, which: int, faults: InvocationFaults) -> None:
        """The same set: its deletion did not get through."""
        batch = self.queue.batches[which % len(self.queue.batches)]
        self.reached["the same set came again"] += 1
        self.settle(batch, self.invoke(batch if self.is_fifo else batch[::-1], faults))

    @precondition(lambda self: self.bucket.pending)
    @rule(which=st.integers(0, 20))
    def a_late_write_lands(self, which: int) -> None:
        """Long after its sender is gone, perhaps."""
        self.bucket.land(self.bucket.pending[which % len(self.bucket.pending)])
        self.audit.check(self.bucket, self.queue.deleted)

    def teardown(self) -> None:
        """Deliver what is left, and every batch once more: that writes nothing new."""
        if not hasattr(self, "queue"):
            return
        while visible := self.queue.visible():
            self.deliver(visible[:10], NO_FAULTS)
            assert self.queue.visible() != visible, "a clean delivery empties a queue"
        while self.bucket.pending:
            self.bucket.land(self.bucket.pending[0])
        for batch in self.queue.batches:
            self.settle(batch, self.invoke(batch, NO_FAULTS))
        written = dict(self.bucket.objects)
        for batch in self.queue.batches:
            self.settle(batch, self.invoke(batch, NO_FAULTS))
        assert self.bucket.objects == written


class FifoMachine(QueueMachine):
    """The same with a FIFO queue, whose groups keep their order."""

    is_fifo = True
    reached: ClassVar[Counter[str]] = Counter()

    def choose(self, mask: int) -> list[QueueMessage]:
        """Choose the messages of a batch: of each group the first that are there, in order."""
        visible = self.queue.visible()[: 1 + mask % 10]
        groups = set(compress(GROUPS, map(int, f"{mask // 10 % 8:03b}")))
        return [each for each in visible if each.group in groups] or visible

    def settle(self, batch: list[QueueMessage], outcome: Outcome) -> None:
        """Of each group the first messages go, and none after one that stays."""
        done = set(self.queue.settle(batch, outcome))
        staying = {each.group for each in batch if each not in done}
        first_staying = {
            group: min(each.number for each in batch if each.group == group and each not in done)
            for group in staying
        }
        for each in done:
            assert each.number < first_staying.get(each.group, each.number + 1), "overtaken"
        for found in self.audit.contents(self.bucket).values():
            by_group = defaultdict(list)
            for each in found:
                by_group[each.group].append(each.number)
            for numbers in by_group.values():
                assert numbers == sorted(numbers), "out of order in an object"
        self.audit.check(self.bucket, self.queue.deleted)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize(("machine", "examples"), [(QueueMachine, 200), (FifoMachine, 200)])
def test_no_message_is_lost_and_no_set_is_written_twice(
    machine: type[QueueMachine], examples: int
) -> None:
    """Through kills, late writes, lost answers and batches that come again; FIFO keeps order."""
    machine.reached.clear()
    run_state_machine_as_test(machine, settings=profile(examples, steps=20))
    assert_reached(
        machine.reached,
        "scenarios",
        "some came back",
        "the same set came again",
        "handler raised",
        "killed by a crash",
        "killed by Lambda's timeout",
        "late write landed",
        "late write refused",
        "refused by a condition",
    )


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("machine", [QueueMachine, FifoMachine])
def test_no_message_is_lost_and_no_set_is_written_twice_in_a_few_scenarios(
    machine: type[QueueMachine],
) -> None:
    """The same with fewer scenarios, for every run of the tests."""
    run_state_machine_as_test(machine, settings=profile(FEW_SCENARIOS, steps=20))
