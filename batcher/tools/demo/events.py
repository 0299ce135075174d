"""Events for the demo: real webhooks in the exact form that Lambda hands them to a function."""

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

Record = dict[str, Any]


WEBHOOKS = "data/github_webhooks.ndjson.gz"


COPIES = 8


MAX_EVENT_BYTES = 6_000_000  # Source: AWS Lambda quotas, synchronous invocation payload


MAX_EVENT_RECORDS = 10_000


START_S = datetime(2026, 11, 23, 6, 40, tzinfo=UTC).timestamp()


SPAN_S = 2.5 * 3600


ACCOUNT, REGION = "123456789012", "eu-central-1"


QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:github-webhooks"


STREAM_ARN = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/github-webhooks"


SHARDS = 2


FIRST_SEQUENCE_NUMBER = 49590338271490256608559692538361571095921575989136588898  # as AWS's look


@dataclass(frozen=True, slots=True)
class Webhook:
    """One record as its producer sends it."""

    text: str
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Source:
    """An event source: how its events are made and read, by nothing that batcher has."""

    name: str
    make: Callable[[Sequence[Webhook]], list[list[Record]]]
    """Gives the records of each invocation."""
    position: Callable[[Record], str]
    """Gives what the answer names a record by."""
    text: Callable[[Record], str]
    arrived_s: Callable[[Record], float]
    with_text: Callable[[Record, str], Record]
    """Gives the record with another payload."""
    again: Callable[[Sequence[Record], Sequence[str]], list[Record]]
    """Gives what AWS sends again of an invocation's records for the identifiers handed back."""
    is_stream: bool
    """Whether a failure brings all later records back too."""

    def hour(self, record: Record) -> str:
        """Give the default partition that the record belongs to."""
        arrived = datetime.fromtimestamp(self.arrived_s(record), UTC)
        return f"dt={arrived:%Y-%m-%d}/hour={arrived:%H}"


def webhooks(copies: int = COPIES) -> list[Webhook]:
    """Give each webhook `copies` times, each delivery with an id of its own, over some hours."""
    lines = (
        gzip.decompress((files("batcher.tools.demo") / WEBHOOKS).read_bytes()).decode().splitlines()
    )
    step_s = SPAN_S / (copies * len(lines))
    return [
        Webhook(f'{{"delivery":"{_uuid("delivery", index)}",{line[1:]}', START_S + index * step_s)
        for index, line in enumerate(lines * copies)
    ]


def poisoned(source: Source, invocations: list[list[Record]]) -> tuple[int, Record]:
    """Cut one webhook in half, in the first invocation whose records lie in several hours.

    Gives which invocation, and the record, which is no JSON any more.
    """
    number = next(
        number
        for number, records in enumerate(invocations)
        if len({source.hour(record) for record in records}) > 1
    )
    records = invocations[number]
    index = len(records) // 2
    text = source.text(records[index])
    records[index] = source.with_text(records[index], text[: len(text) // 2])
    return number, records[index]


def packed(
    records: Iterable[Record],
    max_bytes: int = MAX_EVENT_BYTES,
    max_records: int = MAX_EVENT_RECORDS,
) -> list[list[Record]]:
    """Cut records into invocations that are as large as Lambda lets them be."""
    empty_bytes = len(b'{"Records":[]}')
    invocations: list[list[Record]] = []
    room_bytes = 0
    for record in records:
        size_bytes = len(orjson.dumps(record)) + 1
        if size_bytes > room_bytes or len(invocations[-1]) == max_records:
            invocations.append([])
            room_bytes = max_bytes - empty_bytes
        invocations[-1].append(record)
        room_bytes -= size_bytes
    return invocations


def _uuid(kind: str, index: int) -> UUID:
    return UUID(bytes=hashlib.sha256(f"{kind}-{index}".encode()).digest()[:16], version=4)


def _sqs_invocations(sent: Sequence[Webhook]) -> list[list[Record]]:
    """Give messages as a standard queue does: roughly, but not quite, in their order."""
    invocations = packed(_sqs_record(index, webhook) for index, webhook in enumerate(sent))
    return [sorted(records, key=_message_id) for records in invocations]


def _sqs_record(index: int, webhook: Webhook) -> Record:
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


def _receipt_handle(*what: object) -> str:
    return "AQEB" + b64encode(hashlib.shake_256(repr(what).encode()).digest(300)).decode()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _message_id(record: Record) -> str:
    return str(record["messageId"])


def _sqs_again(records: Sequence[Record], identifiers: Sequence[str]) -> list[Record]:
    """Send exactly the messages handed back, each under a new receipt handle."""
    wanted = set(identifiers)
    again = []
    for record in records:
        if record["messageId"] in wanted:
            count = str(int(record["attributes"]["ApproximateReceiveCount"]) + 1)
            attributes = record["attributes"] | {"ApproximateReceiveCount": count}
            handle = _receipt_handle(record["messageId"], count)
            again.append(record | {"attributes": attributes, "receiptHandle": handle})
    return again


def _kinesis_invocations(sent: Sequence[Webhook]) -> list[list[Record]]:
    """Give the records of each shard in their order; an invocation has those of one shard."""
    shards: list[list[Record]] = [[] for _ in range(SHARDS)]
    for index, webhook in enumerate(sent):
        key = _md5(str(index // 7))  # producers send a few records under one partition key
        number = int(key, 16) * SHARDS >> 128
        shards[number].append(_kinesis_record(index, webhook, number, key))
    return [invocation for shard in shards for invocation in packed(shard)]


def _kinesis_record(index: int, webhook: Webhook, shard: int, partition_key: str) -> Record:
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


def _sequence_number(record: Record) -> str:
    return str(record["kinesis"]["sequenceNumber"])


def _kinesis_again(records: Sequence[Record], identifiers: Sequence[str]) -> list[Record]:
    """Send everything from the lowest sequence number on."""
    lowest = min(map(int, identifiers))
    return [record for record in records if int(_sequence_number(record)) >= lowest]


SQS = Source(
    name="SQS",
    make=_sqs_invocations,
    position=_message_id,
    text=lambda record: str(record["body"]),
    arrived_s=lambda record: int(record["attributes"]["SentTimestamp"]) / 1000,
    with_text=lambda record, text: record | {"body": text, "md5OfBody": _md5(text)},
    again=_sqs_again,
    is_stream=False,
)


KINESIS = Source(
    name="Kinesis",
    make=_kinesis_invocations,
    position=_sequence_number,
    text=lambda record: b64decode(record["kinesis"]["data"]).decode(),
    arrived_s=lambda record: float(record["kinesis"]["approximateArrivalTimestamp"]),
    with_text=lambda record, text: (
        record | {"kinesis": record["kinesis"] | {"data": b64encode(text.encode()).decode()}}
    ),
    again=_kinesis_again,
    is_stream=True,
)
