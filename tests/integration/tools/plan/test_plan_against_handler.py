"""Against the handler: what it really writes, given an event as planned, is what was planned."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import pytest

from batcher.stores.memory import MemoryStore
from batcher.tools.plan.invocations import BatchEnd
from batcher.tools.plan.objects import RecordSample
from batcher.tools.plan.plan import Plan, make_plan
from batcher.tools.plan.quotas import MAX_EVENT_BYTES
from batcher.tools.plan.workload import SourceType
from support.examples import SEQUENCE, make_settings
from support.plan_examples import orders, workload_of

if TYPE_CHECKING:
    from support.handler_harness import HandlerFactory

SENT_MS = 1_795_419_000_000  # 2026-11-23T07:30 UTC


def sqs_record(index: int, payload: bytes) -> dict[str, Any]:
    """Make a message as large as AWS makes them."""
    digest = hashlib.sha256(f"{index}".encode()).digest()
    return {
        "messageId": str(UUID(bytes=digest[:16], version=4)),
        "receiptHandle": "AQEB" + b64encode(hashlib.shake_256(digest).digest(300)).decode(),
        "body": payload.decode(),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(SENT_MS),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(SENT_MS + 40),
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(payload, usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:orders",
        "awsRegion": "eu-central-1",
    }


def kinesis_record(index: int, payload: bytes) -> dict[str, Any]:
    """Make a record as large as AWS makes them."""
    number = str(int(SEQUENCE) + index)
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": hashlib.md5(payload, usedforsecurity=False).hexdigest(),
            "sequenceNumber": number,
            "data": b64encode(payload).decode(),
            "approximateArrivalTimestamp": SENT_MS / 1e3,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000003:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/batcher",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/orders",
    }


MAKE = {SourceType.SQS: sqs_record, SourceType.KINESIS: kinesis_record}


def planned(
    payloads: Sequence[bytes], settings: dict[str, Any], source: SourceType, **values: object
) -> Plan:
    """Plan by a sample."""
    sample = RecordSample(payloads)
    workload = workload_of(
        record_bytes=sample.record_bytes, json_growth=sample.json_growth, source=source, **values
    )
    return make_plan(workload, make_settings(**settings), sample)


@pytest.mark.parametrize("source", MAKE)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"compression": "zstd"},
        {"compression": "gzip", "compression_level": 6},
        {"compression": "none"},
        {"max_records": 700},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({"records_per_s": 300, "window_s": 15}, BatchEnd.WINDOW),
        ({"records_per_s": 2_000, "window_s": 60}, BatchEnd.PAYLOAD),
    ],
    ids=["window", "payload"],
)
def test_the_handler_writes_the_objects_that_were_planned(
    source: SourceType,
    settings: dict[str, Any],
    values: dict[str, Any],
    limit: BatchEnd,
    handler_factory: HandlerFactory,
) -> None:
    """An event of the planned records is within 6 MB; its objects are as many and as large."""
    payloads = orders(8_000)
    lanes = {"pollers": 2} if source is SourceType.SQS else {"shards": 2}
    plan = planned(payloads, settings, source, **values, **lanes)
    assert plan.event.batch_end is limit
    count = int(plan.event.records)
    event = {"Records": [MAKE[source](i, payload) for i, payload in enumerate(payloads[:count])]}
    json_bytes = len(orjson.dumps(event))
    assert json_bytes <= MAX_EVENT_BYTES
    assert plan.event.json_bytes * 0.9 <= json_bytes <= plan.event.json_bytes * 1.01
    if limit is BatchEnd.PAYLOAD:
        assert json_bytes > 0.9 * MAX_EVENT_BYTES

    store = MemoryStore()
    assert handler_factory.make(store, **settings)(event, None) == {"batchItemFailures": []}

    written = list(store.objects.values())
    assert len(written) == plan.objects.per_event
    size_bytes = sum(len(one.body) for one in written) / len(written)
    assert size_bytes == pytest.approx(plan.object_bytes, rel=0.03)
    text_bytes = sum(int(one.info.metadata["batcher-bytes"]) for one in written)
    assert text_bytes / len(written) == pytest.approx(plan.objects.text_bytes, rel=0.03)


def test_partitions_divide_an_event_as_planned(handler_factory: HandlerFactory) -> None:
    """One object each, and each compresses worse than the whole would."""
    payloads = [b'{"shop":"%d",%s' % (i % 5, line[1:]) for i, line in enumerate(orders(2_000))]
    settings = {"partition_by": "shop={field:shop}", "compression": "zstd"}
    values = {"records_per_s": 200, "window_s": 20, "pollers": 2, "partitions": 5}
    plan = planned(payloads, settings, SourceType.SQS, **values)
    assert (plan.event.records, plan.objects.per_event, plan.objects.records) == (2_000, 5, 400)
    store = MemoryStore()
    event = {"Records": [sqs_record(i, payload) for i, payload in enumerate(payloads)]}
    handler_factory.make(store, **settings)(event, None)
    assert len(store.objects) == 5
    size_bytes = sum(len(one.body) for one in store.objects.values()) / 5
    assert size_bytes == pytest.approx(plan.object_bytes, rel=0.03)
