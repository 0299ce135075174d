"""A queue and its event source mapping: windows, batches, receives, dead letters, FIFO groups.

What becomes of a batch once the function has answered is `model.queues.Queue`'s. Here is what
comes before: which messages are delivered together; and after: which have come back too often.
Source: AWS Lambda developer guide, "Using Lambda with Amazon SQS"; Amazon SQS developer guide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from batcher.tools.demo.events import MAX_EVENT_BYTES, SQS, EventRecord, Webhook
from e2e.template import MappingSpec, QueueSpec
from support.aws_model.sandbox import Outcome
from support.aws_model.sqs import Queue, QueueMessage

FIFO_MOST = 10
GROUPS = 7
REST_BATCHES = 3
"""Batches for which what came back from a FIFO queue stays invisible."""


@dataclass(frozen=True, slots=True)
class Message(QueueMessage):
    """A message as SQS sends it."""

    record: EventRecord = field(default_factory=dict, compare=False)
    size_bytes: int = field(default=0, compare=False)

    @property
    def identity(self) -> str:
        """Its message id."""
        return str(self.record["messageId"])

    @property
    def text(self) -> str:
        """Its payload."""
        return str(self.record["body"])


class QueueMapping:
    """Delivers messages until each is deleted, or is a dead letter."""

    def __init__(self, mapping: MappingSpec, queue: QueueSpec | None, *, is_fifo: bool) -> None:
        """Do as the template says; a queue without a spec has no dead letters."""
        assert not is_fifo or (mapping.batch_size <= FIFO_MOST and not mapping.window_s)
        self._mapping = mapping
        self._max_receives = None if queue is None else queue.max_receives
        self._is_fifo = is_fifo
        self.reached: Counter[str] = Counter()
        self._waiting: list[Message] = []
        self._queue = Queue([], mapping.reports, self.reached)
        self._receives: Counter[Message] = Counter()
        self._resting: dict[str, int] = {}
        self._batches = 0
        self._now_s = 0.0
        self.dead_letters: list[str] = []

    def send(self, webhooks: Sequence[Webhook], *, as_they_come: bool) -> None:
        """Take messages; `as_they_come`: at the times that they have, else all are there already.

        Give that a FIFO queue orders them within some groups.
        """
        records = [record for batch in SQS.make_invocations(webhooks) for record in batch]
        records.sort(key=SQS.arrived_s)
        for number, record in enumerate(records, len(self._waiting)):
            if self._is_fifo:
                _into_group(record, number)
            self._waiting.append(_message(number, record))
        if not as_they_come:
            self._now_s = float("inf")
        elif records:
            self._now_s = SQS.arrived_s(records[0])

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left to deliver."""
        return not self._waiting

    def batch(self) -> list[Message]:
        """Return the next batch: what the window brings, up to the batch size and 6 MB."""
        self._batches += 1
        now_s = max(self._now_s, self._waiting[0].sent_ms / 1000)
        until_s = now_s + self._mapping.window_s
        batch: list[Message] = []
        room_bytes = MAX_EVENT_BYTES - len(b'{"Records":[]}')
        is_full = False
        for message in self._deliverable():
            if message.sent_ms / 1000 > until_s:
                break
            is_full = len(batch) == self._mapping.batch_size or message.size_bytes > room_bytes
            if is_full:
                break
            batch.append(message)
            room_bytes -= message.size_bytes
        self._now_s = now_s if is_full else until_s
        self._receives.update(batch)
        return batch

    def settle(self, batch: Sequence[Message], outcome: Outcome) -> None:
        """Delete what is done; what came back too often is a dead letter."""
        done = set(self._queue.settle(batch, outcome))
        back = [message for message in batch if message not in done]
        delivered = set(batch)
        self._waiting = [each for each in self._waiting if each not in delivered]
        for message in back:
            if self._receives[message] == self._max_receives:
                self.dead_letters.append(message.text)
            else:
                self._waiting.append(message)
        if self._is_fifo:
            self._waiting.sort(key=lambda message: message.number)
            for message in back:
                self._resting[message.group] = self._batches + REST_BATCHES
            self._check_order(done)

    def _deliverable(self) -> list[Message]:
        """Return what is visible; a group whose messages came back rests as a whole."""
        resting = {group for group, until in self._resting.items() if until >= self._batches}
        visible = [each for each in self._waiting if not each.group or each.group not in resting]
        return visible or self._waiting

    def _check_order(self, done: set[QueueMessage]) -> None:
        """No message of a group is done before one that was sent earlier."""
        first: dict[str, int] = {}
        for message in self._waiting:
            first.setdefault(message.group, message.number)
        for each in done:
            earliest = first.get(each.group, each.number)
            assert each.number <= earliest, f"{each.group}: written out of its order"


def _message(number: int, record: EventRecord) -> Message:
    size_bytes = len(orjson.dumps(record)) + 1
    group = str(record["attributes"].get("MessageGroupId", ""))
    return Message(number, "", round(SQS.arrived_s(record) * 1000), group, record, size_bytes)


def _into_group(record: EventRecord, number: int) -> None:
    record["eventSourceARN"] += ".fifo"
    record["attributes"] |= {
        "MessageGroupId": f"group-{number % GROUPS}",
        "SequenceNumber": str(18_849_496_460_467_696_128 + number),
        "MessageDeduplicationId": record["messageId"],
    }
