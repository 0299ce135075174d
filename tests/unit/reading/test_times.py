"""Spans: when records may have arrived, read from keys."""

from __future__ import annotations

from math import inf

import pytest

from batcher.keys.parse import read_name
from batcher.reading.times import (
    ALWAYS,
    DAY_S,
    LONGEST_LINGER_S,
    SLACK_S,
    Span,
    quarantine_span,
    span_of,
    span_of_folders,
    time_of,
)
from batcher.stores.base import Listed
from support.sample_bucket import HOUR, HOUR_S, fresh_name, key_of, queue_name, stream_name

DAY_START_S = HOUR_S - 7 * 3_600
LONG_AFTER_S = HOUR_S + 10 * DAY_S


def told(key: str, modified_s: float = LONG_AFTER_S, etag: str = '"0123"') -> Span:
    """Give the span of the object at a key under the root `r`."""
    return span_of(read_name(key, "r"), Listed(key, 1, etag, modified_s))


@pytest.mark.parametrize(
    ("partition", "start_s", "length_s"),
    [
        ("dt=2026-11-23", DAY_START_S, DAY_S),
        ("dt=2026-11-23/hour=00", DAY_START_S, 3_600),
        ("dt=2026-11-23/hour=07", HOUR_S, 3_600),
        ("dt=2026-11-23/hour=23", DAY_START_S + 23 * 3_600, 3_600),
        ("customer=a/dt=2026-11-23/kind=b/hour=07/x=y", HOUR_S, 3_600),
        ("dt=1969-12-31", -DAY_S, DAY_S),
    ],
)
def test_dt_and_hour_are_read_wherever_they_stand(
    partition: str, start_s: float, length_s: float
) -> None:
    """As UTC; an hour ends where the next one begins."""
    assert span_of_folders(partition.split("/")) == Span(start_s, start_s + length_s)


@pytest.mark.parametrize(
    "partition",
    [
        "",
        "dt=2026-13-01",
        "dt=2026-02-30",
        "dt=20261123",
        "hour=07",
        "hour=07/x=1",
        "xdt=2026-11-23",
    ],
)
def test_what_is_no_time_tells_none(partition: str) -> None:
    """Such folders are fields of records, or hours of no day."""
    assert span_of_folders(partition.split("/")) == ALWAYS


def test_an_hour_that_is_none_leaves_the_day() -> None:
    """A record's field, perhaps."""
    for hour in ("24", "7", "xx", "-1"):
        found = span_of_folders(["dt=2026-11-23", f"hour={hour}"])
        assert found == Span(DAY_START_S, DAY_START_S + DAY_S)


def test_a_partition_bounds_whatever_is_in_it() -> None:
    """A stream's name has no time."""
    assert told(key_of(stream_name(5))) == Span(HOUR_S, HOUR_S + 3_600)


def test_a_queues_oldest_time_is_a_lower_bound() -> None:
    """To the millisecond; nobody knows the newest, but that it is of this partition."""
    key = key_of(queue_name(HOUR_S + 60.25))
    assert told(key) == Span(HOUR_S + 60.25, HOUR_S + 3_600)
    assert told(key_of(queue_name(HOUR_S), partition="")).start_s == HOUR_S


def test_a_programs_name_is_a_lower_bound_but_for_the_wait_for_room() -> None:
    """Its batch is opened after its first record has come in."""
    assert told(key_of(fresh_name(HOUR_S + 3_000))).start_s == HOUR_S + 3_000 - SLACK_S
    assert told(key_of(fresh_name(HOUR_S + 60))).start_s == HOUR_S


def test_no_record_arrives_after_its_object_was_written() -> None:
    """But for clocks that differ."""
    for key in (key_of(stream_name(5)), key_of(queue_name(HOUR_S)), key_of(fresh_name(HOUR_S))):
        assert told(key, HOUR_S + 60).end_s == HOUR_S + 60 + SLACK_S
    fifo = key_of(f"q.fifo-{5:020d}-{'ab' * 16}", partition="")
    assert told(fifo, HOUR_S) == Span(-inf, HOUR_S + SLACK_S)


