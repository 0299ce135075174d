"""Examples: chunks, batches, messages and records as sources send them, object metadata."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batcher.batching.batch import Batch, FlushReason, Route
from batcher.encoding.text import join_lines
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, LinesColumn, RangeColumn
from batcher.settings import Settings

LIBRARY = Origin("library", NamingScheme.FRESH)
QUEUE = Origin("sqs", NamingScheme.MESSAGE_SET, "my-queue")
SHARD = Origin("kinesis", NamingScheme.SEQUENCE, "orders-shardId-000000000003")
SEQUENCE = "49590338271490256608559692538361571095921575989136588898"
QUEUE_ARN = "arn:aws:sqs:us-east-2:123456789012:my-queue"
FIFO_ARN = "arn:aws:sqs:us-east-2:123456789012:orders.fifo"
STREAM_ARN = "arn:aws:kinesis:us-east-2:123456789012:stream/orders"
TABLE_ARN = "arn:aws:dynamodb:us-east-2:123456789012:table/Orders/stream/2026-11-23T06:48:05.899"
ARRIVAL_S = 1_795_417_200.0
"""2026-11-23 07:00 UTC."""
EVENTS = Path(__file__).parent / "events"


def make_settings(**values: Any) -> Settings:  # noqa: ANN401  # as Settings takes them
    """Create settings with a bucket, which is the one required setting."""
    return Settings(**{"bucket": "my-bucket", **values})


def make_chunk(
    *payloads: bytes | str,
    origin: Origin = LIBRARY,
    arrivals_s: Sequence[float] | None = None,
    positions: Sequence[str] | None = None,
    **columns: Any,  # noqa: ANN401  # as Chunk takes them
) -> Chunk:
    """Create a chunk of these payloads, which must have one type."""
    count = len(payloads)
    return Chunk(
        origin,
        list(payloads),  # type: ignore[arg-type]  # of one type, as documented
        RangeColumn("", range(count)) if positions is None else positions,
        ConstantColumn(ARRIVAL_S, count) if arrivals_s is None else arrivals_s,
        **columns,
    )


def make_chunk_of_text(text: bytes, origin: Origin = LIBRARY) -> Chunk:
    """Create a chunk of the lines of a text, as `batcher write` does."""
    count = text.count(b"\n")
    positions, arrivals_s = RangeColumn("", range(count)), ConstantColumn(ARRIVAL_S, count)
    return Chunk(origin, LinesColumn(text, count), positions, arrivals_s)


def make_batch(
    chunk: Chunk,
    partition: str = "",
    *,
    is_quarantine: bool = False,
    sealed: FlushReason | None = FlushReason.EVENT,
) -> Batch:
    """Create a batch of one chunk."""
    batch = Batch(Route(chunk.origin, partition, is_quarantine), 0.0, float("inf"))
    texts = join_lines(chunk)
    batch.add(chunk, texts, sum(map(len, texts)))
    batch.seal_reason = sealed
    return batch


def event_from(name: str) -> Any:  # noqa: ANN401  # JSON
    """Read an event as a service sends it."""
    return json.loads((EVENTS / f"{name}.json").read_text())


def message(identity: str, body: object = "{}", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Create one message of a standard queue.

    Args:
        identity: the message's id.
        body: the message's body.
        changes: `sent_ms` and `arn`, if they matter.
    """
    return {
        "messageId": identity,
        "receiptHandle": "AQEB",
        "body": body,
        "attributes": {"SentTimestamp": str(changes.get("sent_ms", int(ARRIVAL_S * 1000)))},
        "eventSource": "aws:sqs",
        "eventSourceARN": changes.get("arn", QUEUE_ARN),
    }


def fifo_message(
    identity: str, number: object, group: str = "g", body: object = "{}"
) -> dict[str, Any]:
    """Create one message of a FIFO queue."""
    fifo = message(identity, body, arn=FIFO_ARN)
    fifo["attributes"] |= {"SequenceNumber": number, "MessageGroupId": group}
    return fifo


def kinesis_record(
    number: str, data: bytes = b"{}", *, shard: str = "shardId-000000000003", arn: str = STREAM_ARN
) -> dict[str, Any]:
    """Create one record of a Kinesis stream."""
    return {
        "kinesis": {
            "partitionKey": "1",
            "sequenceNumber": number,
            "data": b64encode(data).decode(),
            "approximateArrivalTimestamp": ARRIVAL_S,
        },
        "eventSource": "aws:kinesis",
        "eventID": f"{shard}:{number}",
        "eventSourceARN": arn,
    }


def dynamodb_record(
    number: str, image: object = None, *, arn: str = TABLE_ARN, arrival_s: float = ARRIVAL_S
) -> dict[str, Any]:
    """Create one record of a DynamoDB stream: an item that was inserted."""
    return {
        "eventID": f"event-{number}",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-2",
        "dynamodb": {
            "ApproximateCreationDateTime": arrival_s,
            "Keys": {"Id": {"N": number}},
            "NewImage": {"Id": {"N": number}} if image is None else image,
            "SequenceNumber": number,
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": arn,
    }


def texts_of(batch: Batch) -> bytes:
    """Take all text out of a batch, and return it."""
    return b"".join(batch.take_texts())


def described(text: bytes, **changes: str) -> dict[str, str]:
    """Return the metadata of an object with this text; `changes` name fields without prefix."""
    fields = {
        "records": str(text.count(b"\n")),
        "bytes": str(len(text)),
        "crc32": f"{zlib.crc32(text):08x}",
        "first": "7",
        "last": "9",
    }
    return {f"batcher-{field}": value for field, value in (fields | changes).items()}
