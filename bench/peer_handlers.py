"""Handlers: what else people write, each as a good example of its kind would."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

from contenders import SAMPLE_RECORDS

Event = dict[str, Any]
Invoke = Callable[[Event], int]
"""Writes an event, and gives how many of its records."""


def boto3_each(bucket: str, source: str) -> Invoke:
    """Use boto3 as most handlers do: one PUT a record; here of the first records only."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  # it has no types

    client = boto3.client("s3")

    def invoke(event: Event) -> int:
        sample = event["Records"][:SAMPLE_RECORDS]
        for record in sample:
            body = _text(record, source)
            client.put_object(Bucket=bucket, Key=f"events/{_identity(record)}.json", Body=body)
        return len(sample)

    return invoke


def boto3_gzip(bucket: str, source: str) -> Invoke:
    """Use boto3 as careful handlers do: parse, dump, join, gzip as it is, one PUT an event."""
    import boto3  # noqa: PLC0415

    client = boto3.client("s3")

    def invoke(event: Event) -> int:
        records = event["Records"]
        lines = [json.dumps(json.loads(_text(record, source))) for record in records]
        body = gzip.compress(("\n".join(lines) + "\n").encode())
        key = f"events/{_identity(records[0])}.ndjson.gz"
        client.put_object(Bucket=bucket, Key=key, Body=body)
        return len(records)

    return invoke


def powertools_gzip(bucket: str, source: str) -> Invoke:
    """Use Powertools' BatchProcessor to parse and to answer, then gzip and one PUT an event."""
    import boto3  # noqa: PLC0415
    from aws_lambda_powertools.utilities.batch import (  # noqa: PLC0415
        BatchProcessor,
        EventType,
        process_partial_response,
    )

    client = boto3.client("s3")
    is_queue = source == "sqs"
    kind = EventType.SQS if is_queue else EventType.KinesisDataStreams
    processor = BatchProcessor(event_type=kind)
    lines: list[str] = []

    def of_queue(record: Any) -> None:  # noqa: ANN401  # an SQSRecord
        lines.append(json.dumps(record.json_body))

    def of_stream(record: Any) -> None:  # noqa: ANN401  # a KinesisStreamRecord
        lines.append(json.dumps(record.kinesis.data_as_json()))

    def invoke(event: Event) -> int:
        lines.clear()
        answer = process_partial_response(
            event=event,
            record_handler=of_queue if is_queue else of_stream,
            processor=processor,
            context=None,
        )
        body = gzip.compress(("\n".join(lines) + "\n").encode())
        key = f"events/{_identity(event['Records'][0])}.ndjson.gz"
        client.put_object(Bucket=bucket, Key=key, Body=body)
        if answer != {"batchItemFailures": []}:
            msg = f"not all was written: {answer!r:.200}"
            raise RuntimeError(msg)
        return len(lines)

    return invoke


def _text(record: Event, source: str) -> str | bytes:
    if source == "kinesis":
        return base64.b64decode(record["kinesis"]["data"])
    return str(record["body"])


def _identity(record: Event) -> str:
    return str(record.get("messageId") or record["eventID"])
