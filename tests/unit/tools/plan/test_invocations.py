"""Gathering: what Lambda hands over, by rate, window and lanes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.tools.plan.invocations import (
    BatchEnd,
    estimate_invocations,
    event_json_bytes,
    max_event_records,
    poller_count,
    record_json_bytes,
    shard_count,
)
from batcher.tools.plan.quotas import MAX_EVENT_BYTES
from batcher.tools.plan.workload import SourceType, Workload
from support.plan_examples import workload_of
from support.plan_strategies import workloads


def test_with_little_traffic_the_pollers_share_what_the_window_brings() -> None:
    """It is not rate x window: five pollers have a fifth of it each."""
    event = estimate_invocations(workload_of(records_per_s=50, window_s=20), 50)
    assert (event.concurrent_batches, event.records, event.per_s) == (5, 200, 0.25)
    assert (event.batch_end, event.batching_s) == (BatchEnd.WINDOW, 20)


def test_a_full_event_is_6_mb() -> None:
    """With few pollers, known to the user, the payload ends the batch before the window does."""
    workload = workload_of(records_per_s=2_000, pollers=2, window_s=60)
    event = estimate_invocations(workload, 2_000)
    assert event.batch_end is BatchEnd.PAYLOAD
    assert event.records == max_event_records(workload) == event.max_records
    assert event.batching_s == pytest.approx(2 * event.records / 2_000)
    assert event.json_bytes <= MAX_EVENT_BYTES < event_json_bytes(workload, event.records + 1)


def test_small_records_are_ended_by_the_batch_size() -> None:
    """Base64 of nothing and an envelope: 10,000 fit."""
    workload = workload_of(records_per_s=1_000, record_bytes=4, source=SourceType.DYNAMODB)
    assert estimate_invocations(workload, 1_000).batch_end is BatchEnd.BATCH_SIZE
    assert estimate_invocations(workload, 1_000).records == 10_000


def test_one_record_per_hour_is_an_invocation_of_its_own() -> None:
    """Invocations are never more than records."""
    event = estimate_invocations(workload_of(records_per_s=1 / 3600), 1 / 3600)
    assert (event.records, event.batch_end) == (1, BatchEnd.LOW_RATE)


@pytest.mark.parametrize(
    ("source", "records"),
    [(SourceType.KINESIS, 100), (SourceType.DYNAMODB, 25), (SourceType.SQS, 2)],
)
def test_without_a_window_a_batch_has_the_records_of_one_poll(
    source: SourceType, records: int
) -> None:
    """Once a second a Kinesis shard, four times a DynamoDB one; ten times a poller."""
    workload = workload_of(records_per_s=100, source=source, window_s=0, peak=1)
    assert estimate_invocations(workload, 100).records == records


def test_shards_take_the_peak_in_records_and_in_bytes() -> None:
    """1,000 records and 1 MiB a second each."""
    by_records = workload_of(source=SourceType.KINESIS, records_per_s=2_500, record_bytes=10)
    by_bytes = workload_of(source=SourceType.KINESIS, records_per_s=100, record_bytes=1024**2 / 40)
    assert (shard_count(by_records), shard_count(by_bytes)) == (5, 5)
    assert shard_count(workload_of(source=SourceType.KINESIS, shards=64)) == 64


def test_more_concurrent_batches_are_smaller() -> None:
    """A parallelization factor divides a shard's window."""
    workload = workload_of(source=SourceType.KINESIS, records_per_s=100, shards=1)
    assert estimate_invocations(workload, 100, 1).records == 2_000
    assert estimate_invocations(workload, 100, 4).records == 500


@pytest.mark.parametrize(
    ("rate", "record_bytes", "pollers"),
    [(1, 100, 5), (1_000, 100, 10), (1_001, 100, 11), (100, 500_000, 50), (1e6, 100, 1_250)],
)
def test_pollers_follow_the_load(rate: float, record_bytes: int, pollers: int) -> None:
    """A hundred messages and a MB a second each; never under five nor over 1,250."""
    assert poller_count(workload_of(record_bytes=record_bytes), rate) == pollers


def test_kinesis_pays_for_base64_and_a_queue_for_quotes() -> None:
    """A DynamoDB record is JSON already."""
    sizes = {s: record_json_bytes(workload_of(record_bytes=3_000, source=s)) for s in SourceType}
    assert sizes[SourceType.KINESIS] == 4_000 + 600
    assert sizes[SourceType.SQS] == 3_000 * 1.08 + 890
    assert sizes[SourceType.FIFO] > sizes[SourceType.SQS]
    assert sizes[SourceType.DYNAMODB] == 3_001


@given(workloads(), st.floats(0.001, 1e6))
def test_an_event_is_within_lambdas_limits(workload: Workload, rate: float) -> None:
    """Bytes, records, window; and all records are handed over."""
    event = estimate_invocations(workload, rate)
    assert 1 - 1e-9 <= event.records <= event.max_records * (1 + 1e-9)
    assert event.max_records <= workload.batch_size <= 10_000
    assert event_json_bytes(workload, event.max_records) <= MAX_EVENT_BYTES
    assert event.batching_s <= max(workload.window_s, 1)
    assert math.isclose(event.records * event.per_s, rate)


@given(workloads(), st.floats(0.001, 1e6), st.floats(1, 100))
def test_more_records_are_not_fewer_invocations(
    workload: Workload, rate: float, more: float
) -> None:
    """Nor is a longer window more of them."""
    assert estimate_invocations(workload, rate * more).per_s >= estimate_invocations(
        workload, rate
    ).per_s * (1 - 1e-9)
    if workload.source is not SourceType.FIFO and workload.window_s:
        longer = estimate_invocations(workload.with_window(300), rate)
        assert longer.per_s <= estimate_invocations(workload, rate).per_s * (1 + 1e-9)
