"""Examples: chunks, batches, messages and records as sources send them, object metadata."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batcher.batching.batch import Batch, FlushReason, Route
from batcher.encoding.text import join_lines
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, LinesColumn, RangeColumn
from batcher.settings import Settings
from batcher.testing import events
from batcher.testing.events import ARRIVAL_S, FIFO_ARN, QUEUE_ARN, STREAM_ARN, TABLE_ARN

__all__ = [
    "ARRIVAL_S",
    "EVENTS",
    "FIFO_ARN",
    "LIBRARY",
    "QUEUE",
    "QUEUE_ARN",
    "SEQUENCE",
    "SHARD",
    "STREAM_ARN",
    "TABLE_ARN",
    "described",
    "dynamodb_record",
    "event_from",
    "fifo_message",
    "kinesis_record",
    "make_batch",
    "make_chunk",
    "make_chunk_of_text",
    "make_settings",
    "message",
    "texts_of",
]

LIBRARY = Origin("library", NamingScheme.FRESH)
QUEUE = Origin("sqs", NamingScheme.MESSAGE_SET, "my-queue")
SHARD = Origin("kinesis", NamingScheme.SEQUENCE, "orders-shardId-000000000003")
SEQUENCE = "49590338271490256608559692538361571095921575989136588898"
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
        body: the message's body, perhaps no text.
        changes: `sent_ms` and `arn`, if they matter.
    """
    sent_ms = changes.get("sent_ms", int(ARRIVAL_S * 1000))
    arn = changes.get("arn", QUEUE_ARN)
    made = events.sqs_message("{}", message_id=identity, sent_ms=sent_ms, queue_arn=arn)
    return {**made, "body": body}


def fifo_message(
    identity: str, number: object, group: str = "g", body: object = "{}"
) -> dict[str, Any]:
    """Create one message of a FIFO queue, whose number may be none."""
    made = events.fifo_message("{}", message_id=identity, sequence_number="", group=group)
    made["attributes"]["SequenceNumber"] = number
    return {**made, "body": body}


def kinesis_record(
    number: str, data: bytes = b"{}", *, shard: str = "shardId-000000000003", arn: str = STREAM_ARN
) -> dict[str, Any]:
    """Create one record of a Kinesis stream."""
    return events.kinesis_record(data, sequence_number=number, shard_id=shard, stream_arn=arn)


def dynamodb_record(
    number: str,
    image: Any = None,  # noqa: ANN401  # JSON
    *,
    arn: str = TABLE_ARN,
    arrival_s: float = ARRIVAL_S,
) -> dict[str, Any]:
    """Create one record of a DynamoDB stream: an item that was inserted."""
    new_image = {"Id": {"N": number}} if image is None else image
    made = events.dynamodb_record(
        new_image if isinstance(new_image, dict) else {},
        sequence_number=number,
        arrival_s=arrival_s,
        stream_arn=arn,
    )
    made["dynamodb"] |= {"Keys": {"Id": {"N": number}}, "NewImage": new_image}
    return made


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
