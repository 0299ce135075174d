"""What the function does with clicks, in memory, with and without faults."""

import json

import pytest

from batcher import Settings
from batcher.handler import LambdaHandler, make_handler
from batcher.testing import (
    FakeContext,
    MemoryStore,
    ObjectStore,
    event_of,
    kinesis_records,
    run_deliveries,
)
from clicks import transform

SETTINGS = Settings(
    bucket="my-bucket", root="clicks", partition_by="country={field:country}", partial_response=True
)
CLICKS = [
    {"n": n, "email": f"User{n}@example.com", "ip": "192.0.2.1", "country": ["FR", "JP"][n % 2]}
    for n in range(20)
]


def make(store: ObjectStore) -> LambdaHandler:
    """Create the handler, with a store in place of S3."""
    return make_handler(SETTINGS, transform=transform, store=store)


def test_clicks_are_redacted_and_partitioned() -> None:
    """No address is in any object, and each country has its partition."""
    store = MemoryStore()
    handler = make(store)
    bot = {**CLICKS[0], "bot": True}
    anonymous = {"n": 99}  # without an address the transform raises
    event = event_of(kinesis_records([*CLICKS, bot, anonymous]))
    assert handler(event, FakeContext(left_ms=60_000)) == {"batchItemFailures": []}
    handler.close()
    french, japanese = store.read_lines("country=FR"), store.read_lines("country=JP")
    assert (len(french), len(japanese)) == (10, 10)
    for line in [*french, *japanese]:
        assert json.loads(line).keys() == {"n", "country", "user"}
    assert len(store.read_lines("_quarantine")) == 1


@pytest.mark.parametrize("seed", range(20))
def test_no_click_is_lost_or_doubled(seed: int) -> None:
    """Requests fail, processes are killed, and the stream redelivers. A seed repeats its faults."""
    report = run_deliveries(make, kinesis_records(CLICKS), seed=seed, transform=transform)
    report.assert_none_lost()
    report.assert_exactly_once()
