"""Inputs: records and events as services send them, the same in every run."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

Event = dict[str, Any]

NOW_S = 1_795_417_200.0
"""2026-11-23 07:00 UTC."""
QUEUE = "arn:aws:sqs:us-east-2:123456789012:orders"
FIFO = "arn:aws:sqs:us-east-2:123456789012:orders.fifo"
STREAM = "arn:aws:kinesis:us-east-2:123456789012:stream/orders"
TABLE = "arn:aws:dynamodb:us-east-2:123456789012:table/Orders/stream/2026-11-23T06:48:05.899"
SHARD = "shardId-000000000003"
FIRST_NUMBER = 49590338271490256608559692538361571095921575989136588898
MIB = 1024 * 1024

_LOGINS = ("octocat", "Codertocat", "hubot", "zoë", "山田", "naïve-user")
_KINDS = ("push", "issues", "check_run", "star")
_TEXTS = (
    "Fix the build",
    "Größe ändern „quoted“ \\ and / slashes",
    "日本語のコミットメッセージ",
    "tab\tand \u0001 control, emoji 🚀, line\u2028separator",
    "",
)


def records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return records shaped as GitHub's webhooks are."""
    made: list[dict[str, Any]] = []
    for index in range(count):
        draw = hashlib.sha256(f"{seed}/{index}".encode()).digest()
        made.append(
            {
                "event": _KINDS[draw[0] % len(_KINDS)],
                "payload": {
                    "action": ("created", "edited", None)[draw[1] % 3],
                    "id": int.from_bytes(draw[2:7], "big"),
                    "ratio": draw[7] / 256,
                    "sender": {"login": _LOGINS[draw[8] % len(_LOGINS)], "site_admin": False},
                    "labels": [draw[9:11].hex() for _ in range(draw[11] % 3)],
                    "body": _TEXTS[draw[12] % len(_TEXTS)] * (1 + draw[13] % 2),
                },
            }
        )
    return made


def dumped(record: object) -> str:
    """Return a record as its producer would write it."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def texts(count: int, seed: int = 0) -> list[str]:
    """Return records as JSON."""
    return [dumped(record) for record in records(count, seed)]


@cache
def bulk(size_bytes: int, record_bytes: int = 4096) -> tuple[bytes, ...]:
    """Return records of one size, that compress to three quarters at best."""
    count = size_bytes // record_bytes
    noise = hashlib.shake_128(b"golden").digest(size_bytes * 3 // 4)
    made = []
    for index in range(count):
        start = f'{{"n":{index},"noise":"'.encode()
        wanted = record_bytes - len(start) - 3
        at = index * record_bytes * 3 // 4
        made.append(start + b64encode(noise[at : at + record_bytes])[:wanted].ljust(wanted, b"x"))
        made[-1] += b'"}'
    return tuple(made)


def identity(index: object) -> str:
    """Return the id of a message."""
    digits = hashlib.md5(str(index).encode(), usedforsecurity=False).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def message(index: object, body: object, sent_ms: object = None, arn: str = QUEUE) -> Event:
    """Return a message of a standard queue.

    Source: powertools-lambda-python, tests/support/events/sqsEvent.json.
    """
    sent = str(int(NOW_S * 1000) + 17 * index if isinstance(index, int) else int(NOW_S * 1000))
    return {
        "messageId": identity(index),
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent if sent_ms is None else sent_ms,
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1795417200185",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "us-east-2",
    }


def fifo_message(index: int, body: str, group: str, number: object = None) -> Event:
    """Return a message of a FIFO queue.

    Source: powertools-lambda-python, tests/support/events/snsSqsFifoEvent.json.
    """
    made = message(index, body, arn=FIFO)
    made["attributes"] |= {
        "SequenceNumber": str(18873177232222703872 + 256 * index) if number is None else number,
        "MessageGroupId": group,
        "MessageDeduplicationId": identity(f"deduplication {index}"),
    }
    return made


def sequence_number(index: int) -> str:
    """Return the number of a Kinesis record."""
    return str(FIRST_NUMBER + 1_000_003 * index)


def kinesis_record(
    index: int, data: bytes | str, *, shard: str = SHARD, arn: str = STREAM, at_s: float = NOW_S
) -> Event:
    """Return a record of a stream; `data` of `str` is sent as it is, without base64.

    Source: powertools-lambda-python, tests/support/events/kinesisStreamEvent.json.
    """
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "1",
            "sequenceNumber": sequence_number(index),
            "data": data if isinstance(data, str) else b64encode(data).decode(),
            "approximateArrivalTimestamp": at_s + index / 1000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard}:{sequence_number(index)}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "awsRegion": "us-east-2",
        "eventSourceARN": arn,
    }


def dynamodb_record(index: int, image: object = None, *, arn: str = TABLE) -> Event:
    """Return a record of a table's stream.

    Source: powertools-lambda-python, tests/support/events/dynamoStreamEvent.json.
    """
    made: Event = {
        "eventID": identity(f"change {index}").replace("-", ""),
        "eventName": "INSERT" if index % 2 == 0 else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-2",
        "dynamodb": {
            "ApproximateCreationDateTime": NOW_S + index,
            "Keys": {"Id": {"N": str(101 + index)}},
            "NewImage": image
            or {"Id": {"N": str(101 + index)}, "Message": {"S": f"Größe {index}"}},
            "SequenceNumber": str(4_421_584_500_000_000_017_450_439_091 + 7 * index),
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": arn,
    }
    return made


def event(made: Iterable[Event]) -> Event:
    """Return the event that has these records."""
    return {"Records": list(made)}


def sqs(bodies: Sequence[object], **options: Any) -> Event:  # noqa: ANN401  # as `message` has them
    """Return an event of a standard queue with these bodies."""
    return event(message(index, body, **options) for index, body in enumerate(bodies))


def fifo(bodies: Sequence[str], groups: str = "ab") -> Event:
    """Return an event of a FIFO queue, groups in turn."""
    return event(
        fifo_message(index, body, groups[index % len(groups)]) for index, body in enumerate(bodies)
    )


def kinesis(
    data: Sequence[bytes | str],
    first: int = 0,
    **options: Any,  # noqa: ANN401  # as `kinesis_record` has them
) -> Event:
    """Return an event of one shard."""
    return event(
        kinesis_record(index, payload, **options) for index, payload in enumerate(data, first)
    )


def dynamodb(count: int, first: int = 0) -> Event:
    """Return an event of one table's stream."""
    return event(dynamodb_record(index) for index in range(first, first + count))


