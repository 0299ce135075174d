"""Events: records and messages as Lambda delivers them, from payloads.

Source: AWS Lambda developer guide, the example events of each event source.
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import md5
from itertools import cycle
from random import Random
from typing import Any

from batcher.records.payload import Record, to_payload

REGION = "us-east-2"
QUEUE_ARN = "arn:aws:sqs:us-east-2:123456789012:my-queue"
FIFO_ARN = "arn:aws:sqs:us-east-2:123456789012:orders.fifo"
STREAM_ARN = "arn:aws:kinesis:us-east-2:123456789012:stream/orders"
TABLE_ARN = "arn:aws:dynamodb:us-east-2:123456789012:table/Orders/stream/2026-11-23T06:48:05.899"
SHARD_ID = "shardId-000000000003"
ARRIVAL_S = 1_795_417_200.0
"""2026-11-23 07:00 UTC: when records arrive unless they say otherwise."""
FIRST_KINESIS_NUMBER = 49590338271490256608559692538361571095921575989136588898
"""As long as Amazon's: they do not fit any integer of a database."""
FIRST_DYNAMODB_NUMBER = 4421584500000000017450439091
FIRST_FIFO_NUMBER = 18849496460467696128
SENDER = "AIDAIENQZJOLO23YVJ4VO"

Payload = Record
"""A record's content: bytes and text as they are, anything else as JSON."""


def event_of(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the event with these records or messages."""
    return {"Records": list(records)}


def sqs_message(
    body: str,
    *,
    message_id: str,
    sent_ms: int = int(ARRIVAL_S * 1000),
    queue_arn: str = QUEUE_ARN,
    receive_count: int = 1,
) -> dict[str, Any]:
    """Return one message of a standard queue.

    Args:
        body: as it was sent.
        message_id: a UUID in SQS; any text here.
        sent_ms: when it was sent, in milliseconds since 1970.
        queue_arn: the queue.
        receive_count: how often it was received, this time included.
    """
    return {
        "messageId": message_id,
        "receiptHandle": "AQEB",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": str(sent_ms),
            "SenderId": SENDER,
            "ApproximateFirstReceiveTimestamp": str(sent_ms + 2),
        },
        "messageAttributes": {},
        "md5OfBody": md5(body.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


def fifo_message(  # noqa: PLR0913  # as a message has
    body: str,
    *,
    message_id: str,
    sequence_number: str,
    group: str = "g",
    sent_ms: int = int(ARRIVAL_S * 1000),
    queue_arn: str = FIFO_ARN,
) -> dict[str, Any]:
    """Return one message of a FIFO queue; see `sqs_message`.

    Args:
        body: as it was sent.
        message_id: a UUID in SQS; any text here.
        sequence_number: up to 20 digits. They grow within a queue.
        group: its message group.
        sent_ms: when it was sent, in milliseconds since 1970.
        queue_arn: the queue, whose name ends with `.fifo`.
    """
    message = sqs_message(body, message_id=message_id, sent_ms=sent_ms, queue_arn=queue_arn)
    message["attributes"] |= {
        "SequenceNumber": sequence_number,
        "MessageGroupId": group,
        "MessageDeduplicationId": message["md5OfBody"],
    }
    return message


def kinesis_record(  # noqa: PLR0913  # as a record has
    data: bytes,
    *,
    sequence_number: str,
    partition_key: str = "1",
    arrival_s: float = ARRIVAL_S,
    shard_id: str = SHARD_ID,
    stream_arn: str = STREAM_ARN,
) -> dict[str, Any]:
    """Return one record of a Kinesis stream.

    Args:
        data: the payload, before base64.
        sequence_number: its number. Numbers grow within a shard.
        partition_key: the producer's.
        arrival_s: when it arrived, in seconds since 1970.
        shard_id: the shard, which is in its `eventID`.
        stream_arn: the stream.
    """
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": partition_key,
            "sequenceNumber": sequence_number,
            "data": b64encode(data).decode(),
            "approximateArrivalTimestamp": arrival_s,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "awsRegion": REGION,
        "eventSourceARN": stream_arn,
    }


def dynamodb_record(
    new_image: Mapping[str, Any],
    *,
    sequence_number: str,
    event_id: str = "",
    arrival_s: float = ARRIVAL_S,
    stream_arn: str = TABLE_ARN,
) -> dict[str, Any]:
    """Return one record of a DynamoDB stream: an item that was inserted.

    Args:
        new_image: the item in DynamoDB JSON, such as `{"Id": {"N": "101"}}`.
        sequence_number: its number. Shards of a stream may use the same ones.
        event_id: unique in the stream. Empty: made of the number.
        arrival_s: when it was written, in seconds since 1970.
        stream_arn: the stream of the table.
    """
    return {
        "eventID": event_id or f"event-{sequence_number}",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": arrival_s,
            "Keys": {"Id": new_image.get("Id", {"N": sequence_number})},
            "NewImage": new_image,
            "SequenceNumber": sequence_number,
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": stream_arn,
    }


def sqs_messages(
    payloads: Iterable[Payload], *, seed: int = 0, queue_arn: str = QUEUE_ARN
) -> list[dict[str, Any]]:
    """Return a message of a standard queue per payload, a second apart, with ids from `seed`."""
    ids = Random(seed)  # noqa: S311  # no secret
    return [
        sqs_message(
            to_payload(payload).decode(),
            message_id=_message_id(ids),
            sent_ms=int(ARRIVAL_S + second) * 1000,
            queue_arn=queue_arn,
        )
        for second, payload in enumerate(payloads)
    ]


def fifo_messages(
    payloads: Iterable[Payload],
    *,
    groups: Sequence[str] = ("g",),
    seed: int = 0,
    queue_arn: str = FIFO_ARN,
) -> list[dict[str, Any]]:
    """Return a message of a FIFO queue per payload. The `groups` take turns."""
    ids = Random(seed)  # noqa: S311  # no secret
    return [
        fifo_message(
            to_payload(payload).decode(),
            message_id=_message_id(ids),
            sequence_number=str(FIRST_FIFO_NUMBER + 256 * number),
            group=group,
            sent_ms=int(ARRIVAL_S + number) * 1000,
            queue_arn=queue_arn,
        )
        for number, (payload, group) in enumerate(zip(payloads, cycle(groups), strict=False))
    ]


def kinesis_records(
    payloads: Iterable[Payload],
    *,
    shard_id: str = SHARD_ID,
    stream_arn: str = STREAM_ARN,
    first_number: int = FIRST_KINESIS_NUMBER,
) -> list[dict[str, Any]]:
    """Return a record of one shard per payload, in order and a second apart."""
    return [
        kinesis_record(
            to_payload(payload),
            sequence_number=str(first_number + number),
            arrival_s=ARRIVAL_S + number,
            shard_id=shard_id,
            stream_arn=stream_arn,
        )
        for number, payload in enumerate(payloads)
    ]


def dynamodb_records(
    new_images: Iterable[Mapping[str, Any]], *, stream_arn: str = TABLE_ARN
) -> list[dict[str, Any]]:
    """Return a record of a DynamoDB stream per item, in order and a second apart."""
    return [
        dynamodb_record(
            new_image,
            sequence_number=str(FIRST_DYNAMODB_NUMBER + 100 * number),
            arrival_s=ARRIVAL_S + number,
            stream_arn=stream_arn,
        )
        for number, new_image in enumerate(new_images)
    ]


def _message_id(ids: Random) -> str:
    return str(uuid.UUID(int=ids.getrandbits(128), version=4))
