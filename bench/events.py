"""Events as Lambda hands them over: 6 MB of JSON, seeded, of SQS, Kinesis or DynamoDB streams."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson

EVENT_BYTES = 6 * 1024**2  # Source: AWS Lambda quotas, synchronous invocation payload
MAX_RECORDS = 10_000  # Source: AWS Lambda, batch size of SQS and Kinesis mappings
LARGE_BYTES = 600
"""From this size on a record is an order; a smaller one is a line of an access log."""
_START_MS = 1_795_419_000_000  # 2026-11-23T07:30 UTC: an event within one hour
_QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"
_STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
_TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T06:48:05.899"
_SHARD = "shardId-000000000003"
_FIRST_SEQUENCE_NUMBER = 49590338271490256608559692538361571095921575989136588898
_FIRST_CHANGE_NUMBER = 4421584500000000017450439091
_HANDLE_BYTES = 300
_TEXT = (
    "the order was placed by a customer who asked for delivery before noon and paid with card "
    "invoice sent warehouse picked packed shipped carrier late returned refund partial stock "
    "reserved gift wrapped fragile heavy express standard economy pickup point locker neighbour "
    "signature required address changed phone called no answer retry tomorrow morning evening"
)
_WORDS = _TEXT.split()
_AGENTS = [
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0 Safari"
    for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X")
    for version in (128, 131, 133, 140)
]
_PATHS = ["/", "/cart", "/checkout", "/api/v2/items", "/api/v2/orders", "/search", "/account"]
_CITIES = ["Berlin", "Lyon", "Porto", "Gent", "Graz", "Turin", "Malmo", "Cork", "Brno", "Vigo"]


def make_event(
    source: str, record_bytes: int, most_records: int = MAX_RECORDS, seed: int = 7
) -> dict[str, Any]:
    """Return an event of `sqs`, `kinesis` or `dynamodb` with this many records, or all that fit."""
    rng = random.Random(seed)  # noqa: S311  # the same event at every run
    envelope = _ENVELOPES[source]
    records: list[dict[str, Any]] = []
    size_bytes = len('{"Records":[]}')
    while len(records) < most_records:
        body = _body(rng, len(records), record_bytes)
        record = envelope(rng, len(records), body)
        size_bytes += len(orjson.dumps(record)) + 1
        if size_bytes > EVENT_BYTES:
            break
        records.append(record)
    return {"Records": records}


def payloads(event: dict[str, Any]) -> list[bytes]:
    """Return what the records of an event carry, in their order."""
    records = event["Records"]
    if "kinesis" in records[0]:
        return [base64.b64decode(record["kinesis"]["data"]) for record in records]
    return [record["body"].encode() for record in records]


def _body(rng: random.Random, index: int, record_bytes: int) -> str:
    """Return one JSON object of exactly this size, its last field filled up with words."""
    fields = _order(rng, index) if record_bytes >= LARGE_BYTES else _access(rng, index)
    missing = record_bytes - len(orjson.dumps(fields | {"note": ""}))
    words = " ".join(rng.choices(_WORDS, k=missing // 4 + 1))
    return orjson.dumps(fields | {"note": f"{words[:missing]:<{missing}}"}).decode()


def _access(rng: random.Random, index: int) -> dict[str, Any]:
    return {
        "id": f"{rng.getrandbits(64):016x}",
        "ts": _START_MS + index,
        "user": rng.randrange(50_000),
        "method": rng.choice(["GET", "GET", "GET", "POST"]),
        "path": rng.choice(_PATHS),
        "status": rng.choice([200, 200, 200, 200, 304, 404, 500]),
        "ms": round(rng.expovariate(0.05), 1),
        "city": rng.choice(_CITIES),
    }


def _order(rng: random.Random, index: int) -> dict[str, Any]:
    items = [
        {
            "sku": f"SKU-{rng.randrange(5_000):05d}",
            "name": " ".join(rng.sample(_WORDS, 2)),
            "quantity": rng.randrange(1, 5),
            "price": rng.randrange(99, 20_000) / 100,
            "is_gift": rng.random() < 0.1,  # noqa: PLR2004  # one in ten
        }
        for _ in range(rng.randrange(1, 4))
    ]
    return {
        "id": str(UUID(int=rng.getrandbits(128), version=4)),
        "type": rng.choice(["order.created", "order.paid", "order.shipped", "order.returned"]),
        "ts": _START_MS + index,
        "customer": {
            "id": rng.randrange(500_000),
            "city": rng.choice(_CITIES),
            "plan": rng.choice(["free", "plus", "business"]),
            "since": f"20{rng.randrange(10, 26)}-{rng.randrange(1, 13):02d}-01",
        },
        "session": f"{rng.getrandbits(64):016x}",
        "items": items,
        "total": rng.randrange(99, 90_000) / 100,
        "currency": "EUR",
        "page": rng.choice(_PATHS),
        "agent": rng.choice(_AGENTS),
        "coupon": rng.choice([None, None, None, f"SAVE{rng.randrange(5, 30)}"]),
    }


def _message(rng: random.Random, index: int, body: str) -> dict[str, Any]:
    sent_ms = _START_MS + index // 4
    return {
        "messageId": str(UUID(int=rng.getrandbits(128), version=4)),
        "receiptHandle": base64.b64encode(rng.randbytes(_HANDLE_BYTES)).decode(),
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(sent_ms),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(sent_ms + 2),
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": _QUEUE,
        "awsRegion": "eu-west-1",
    }


def _stream_record(rng: random.Random, index: int, body: str) -> dict[str, Any]:
    number = _FIRST_SEQUENCE_NUMBER + index * 2**40
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": f"{rng.randrange(500_000)}",
            "sequenceNumber": str(number),
            "data": base64.b64encode(body.encode()).decode(),
            "approximateArrivalTimestamp": (_START_MS + index // 4) / 1000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{_SHARD}:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "awsRegion": "eu-west-1",
        "eventSourceARN": _STREAM,
    }


def _change(rng: random.Random, index: int, body: str) -> dict[str, Any]:
    number = str(_FIRST_CHANGE_NUMBER + index * 111)
    return {
        "eventID": f"{rng.getrandbits(128):032x}",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": (_START_MS + index // 4) // 1000,
            "Keys": {"id": {"S": number}},
            "NewImage": {"id": {"S": number}, "body": {"S": body}},
            "SequenceNumber": number,
            "SizeBytes": len(body),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": _TABLE,
    }


_ENVELOPES: dict[str, Callable[[random.Random, int, str], dict[str, Any]]] = {
    "sqs": _message,
    "kinesis": _stream_record,
    "dynamodb": _change,
}