def kinds(count: int) -> list[bytes]:
    """Return records of the kinds a, b and c, in turn."""
    return [dumped({"kind": "abc"[i % 3], "n": i}).encode() for i in range(count)]


GOOD = b'{"good":1}'
DEEP = b"[" * 1_100 + b"]" * 1_100
GZIPPED = bytes.fromhex("1f8b08000000000000ffab564a54b2323404001e2f5c1208000000")
AGGREGATED = b"\xf3\x89\x9a\xc2\x0a\x01a" + b"\x00" * 20
NOT_UTF8 = b'{"name":"\xff\xfe"}'

BAD_TEXTS = (
    "Test message.",
    "",
    " \t ",
    '{"a":1} {"b":2}',
    '{"a":NaN}',
    DEEP.decode(),
    '{"large":"' + "x" * 3_000 + '"}',
)
"""Bad with `max_bytes=3000`; deep is bad by its depth."""
BAD_BYTES = (*(text.encode() for text in BAD_TEXTS), GZIPPED, AGGREGATED, NOT_UTF8)

UNUSUAL_TEXTS = (
    '{\n  "pretty": [1,\r\n 2.50, 1e999],\n  "big": 123456789012345678901234567890\n}',
    '  {"spaces": "around"}  ',
    '\r\n{"line":"ends around"}\r\n',
    "null",
    "true",
    "-0.0",
    '"a text"',
    "[]",
    '{"twice":1,"twice":2}',
    '{"escaped":"\\u00e9\\ud83d\\ude80\\/"}',
    '{"separator":"\u2028"}',
    "[" * 1_000 + "]" * 1_000,
)
"""Good, but in need of care."""

HOSTILE_VALUES: tuple[object, ...] = (
    "plain",
    "a/b",
    "..",
    ".",
    "",
    None,
    "_underscore",
    "ü~%=+ &",
    "x" * 200,
    "日" * 60,
    0,
    -1.5,
    True,
    123456789012345678901234567890,
    {"a": [1, "ü"]},
    [],
    "\ud83d\ude80",
)
"""Values of a field that partitions are made of."""
