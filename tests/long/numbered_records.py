"""Records of a soak: each can be made again from its number, so none needs to be kept."""

from __future__ import annotations

import random
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

NOISE = random.Random(0).randbytes(64 * 1024).hex()  # noqa: S311  # no secret
BAD_EVERY, BAD_AT = 501, 77
SMALLEST, SPREAD = 100, 700
"""Characters of padding: at least, and how many more at most."""
PROGRAM = 16
"""How many times longer the records of programs are: they write more bytes than events carry."""
LONGEST = (SMALLEST + SPREAD) * PROGRAM
START_S = 1_795_400_000.0
STEP_S = 0.5
"""Between arrivals: an hour ends every 7,200 records."""
FIRST_SEQUENCE_NUMBER = 49590338271490256608559692538361571095921575989136588898  # as AWS's look
NUMBER = re.compile(rb'"n":(\d+),')


def is_bad(number: int) -> bool:
    """Return whether a record is no JSON, so that its place is in quarantine."""
    return number % BAD_EVERY == BAD_AT


def payload(part: int, number: int, times: int = 1) -> bytes:
    """Return the text of a record: its number, which round it is of, a partition, and noise.

    Args:
        part: the round.
        number: its number there.
        times: how many times longer the noise is.
    """
    if is_bad(number):
        return b'{"n":%d,"round":%d,' % (number, part)
    mixed = (number * 2_654_435_761 + part * 40_503) & 0xFFFFFFFF
    start = (mixed >> 8) % (len(NOISE) - LONGEST)
    noise = NOISE[start : start + (SMALLEST + mixed % SPREAD) * times]
    text = f'{{"n":{number},"round":{part},"k":"{"abc"[mixed % 3]}","pad":"{noise}"}}'
    return text.encode()


def number_in(text: bytes) -> int | None:
    """Return the number of the record that this is the text of, or None where it is of none."""
    found = NUMBER.search(text)
    return None if found is None else int(found[1])


def kinesis_event(part: int, numbers: Iterable[int], shard: int) -> dict[str, Any]:
    """Make the event that brings these records of a shard."""
    return {"Records": [_kinesis(part, number, shard) for number in numbers]}


def sequence_number(part: int, number: int) -> str:
    """Return a record's place in its shard."""
    return str(FIRST_SEQUENCE_NUMBER + part * 10**15 + number)


def sqs_event(part: int, numbers: Iterable[int]) -> dict[str, Any]:
    """Make the event that brings these messages."""
    return {"Records": [_sqs(part, number) for number in numbers]}


def message_id(part: int, number: int) -> str:
    """Return a message's identity."""
    return f"{part:08x}-0000-4000-8000-{number:012x}"


def _kinesis(part: int, number: int, shard: int) -> dict[str, Any]:
    position = sequence_number(part, number)
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": str(number),
            "sequenceNumber": position,
            "data": b64encode(payload(part, number)).decode(),
            "approximateArrivalTimestamp": START_S + number * STEP_S,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-{shard:012d}:{position}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/soak",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/soak",
    }


def _sqs(part: int, number: int) -> dict[str, Any]:
    sent_ms = str(round((START_S + number * STEP_S) * 1000))
    return {
        "messageId": message_id(part, number),
        "receiptHandle": f"handle-{number}",
        "body": payload(part, number).decode(),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent_ms,
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": sent_ms,
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:soak",
        "awsRegion": "eu-central-1",
    }
