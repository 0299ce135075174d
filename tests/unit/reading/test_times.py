"""Times: the time ranges in which the records of an object arrived."""

from __future__ import annotations

from math import inf

import pytest

from batcher.keys.parse import parse_key
from batcher.reading.times import (
    ALL_TIME,
    DAY_S,
    MAX_CLOCK_SKEW_S,
    TimeRange,
    folders_time_range,
    object_time_range,
    object_time_s,
    quarantine_time_range,
)
from batcher.settings import MAX_LINGER_S
from batcher.stores.base import ListEntry
from support.sample_bucket import HOUR, HOUR_S, fresh_name, key_of, queue_name, stream_name

DAY_START_S = HOUR_S - 7 * 3_600
LONG_AFTER_S = HOUR_S + 10 * DAY_S


def time_range(key: str, modified_s: float = LONG_AFTER_S, etag: str = '"0123"') -> TimeRange:
    """Return the time range of the object at a key under the root `r`."""
    return object_time_range(parse_key(key, "r"), ListEntry(key, 1, etag, modified_s))


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
def test_dt_and_hour_are_read_from_any_folder(
    partition: str, start_s: float, length_s: float
) -> None:
    """As UTC. An hour ends when the next one begins."""
    assert folders_time_range(partition.split("/")) == TimeRange(start_s, start_s + length_s)


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
def test_folders_without_a_valid_time_have_no_range(partition: str) -> None:
    """Such folders are fields of records, or hours without a day."""
    assert folders_time_range(partition.split("/")) == ALL_TIME


def test_an_invalid_hour_leaves_the_range_of_the_day() -> None:
    """It may be a field of the records."""
    for hour in ("24", "7", "xx", "-1"):
        found = folders_time_range(["dt=2026-11-23", f"hour={hour}"])
        assert found == TimeRange(DAY_START_S, DAY_START_S + DAY_S)


def test_a_partition_bounds_every_object_in_it() -> None:
    """The name of a stream's object has no time."""
    assert time_range(key_of(stream_name(5))) == TimeRange(HOUR_S, HOUR_S + 3_600)


def test_a_queues_oldest_time_is_a_lower_bound() -> None:
    """To the millisecond. The newest time is unknown, but in the partition's range."""
    key = key_of(queue_name(HOUR_S + 60.25))
    assert time_range(key) == TimeRange(HOUR_S + 60.25, HOUR_S + 3_600)
    assert time_range(key_of(queue_name(HOUR_S), partition="")).start_s == HOUR_S


def test_a_programs_name_is_a_lower_bound_minus_the_wait_for_room() -> None:
    """Its batch is opened after its first record was submitted."""
    assert (
        time_range(key_of(fresh_name(HOUR_S + 3_000))).start_s == HOUR_S + 3_000 - MAX_CLOCK_SKEW_S
    )
    assert time_range(key_of(fresh_name(HOUR_S + 60))).start_s == HOUR_S


def test_no_record_arrives_after_its_object_was_written() -> None:
    """Except by the difference of the clocks."""
    for key in (key_of(stream_name(5)), key_of(queue_name(HOUR_S)), key_of(fresh_name(HOUR_S))):
        assert time_range(key, HOUR_S + 60).end_s == HOUR_S + 60 + MAX_CLOCK_SKEW_S
    fifo = key_of(f"q.fifo-{5:020d}-{'ab' * 16}", partition="")
    assert time_range(fifo, HOUR_S) == TimeRange(-inf, HOUR_S + MAX_CLOCK_SKEW_S)


@pytest.mark.parametrize("etag", ['"0123abcd-2"', "0123abcd-10000"])
def test_a_multipart_upload_may_have_records_newer_than_its_time(
    etag: str,
) -> None:
    """S3 reports when the upload was started. A batch lingers for a day at most."""
    key = key_of(fresh_name(HOUR_S), partition="")
    assert time_range(key, HOUR_S + 60, etag).end_s == HOUR_S + MAX_LINGER_S + MAX_CLOCK_SKEW_S
    assert time_range(key, HOUR_S + 60).end_s == HOUR_S + 60 + MAX_CLOCK_SKEW_S
    queue = key_of(queue_name(HOUR_S), partition="")
    assert (
        time_range(queue, HOUR_S + 60, etag).end_s == HOUR_S + 60 + MAX_CLOCK_SKEW_S
    )  # an event is sealed first


@pytest.mark.parametrize(
    ("key", "modified_s"),
    [
        (key_of(stream_name(5)), HOUR_S - DAY_S),
        (key_of(queue_name(HOUR_S + DAY_S)), LONG_AFTER_S),
        (key_of(fresh_name(HOUR_S + DAY_S)), HOUR_S),
    ],
)
def test_on_a_contradiction_the_partition_wins(key: str, modified_s: float) -> None:
    """For example a `dt=` from a field, or a copy with its own time. Nothing may be hidden."""
    assert time_range(key, modified_s) == TimeRange(HOUR_S, HOUR_S + 3_600)


def test_without_a_partition_a_contradiction_leaves_all_times_open() -> None:
    """Nothing is known then."""
    assert time_range(key_of(queue_name(HOUR_S), partition=""), 0.0) == ALL_TIME


def test_quarantine_has_no_end() -> None:
    """Its date is that of the object's first or oldest record."""
    key = f"r/_quarantine/kinesis/dt=2026-11-23/{stream_name(5)}.ndjson.gz"
    assert quarantine_time_range(["kinesis", "dt=2026-11-23"]) == TimeRange(
        DAY_START_S - MAX_CLOCK_SKEW_S
    )
    assert time_range(key, HOUR_S + 2 * DAY_S) == TimeRange(
        DAY_START_S - MAX_CLOCK_SKEW_S, HOUR_S + 2 * DAY_S + MAX_CLOCK_SKEW_S
    )
    assert quarantine_time_range(["kinesis"]) == ALL_TIME


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
def test_the_sort_time_is_that_of_the_name_within_its_partition(
    name: str, partition: str, time_s: float | None
) -> None:
    """So objects of an earlier partition never come after those of a later one."""
    assert object_time_s(parse_key(key_of(name, partition), "r")) == time_s


@pytest.mark.parametrize(
    ("one", "other", "do_meet", "does_hold"),
    [
        (TimeRange(1, 3), TimeRange(3, 5), False, False),
        (TimeRange(1, 3), TimeRange(2, 5), True, False),
        (TimeRange(1, 5), TimeRange(1, 5), True, True),
        (TimeRange(1, 5), TimeRange(2, 3), True, True),
        (TimeRange(2, 3), TimeRange(1, 5), True, False),
        (ALL_TIME, TimeRange(1, 2), True, True),
        (TimeRange(1, 2), ALL_TIME, True, False),
    ],
)
def test_time_ranges_exclude_their_end(
    one: TimeRange,
    other: TimeRange,
    do_meet: bool,  # noqa: FBT001  # cases
    does_hold: bool,  # noqa: FBT001  # cases
) -> None:
    """Where one begins when the other ends they do not meet."""
    assert one.overlaps(other) is other.overlaps(one) is do_meet
    assert one.contains(other) is does_hold
