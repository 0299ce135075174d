"""A model of an SQS queue with its event source mapping, and an audit of its messages."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from batcher.stores.memory import MemoryObject
from support.aws_model.s3 import Bucket
from support.aws_model.sandbox import Outcome, Responded
from support.aws_model.streams import unpack
from support.examples import fifo_message, message

BORDER_MS = 1_795_478_400_000
"""2026-11-24 00:00 UTC: the border of an hour and of a day."""


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One message."""

    number: int
    kind: str
    """`a` to `c` are partitions; `bad` is a bad record; `leave` is filtered by the transform."""
    sent_ms: int
    group: str = ""
    """Its FIFO group; empty in a standard queue."""

    @property
    def identity(self) -> str:
        """Its message id. The order of ids differs from the order of messages."""
        return hashlib.md5(str(self.number).encode(), usedforsecurity=False).hexdigest()

    def envelope(self) -> dict[str, Any]:
        """Return it as SQS sends it."""
        body = json.dumps({"kind": self.kind, "id": self.identity})
        body = f"no json {self.number}" if self.kind == "bad" else body
        if self.group:
            return fifo_message(self.identity, str(self.number), self.group, body)
        return message(self.identity, body, sent_ms=self.sent_ms)


def event_of(messages: Iterable[QueueMessage]) -> dict[str, Any]:
    """Create the event with these messages."""
    return {"Records": [each.envelope() for each in messages]}


@dataclass
class Queue:
    """The messages of a queue, and those that the mapping has deleted."""

    messages: Sequence[QueueMessage]
    reports: bool
    """Whether `ReportBatchItemFailures` is on."""
    reached: Counter[str]
    deleted: dict[QueueMessage, None] = field(default_factory=dict)
    batches: list[list[QueueMessage]] = field(default_factory=list)
    """All batches delivered so far."""

    def visible(self) -> list[QueueMessage]:
        """Return the messages that can be delivered."""
        return [each for each in self.messages if each not in self.deleted]

    def settle(self, batch: Sequence[QueueMessage], outcome: Outcome) -> list[QueueMessage]:
        """Delete messages after an invocation, as the mapping does, and return them.

        After an error, or a response with an unknown identifier, all messages are redelivered.
        Otherwise exactly those in the response are. Without `ReportBatchItemFailures` the response
        is ignored.
        Source: AWS Lambda developer guide, "Handling errors for an SQS event source".
        """
        if not isinstance(outcome, Responded):
            return []
        named = set(outcome.identifiers) if self.reports else set()
        if not named <= {each.identity for each in batch}:
            return []
        if named:
            self.reached["some came back"] += 1
        done = [each for each in batch if each.identity not in named]
        self.deleted.update(dict.fromkeys(done))
        return done


class QueueAudit:
    """Reads a bucket and returns the messages of each object."""

    def __init__(self, messages: Iterable[QueueMessage]) -> None:
        """Use `messages` as all messages that exist."""
        self._messages = {each.identity: each for each in messages}
        self._read: dict[str, list[QueueMessage]] = {}

    def contents(self, bucket: Bucket) -> dict[str, list[QueueMessage]]:
        """Return the messages of each object, by key. Each object is read once."""
        for key, stored in bucket.objects.items():
            if key not in self._read:
                self._read[key] = self._parse(key, stored)
        assert set(bucket.writes.values()) <= {1}, "an object of a queue is never replaced"
        return self._read

    def _parse(self, key: str, stored: MemoryObject) -> list[QueueMessage]:
        lines = [json.loads(line) for line in unpack(key, stored.body).splitlines()]
        is_quarantine = "/_quarantine/" in key
        messages = [self._messages[line["position" if is_quarantine else "id"]] for line in lines]
        for each, line in zip(messages, lines, strict=True):
            assert (each.kind == "bad") == is_quarantine
            if not is_quarantine:
                assert line == {"kind": each.kind, "id": each.identity}
                assert f"/kind={each.kind}/" in key
        joined = "\n".join(sorted(each.identity for each in messages))
        digest = hashlib.sha256(joined.encode()).hexdigest()
        metadata = stored.info.metadata
        assert metadata["batcher-digest"] == digest
        assert metadata["batcher-records"] == str(len(messages)) == str(len(set(messages)))
        assert f"-{digest[:32]}." in key
        return messages

    def check(self, bucket: Bucket, deleted: Iterable[QueueMessage]) -> None:
        """Check that each deleted message is durable, or was filtered."""
        contents = self.contents(bucket)
        sets = [frozenset(messages) for messages in contents.values()]
        assert len(sets) == len(set(sets)), "one set of messages is in two objects"
        durable = frozenset().union(*sets)
        for each in deleted:
            assert (each in durable) == (each.kind != "leave"), f"{each} is lost"
