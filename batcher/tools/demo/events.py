"""Events: real webhooks as SQS and Kinesis events, in the exact format of Lambda."""

from __future__ import annotations

import gzip
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

import orjson

EventRecord = dict[str, Any]

WEBHOOKS_FILE = "data/github_webhooks.ndjson.gz"

WEBHOOK_COPIES = 8

MAX_EVENT_BYTES = 6_000_000  # Source: AWS Lambda quotas, synchronous invocation payload

MAX_EVENT_RECORDS = 10_000

START_S = datetime(2026, 11, 23, 6, 40, tzinfo=UTC).timestamp()

DURATION_S = 2.5 * 3600

ACCOUNT, REGION = "123456789012", "eu-central-1"

QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:github-webhooks"

STREAM_ARN = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/github-webhooks"

SHARDS = 2

FIRST_SEQUENCE_NUMBER = (
    49590338271490256608559692538361571095921575989136588898  # like those of AWS
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One record of the producer."""

    text: str
    arrived_s: float


@dataclass(frozen=True, slots=True)
class DemoSource:
    """An event source: makes and reads its events, independently of batcher's code."""

    name: str
    make_invocations: Callable[[Sequence[Webhook]], list[list[EventRecord]]]
    """Return the records of each invocation."""
    position: Callable[[EventRecord], str]
    """Return the identifier of a record in the handler's response."""
    text: Callable[[EventRecord], str]
    arrived_s: Callable[[EventRecord], float]
    with_text: Callable[[EventRecord, str], EventRecord]
    """Return the record with another payload."""
    redeliver: Callable[[Sequence[EventRecord], Sequence[str]], list[EventRecord]]
    """Return the records that AWS redelivers, for the failed identifiers of an invocation."""
    is_stream: bool
    """Whether a failure causes a redelivery of all later records too."""

    def partition(self, record: EventRecord) -> str:
        """Return the default partition that the record belongs to."""
        arrived = datetime.fromtimestamp(self.arrived_s(record), UTC)
        return f"dt={arrived:%Y-%m-%d}/hour={arrived:%H}"


def load_webhooks(copies: int = WEBHOOK_COPIES) -> list[Webhook]:
    """Return each webhook `copies` times, with distinct delivery ids, spread over 2.5 hours."""
    lines = (
        gzip.decompress((files("batcher.tools.demo") / WEBHOOKS_FILE).read_bytes())
        .decode()
        .splitlines()
    )
    step_s = DURATION_S / (copies * len(lines))
    return [
        Webhook(f'{{"delivery":"{_uuid("delivery", index)}",{line[1:]}', START_S + index * step_s)
        for index, line in enumerate(lines * copies)
    ]


def corrupt_one_record(
    source: DemoSource, invocations: list[list[EventRecord]]
) -> tuple[int, EventRecord]:
    """Cut one webhook in half, in the first invocation with records of several hours.

    Returns:
        The index of the invocation, and the new record, which is not valid JSON.
    """
    invocation = next(
        index
        for index, records in enumerate(invocations)
        if len({source.partition(record) for record in records}) > 1
    )
    records = invocations[invocation]
    index = len(records) // 2
    text = source.text(records[index])
    records[index] = source.with_text(records[index], text[: len(text) // 2])
    return invocation, records[index]


def pack_invocations(
    records: Iterable[EventRecord],
    max_bytes: int = MAX_EVENT_BYTES,
    max_records: int = MAX_EVENT_RECORDS,
) -> list[list[EventRecord]]:
    """Group records into invocations that are as large as Lambda allows."""
    empty_bytes = len(b'{"Records":[]}')
    invocations: list[list[EventRecord]] = []
    free_bytes = 0
    for record in records:
        size_bytes = len(orjson.dumps(record)) + 1
        if size_bytes > free_bytes or len(invocations[-1]) == max_records:
            invocations.append([])
            free_bytes = max_bytes - empty_bytes
        invocations[-1].append(record)
        free_bytes -= size_bytes
    return invocations


def _uuid(kind: str, index: int) -> UUID:
    return UUID(bytes=hashlib.sha256(f"{kind}-{index}".encode()).digest()[:16], version=4)


def _sqs_invocations(sent: Sequence[Webhook]) -> list[list[EventRecord]]:
    """Return messages like a standard queue: only roughly in their order."""
    invocations = pack_invocations(
        _sqs_record(index, webhook) for index, webhook in enumerate(sent)
    )
    return [sorted(records, key=_message_id) for records in invocations]


def _sqs_record(index: int, webhook: Webhook) -> EventRecord:
    sent_ms = round(webhook.arrived_s * 1000)
    return {
        "messageId": str(_uuid("message", index)),
        "receiptHandle": _receipt_handle(index, 1),
        "body": webhook.text,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(sent_ms),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(sent_ms + 40),
        },
        "messageAttributes": {},
        "md5OfBody": _md5(webhook.text),
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": REGION,
    }


def _receipt_handle(*seed: object) -> str:
    return "AQEB" + b64encode(hashlib.shake_256(repr(seed).encode()).digest(300)).decode()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _message_id(record: EventRecord) -> str:
    return str(record["messageId"])


def _sqs_redelivery(
    records: Sequence[EventRecord], identifiers: Sequence[str]
) -> list[EventRecord]:
    """Return exactly the failed messages, each with a new receipt handle."""
    failed = set(identifiers)
    redelivered = []
    for record in records:
        if record["messageId"] in failed:
            count = str(int(record["attributes"]["ApproximateReceiveCount"]) + 1)
            attributes = record["attributes"] | {"ApproximateReceiveCount": count}
            handle = _receipt_handle(record["messageId"], count)
            redelivered.append(record | {"attributes": attributes, "receiptHandle": handle})
    return redelivered


def _kinesis_invocations(sent: Sequence[Webhook]) -> list[list[EventRecord]]:
    """Return the records of each shard in order. An invocation has records of one shard only."""
    shards: list[list[EventRecord]] = [[] for _ in range(SHARDS)]
    for index, webhook in enumerate(sent):
        key = _md5(str(index // 7))  # producers send a few records under one partition key
        number = int(key, 16) * SHARDS >> 128
        shards[number].append(_kinesis_record(index, webhook, number, key))
    return [invocation for shard in shards for invocation in pack_invocations(shard)]


def _kinesis_record(index: int, webhook: Webhook, shard: int, partition_key: str) -> EventRecord:
    sequence_number = str(FIRST_SEQUENCE_NUMBER + (index << 64) + (shard << 4))
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": partition_key,
            "sequenceNumber": sequence_number,
            "data": b64encode(webhook.text.encode()).decode(),
            "approximateArrivalTimestamp": round(webhook.arrived_s, 3),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-{shard:012d}:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/batcher-demo",
        "awsRegion": REGION,
        "eventSourceARN": STREAM_ARN,
    }


def _sequence_number(record: EventRecord) -> str:
    return str(record["kinesis"]["sequenceNumber"])


def _kinesis_redelivery(
    records: Sequence[EventRecord], identifiers: Sequence[str]
) -> list[EventRecord]:
    """Return all records from the lowest failed sequence number on."""
    lowest = min(map(int, identifiers))
    return [record for record in records if int(_sequence_number(record)) >= lowest]


SQS = DemoSource(
    name="SQS",
    make_invocations=_sqs_invocations,
    position=_message_id,
    text=lambda record: str(record["body"]),
    arrived_s=lambda record: int(record["attributes"]["SentTimestamp"]) / 1000,
    with_text=lambda record, text: record | {"body": text, "md5OfBody": _md5(text)},
    redeliver=_sqs_redelivery,
    is_stream=False,
)


KINESIS = DemoSource(
    name="Kinesis",
    make_invocations=_kinesis_invocations,
    position=_sequence_number,
    text=lambda record: b64decode(record["kinesis"]["data"]).decode(),
    arrived_s=lambda record: float(record["kinesis"]["approximateArrivalTimestamp"]),
    with_text=lambda record, text: (
        record | {"kinesis": record["kinesis"] | {"data": b64encode(text.encode()).decode()}}
    ),
    redeliver=_kinesis_redelivery,
    is_stream=True,
)
