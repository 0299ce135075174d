"""Pipelines in LocalStack: a queue or a stream, mapped to the packaged function.

They are made as the template describes them, but for what would take too long: how long messages
that came back stay invisible, and the window. It does not bisect.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from e2e.bucket_contents import BucketContents, look
from e2e.emulator import SIDE_BY_SIDE, Emulator
from e2e.pipelines import Wanted
from e2e.template import Spec
from e2e.traffic import Traffic
from support.fault_proxy import FaultProxy

SHARDS, GROUPS = 2, 7
KEY_CHARACTERS = 40
WINDOW_S = 1
ENOUGH_S, POLL_S = 90.0, 0.5
MESSAGES_A_CALL, RECORDS_A_CALL = 10, 100


@dataclass(frozen=True, slots=True)
class Deployed:
    """A function, and where to look what became of it."""

    name: str
    """Its own, its bucket's, its queue's or stream's."""
    wanted: Wanted
    spec: Spec
    s3: Mapping[str, str]
    """An environment in which its bucket can be read."""
    noted: Path
    """A file with a line for each invocation."""


def _value(text: str) -> str:
    """Return JSON as Python writes it."""
    return json.dumps(json.loads(text))


class _Delivering:
    """What queues and streams have in common."""

    def __init__(self, emulator: Emulator, proxy: FaultProxy, at: Deployed) -> None:
        self.place = f"localstack {at.wanted.kind}"
        self.proxy = proxy
        self._emulator = emulator
        self._at = at
        self._sqs = emulator.client("sqs")
        self._mapping = ""
        self._sent = 0
        self._as_sent: dict[str, str] = {}
        self._dead: list[str] = []

    @property
    def invocations(self) -> int:
        """See `Pipeline.invocations`."""
        return len(self._noted())

    @property
    def failed(self) -> int:
        """See `Pipeline.failed`."""
        return sum(line["failed"] for line in self._noted())

    def landed(self) -> BucketContents:
        """See `Pipeline.landed`; of a message, LocalStack writes the JSON anew."""
        root = self._at.spec.function.environ["BATCHER_ROOT"]
        found = look(self._at.s3, self._at.name, root)
        as_sent = [self._as_sent.get(_value(line), line) for line in found.records]
        return replace(found, records=as_sent)

    def end(self) -> None:
        """Let nothing be delivered any more."""
        if self._mapping:
            self._emulator.client("lambda").delete_event_source_mapping(UUID=self._mapping)

    def _noted(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._at.noted.read_text().splitlines()]
        return [line for line in lines if line["function"] == self._at.name]

    def _map(self, source_arn: str, **changes: object) -> None:
        """Create the mapping, as the template has it but for `changes`."""
        request = {
            **self._at.spec.mapping.request,
            "MaximumBatchingWindowInSeconds": WINDOW_S,
            **changes,
            "EventSourceArn": source_arn,
            "FunctionName": self._at.name,
        }
        made = self._emulator.client("lambda").create_event_source_mapping(**request)
        self._mapping = made["UUID"]

    def _create_queue(self, suffix: str, **attributes: object) -> tuple[str, str]:
        """Create a queue; give its URL and its ARN."""
        if self._at.wanted.is_fifo:
            suffix, attributes = f"{suffix}.fifo", {**attributes, "FifoQueue": "true"}
        given = {name: str(value) for name, value in attributes.items()}
        created = self._sqs.create_queue(QueueName=f"{self._at.name}{suffix}", Attributes=given)
        url = str(created["QueueUrl"])
        asked = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, str(asked["Attributes"]["QueueArn"])

    def _receive_all(self, url: str) -> Iterator[str]:
        while True:
            got = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=MESSAGES_A_CALL)
            for message in got.get("Messages", ()):
                yield message["Body"]
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if not got.get("Messages"):
                return

    def drain(self) -> None:
        """See `Pipeline.drain`; what is missing after long enough is lost."""
        until_s = time.monotonic() + ENOUGH_S
        while not self._is_drained() and time.monotonic() < until_s:
            time.sleep(POLL_S)

    def _note(self, traffic: Traffic) -> None:
        self._sent += len(traffic.sent)
        good = [text for text in traffic.texts if text not in traffic.bad]
        self._as_sent |= {_value(text): text for text in good}

    def _is_drained(self) -> bool:
        found = self.landed()
        there = len(found.records) + len(found.quarantined) + len(self.dead_letters())
        return there >= self._sent

    def dead_letters(self) -> list[str]:
        """See `Pipeline.dead_letters`."""
        raise NotImplementedError


