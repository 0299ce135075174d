"""One event's figures, as a line in CloudWatch's embedded metric format."""

from __future__ import annotations

import json
from collections import Counter
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.handler.emf import (
    DIMENSION,
    MAX_VALUES,
    NONZERO_UNITS,
    REQUIRED_UNITS,
    InvocationStats,
    emf_line,
    metric_values,
    sample_values,
    search_properties,
)
from batcher.stores.metered import RequestStats
from batcher.writing.stats import Stats
from support.emf_schema import metrics_of

NOW_S = 1_795_419_000.25
SOME = st.integers(0, 10**12)
SECONDS = st.floats(0, 10**6, allow_nan=False)
INVOCATIONS = st.builds(
    InvocationStats,
    source=st.sampled_from(["sqs", "kinesis", "dynamodb", "direct", "unknown"]),
    records=SOME,
    failed=SOME,
    timed_out=st.booleans(),
    cold_start=st.booleans(),
    duration_s=SECONDS,
    error_type=st.sampled_from(["", "RetryableError"]),
)
COUNTS = st.builds(
    Stats,
    records=SOME,
    objects=SOME,
    bytes_in=SOME,
    bytes_out=SOME,
    quarantined=SOME,
    dropped=SOME,
    filtered=SOME,
    rejected=SOME,
    retries=SOME,
    oldest_record_age_s=SECONDS,
    flushes=st.dictionaries(
        st.sampled_from(["event", "bytes", "records", "failure"]), st.integers(0, 10**4)
    ).map(Counter),
)
REQUESTS = st.builds(
    RequestStats,
    attempts=SOME,
    sent_bytes=SOME,
    put_durations_s=st.lists(SECONDS, max_size=300),
    throttles_by_prefix=st.dictionaries(st.text(max_size=1000), st.integers(1, 10**6)).map(Counter),
)


def line_of(event: InvocationStats, counts: Stats, requests: RequestStats) -> str:
    """Write the line of an event."""
    beside = search_properties(event, requests)
    return emf_line(metric_values(event, counts, requests), beside, "orders-writer", NOW_S)


@given(INVOCATIONS, COUNTS, REQUESTS)
def test_any_event_makes_a_line_that_cloudwatch_takes(
    event: InvocationStats, counts: Stats, requests: RequestStats
) -> None:
    """By the format's schema and limits; and no metric is there that is not in our table."""
    found = metrics_of(line_of(event, counts, requests))
    assert set(found) <= set(REQUIRED_UNITS | NONZERO_UNITS)
    assert all(found[name] != [0] for name in set(found) & set(NONZERO_UNITS))


def test_each_figure_stands_under_its_name() -> None:
    """And its unit; the dimension, the time and the namespace besides."""
    event = InvocationStats(
        source="sqs",
        records=40,
        failed=3,
        timed_out=True,
        transform_failed=True,
        cold_start=True,
        duration_s=1.23456,
        error_type="E",
    )
    counts = Stats(
        records=10,
        objects=2,
        bytes_in=5_000,
        bytes_out=700,
        quarantined=4,
        dropped=5,
        filtered=6,
        rejected=7,
        failed=99,
        retries=8,
        oldest_record_age_s=12.3456,
        flushes=Counter(event=1, bytes=2, records=3),
    )
    prefixes = {f"events/{number:04b}": number for number in range(1, 8)}
    requests = RequestStats(11, 1_400, [0.05, 0.01234567], Counter(prefixes))
    written = line_of(event, counts, requests)
    assert metrics_of(written) == {
        "batcher_records_total": [10],
        "batcher_payload_bytes_total": [5_000],
        "batcher_objects_total": [2],
        "batcher_object_bytes_total": [700],
        "batcher_put_seconds": [0.05, 0.0123],
        "batcher_oldest_record_age_seconds": [12.346],
        "batcher_flushes_event_total": [1],
        "batcher_flushes_bytes_total": [2],
        "batcher_flushes_records_total": [3],
        "batcher_retries_total": [8],
        "batcher_throttles_total": [28],
        "batcher_failed_records_total": [3],
        "batcher_quarantined_records_total": [4],
        "batcher_dropped_records_total": [5],
        "batcher_left_out_records_total": [6],
        "batcher_refused_records_total": [7],
        "batcher_transform_failures_total": [1],
        "batcher_deadline_cuts_total": [1],
        "batcher_cold_starts_total": [1],
    }
    document = json.loads(written)
    about = document.pop("_aws")
    assert about["Timestamp"] == 1_795_419_000_250
    (directive,) = about["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("batcher", [["FunctionName"]])
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == REQUIRED_UNITS | NONZERO_UNITS
    beside = {name: value for name, value in document.items() if name not in units}
    assert beside == {
        DIMENSION: "orders-writer",
        "source": "sqs",
        "event_records": 40,
        "requests": 11,
        "sent_bytes": 1_400,
        "seconds": 1.2346,
        "throttles_by_prefix": {f"events/{n:04b}": n for n in (7, 6, 5, 4, 3)},
        "error": "E",
    }


def test_a_clean_event_has_six_metrics_and_its_flushes() -> None:
    """Each that exists costs money, so those that are 0 do not."""
    counts = Stats(records=1, objects=1, bytes_in=9, bytes_out=40, flushes=Counter(event=1))
    found = metrics_of(line_of(InvocationStats(), counts, RequestStats(1, 40, [0.02])))
    assert set(found) == {*REQUIRED_UNITS, "batcher_flushes_event_total"}


def test_an_event_without_an_object_has_no_age_and_no_latency() -> None:
    """A 0 would look like the best there is."""
    found = metrics_of(line_of(InvocationStats(), Stats(), RequestStats()))
    assert found == {name: [0] for name in list(REQUIRED_UNITS)[:4]}


def test_quarantined_records_have_an_age_too() -> None:
    """They are durable as any."""
    found = metrics_of(
        line_of(InvocationStats(), Stats(quarantined=1, oldest_record_age_s=3), RequestStats())
    )
    assert found["batcher_oldest_record_age_seconds"] == [3]


@given(st.lists(SECONDS, min_size=MAX_VALUES + 1, max_size=2_000))
def test_of_many_values_those_are_told_that_keep_their_distribution(seconds: list[float]) -> None:
    """As many as may be: the least, the greatest, and the percentiles between them."""
    told = sample_values(seconds)
    assert len(told) == MAX_VALUES
    ordered = sorted(round(value, 4) for value in seconds)
    assert (told[0], told[-1]) == (ordered[0], ordered[-1])
    assert set(told) <= set(ordered)
    rank = len(ordered) // MAX_VALUES + 1
    for share in (25, 50, 75, 95):
        index = share * (len(ordered) - 1) // 100
        around = ordered[max(0, index - 2 * rank) : index + 2 * rank + 1]
        assert around[0] <= quantiles(told, n=100, method="inclusive")[share - 1] <= around[-1]


@given(st.lists(SECONDS, max_size=MAX_VALUES))
def test_of_few_values_each_is_told(seconds: list[float]) -> None:
    """To a tenth of a millisecond, in their order."""
    assert sample_values(seconds) == pytest.approx(seconds, abs=1e-4)
