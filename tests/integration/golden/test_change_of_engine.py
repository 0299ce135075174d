"""A deployment changes the engine while deliveries are not finished: nothing is doubled or lost."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from batcher.handler import make_handler
from batcher.limits import MIN_PART_BYTES
from support.examples import kinesis_record, make_settings
from support.handler_harness import NO_FAILURES

from .server import BUCKET, RecordingS3

LARGE = {"compression": "none"}
"""Makes bodies that are larger than a part."""


def deliver(engine: str, size_bytes: int, *numbers: int, **settings: Any) -> Any:  # noqa: ANN401
    """Deliver records of one shard to a handler that this engine serves."""
    records = [
        kinesis_record(str(number), json.dumps({"n": number, "x": "x" * size_bytes}).encode())
        for number in numbers
    ]
    handler = make_handler(
        make_settings(bucket=BUCKET, engine=engine, partial_response=True, **settings)
    )
    try:
        return handler({"Records": records}, None)
    finally:
        handler.close()


@pytest.mark.parametrize(("before", "after"), [("aioboto3", "obstore"), ("obstore", "aioboto3")])
@pytest.mark.parametrize(
    ("size_bytes", "settings"), [(10, {}), (2 * MIN_PART_BYTES, LARGE)], ids=["small", "large"]
)
def test_a_delivery_that_one_engine_has_written_is_known_to_the_other(
    s3: RecordingS3, before: str, after: str, size_bytes: int, settings: dict[str, Any]
) -> None:
    """Its answer was lost: the redelivery is acknowledged, and nothing is written again."""
    assert deliver(before, size_bytes, 1, 2, **settings) == NO_FAILURES
    ((key, written),) = s3.objects.items()
    s3.requests.clear()
    assert deliver(after, size_bytes, 1, 2, **settings) == NO_FAILURES
    assert s3.objects.keys() == {key}
    assert s3.objects[key] is written
    assert "HEAD -> 200" in s3.requests[key]


@pytest.mark.parametrize(("before", "after"), [("aioboto3", "obstore"), ("obstore", "aioboto3")])
def test_a_longer_redelivery_writes_only_what_the_other_engine_has_not(
    s3: RecordingS3, before: str, after: str
) -> None:
    """As with one engine: nothing is replaced, and the rest has a name of its own."""
    assert deliver(before, 10, 1) == NO_FAILURES
    ((key, written),) = s3.objects.items()
    assert deliver(after, 10, 1, 2, 3) == NO_FAILURES
    assert s3.objects[key] is written
    assert s3.objects.keys() > {key}
    bodies = [gzip.decompress(there.body) for there in s3.objects.values()]
    numbers = [json.loads(line)["n"] for body in bodies for line in body.splitlines()]
    assert sorted(numbers) == [1, 2, 3]