class Queueing(_Delivering):
    """A queue's pipeline."""

    def __init__(self, emulator: Emulator, proxy: FaultProxy, at: Deployed) -> None:
        """Create it, and its dead letters."""
        super().__init__(emulator, proxy, at)
        spec = at.spec
        self._dead_url, dead_arn = self._create_queue("-dead")
        redrive = {}
        if spec.queue is not None and spec.queue.max_receives is not None:
            target = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": spec.queue.max_receives}
            redrive = {"RedrivePolicy": json.dumps(target)}
        visible_s = spec.function.timeout_s
        self._url, self._arn = self._create_queue("", VisibilityTimeout=visible_s, **redrive)

    def send(self, traffic: Traffic, *, as_they_come: bool = False) -> None:
        """See `Pipeline.send`; the queue is mapped once all is there."""
        assert not as_they_come
        self._note(traffic)
        texts = list(enumerate(traffic.texts))
        calls = [texts[at : at + MESSAGES_A_CALL] for at in range(0, len(texts), MESSAGES_A_CALL)]
        with ThreadPoolExecutor(1 if self._at.wanted.is_fifo else SIDE_BY_SIDE) as pool:
            list(pool.map(self._send, calls))
        changes = {"MaximumBatchingWindowInSeconds": 0} if self._at.wanted.is_fifo else {}
        self._map(self._arn, **changes)

    def _send(self, texts: Sequence[tuple[int, str]]) -> None:
        entries = []
        for number, text in texts:
            entry = {"Id": str(number), "MessageBody": text}
            if self._at.wanted.is_fifo:
                entry["MessageGroupId"] = f"group-{number % GROUPS}"
                entry["MessageDeduplicationId"] = str(number)
            entries.append(entry)
        assert not self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed")

    def dead_letters(self) -> list[str]:
        """See `Pipeline.dead_letters`."""
        self._dead += self._receive_all(self._dead_url)
        return self._dead

    def _is_drained(self) -> bool:
        return super()._is_drained() and self._emulator.messages(self._url) == 0


class Streaming(_Delivering):
    """A stream's pipeline."""

    def __init__(self, emulator: Emulator, proxy: FaultProxy, at: Deployed) -> None:
        """Create it, and the queue that is told of what is given up."""
        super().__init__(emulator, proxy, at)
        self._kinesis = emulator.client("kinesis")
        self._kinesis.create_stream(StreamName=at.name, ShardCount=SHARDS)
        self._kinesis.get_waiter("stream_exists").wait(
            StreamName=at.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        self._given_up_url, self._given_up_arn = self._create_queue("-given-up")
        self._shards: dict[str, list[tuple[int, str]]] = {}
        """Of each shard, in order: sequence number and payload."""

    def send(self, traffic: Traffic, *, as_they_come: bool = False) -> None:
        """See `Pipeline.send`; the stream is mapped once all is there."""
        assert not as_they_come
        self._note(traffic)
        texts = traffic.texts
        for at in range(0, len(texts), RECORDS_A_CALL):
            some = texts[at : at + RECORDS_A_CALL]
            records = [
                {"Data": text.encode(), "PartitionKey": text[-KEY_CHARACTERS:]} for text in some
            ]
            answer = self._kinesis.put_records(StreamName=self._at.name, Records=records)
            assert not answer["FailedRecordCount"]
            for text, put in zip(some, answer["Records"], strict=True):
                shard = self._shards.setdefault(put["ShardId"], [])
                shard.append((int(put["SequenceNumber"]), text))
        described = self._kinesis.describe_stream_summary(StreamName=self._at.name)
        changes: dict[str, object] = {"MaximumRetryAttempts": self._at.spec.mapping.max_retries}
        if self._at.spec.mapping.has_destination:
            changes["DestinationConfig"] = {"OnFailure": {"Destination": self._given_up_arn}}
        self._map(described["StreamDescriptionSummary"]["StreamARN"], **changes)

    def dead_letters(self) -> list[str]:
        """See `Pipeline.dead_letters`: the destination is told of ranges."""
        for body in self._receive_all(self._given_up_url):
            told = json.loads(body)["KinesisBatchInfo"]
            first, last = int(told["startSequenceNumber"]), int(told["endSequenceNumber"])
            shard = self._shards[told["shardId"]]
            self._dead += [text for number, text in shard if first <= number <= last]
        return self._dead