@pytest.mark.parametrize("etag", ['"0123abcd-2"', "0123abcd-10000"])
def test_what_was_streamed_in_parts_may_have_gone_on_after_the_time_that_s3_tells(
    etag: str,
) -> None:
    """That is when the upload was opened; a batch lingers for a day at most."""
    key = key_of(fresh_name(HOUR_S), partition="")
    assert told(key, HOUR_S + 60, etag).end_s == HOUR_S + LONGEST_LINGER_S + SLACK_S
    assert told(key, HOUR_S + 60).end_s == HOUR_S + 60 + SLACK_S
    queue = key_of(queue_name(HOUR_S), partition="")
    assert told(queue, HOUR_S + 60, etag).end_s == HOUR_S + 60 + SLACK_S  # an event is sealed first


@pytest.mark.parametrize(
    ("key", "modified_s"),
    [
        (key_of(stream_name(5)), HOUR_S - DAY_S),
        (key_of(queue_name(HOUR_S + DAY_S)), LONG_AFTER_S),
        (key_of(fresh_name(HOUR_S + DAY_S)), HOUR_S),
    ],
)
def test_where_they_contradict_each_other_the_partition_counts(key: str, modified_s: float) -> None:
    """A `dt=` of a record's field, or a copy with a time of its own: nothing is hidden."""
    assert told(key, modified_s) == Span(HOUR_S, HOUR_S + 3_600)


def test_without_a_partition_a_contradiction_leaves_all_times_open() -> None:
    """Nothing is known then."""
    assert told(key_of(queue_name(HOUR_S), partition=""), 0.0) == ALWAYS


def test_quarantine_goes_on_after_its_date() -> None:
    """It is the date of the first record, or the oldest, of the object."""
    key = f"r/_quarantine/kinesis/dt=2026-11-23/{stream_name(5)}.ndjson.gz"
    assert quarantine_span(["kinesis", "dt=2026-11-23"]) == Span(DAY_START_S - SLACK_S)
    assert told(key, HOUR_S + 2 * DAY_S) == Span(
        DAY_START_S - SLACK_S, HOUR_S + 2 * DAY_S + SLACK_S
    )
    assert quarantine_span(["kinesis"]) == ALWAYS


@pytest.mark.parametrize(
    ("name", "partition", "time_s"),
    [
        (stream_name(5), HOUR, HOUR_S),
        (stream_name(5), "", None),
        (queue_name(HOUR_S + 1.5), HOUR, HOUR_S + 1.5),
        (queue_name(HOUR_S + 1.5), "", HOUR_S + 1.5),
        (queue_name(HOUR_S + 3_600), HOUR, HOUR_S),
        (fresh_name(HOUR_S + 2.125), HOUR, HOUR_S + 2.125),
        (fresh_name(HOUR_S - 0.001), HOUR, HOUR_S),
        (fresh_name(HOUR_S + 9), "c=x", HOUR_S + 9),
    ],
)
def test_the_one_time_of_an_object_is_its_names_within_its_partition(
    name: str, partition: str, time_s: float | None
) -> None:
    """So objects of an earlier partition never come after those of a later one."""
    assert time_of(read_name(key_of(name, partition), "r")) == time_s


@pytest.mark.parametrize(
    ("one", "other", "do_meet", "does_hold"),
    [
        (Span(1, 3), Span(3, 5), False, False),
        (Span(1, 3), Span(2, 5), True, False),
        (Span(1, 5), Span(1, 5), True, True),
        (Span(1, 5), Span(2, 3), True, True),
        (Span(2, 3), Span(1, 5), True, False),
        (ALWAYS, Span(1, 2), True, True),
        (Span(1, 2), ALWAYS, True, False),
    ],
)
def test_spans_have_no_end_of_their_own(
    one: Span,
    other: Span,
    do_meet: bool,  # noqa: FBT001  # cases
    does_hold: bool,  # noqa: FBT001  # cases
) -> None:
    """Where one begins when the other ends they do not meet."""
    assert one.meets(other) is other.meets(one) is do_meet
    assert one.holds(other) is does_hold
