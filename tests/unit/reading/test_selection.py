"""Selection: what a user asks for, read, and which objects it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from math import inf

import pytest

from batcher.errors import SettingsError
from batcher.keys.parse import parse_key
from batcher.reading.selection import Selection, parse_selection
from batcher.reading.times import MAX_CLOCK_SKEW_S, TimeInput, TimeRange
from batcher.stores.base import ListEntry
from support.sample_bucket import HOUR, HOUR_S, key_of, queue_name, stream_name

NOW_S = HOUR_S + 1_800.0


def chosen(
    since: TimeInput = None,
    until: TimeInput = None,
    partition: str | None = None,
    *,
    quarantine: bool = False,
) -> Selection:
    """Read a choice that was made at half past seven."""
    return parse_selection(since, until, partition, quarantine=quarantine, now_s=NOW_S)


def is_taken(selection: Selection, key: str, modified_s: float = 4e9) -> bool:
    """Return whether the object at this key is taken."""
    return selection.includes(parse_key(key, "r"), ListEntry(key, 1, "", modified_s))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-23T07:00:00Z", HOUR_S),
        ("2026-11-23T07:00", HOUR_S),
        ("2026-11-23 08:00+01:00", HOUR_S),
        ("2026-11-23", HOUR_S - 7 * 3_600),
        ("20261123T070000Z", HOUR_S),
        ("30s", NOW_S - 30),
        ("15m", NOW_S - 900),
        (" 1.5h ", NOW_S - 5_400),
        ("3d", NOW_S - 3 * 86_400),
        ("1w", NOW_S - 7 * 86_400),
        (datetime(2026, 11, 23, 7, tzinfo=UTC), HOUR_S),
        (datetime(2026, 11, 23, 7), HOUR_S),  # noqa: DTZ001  # naive is what is shown
        (datetime(2026, 11, 23, 5, tzinfo=timezone(timedelta(hours=-2))), HOUR_S),
    ],
)
def test_a_time_is_a_moment_or_how_long_ago(text: TimeInput, seconds: float) -> None:
    """In UTC where it has no zone."""
    assert chosen(since=text).time_range == TimeRange(seconds, inf)
    assert chosen(until=text).time_range == TimeRange(-inf, seconds)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2h30m", "-2h", "2 h", "7", "9999999999d", "25:00"]
)
def test_what_is_no_time_is_told_with_all_other_faults(text: str) -> None:
    """In one message."""
    with pytest.raises(SettingsError) as caught:
        chosen(since=text, until="x", partition="//")
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "since",
        "until",
        "partition",
    ]


def test_a_span_that_holds_nothing_is_refused() -> None:
    """Somebody has confused the two."""
    with pytest.raises(SettingsError, match="since: 1h is not before"):
        chosen("1h", "2h")
    with pytest.raises(SettingsError, match="not before"):
        chosen("2026-11-23", "2026-11-23")


def test_an_hour_is_taken_and_its_neighbours_are_not() -> None:
    """`until` is where the span ends; it does not belong to it."""
    hour = chosen("2026-11-23T07:00", "2026-11-23T08:00")
    name = stream_name(5)
    assert is_taken(hour, key_of(name))
    assert not is_taken(hour, key_of(name, "dt=2026-11-23/hour=06"))
    assert not is_taken(hour, key_of(name, "dt=2026-11-23/hour=08"))
    assert is_taken(hour, key_of(name, "dt=2026-11-23"))
    assert is_taken(hour, key_of(name, "customer=acme"))


def test_an_object_is_taken_if_any_record_of_it_may_be_in_time() -> None:
    """By the oldest message, and by when it was written."""
    key = key_of(queue_name(HOUR_S + 600))
    assert not is_taken(chosen(until="2026-11-23T07:10"), key)
    assert is_taken(chosen(until="2026-11-23T07:10:00.001"), key)
    assert is_taken(chosen(since="2026-11-23T07:59"), key)
    assert not is_taken(chosen(since="2026-11-23T07:59"), key, HOUR_S + 601)
    assert is_taken(chosen(since="2026-11-23T07:10"), key, HOUR_S + 600.1 - MAX_CLOCK_SKEW_S)


def test_a_partition_and_a_time_must_both_be_met() -> None:
    """Each rules out by itself."""
    both = chosen("2026-11-23T07:00", "2026-11-23T08:00", "customer=acme")
    assert is_taken(both, key_of(stream_name(5), f"{HOUR}/customer=acme"))
    assert not is_taken(both, key_of(stream_name(5), f"{HOUR}/customer=other"))
    assert not is_taken(both, key_of(stream_name(5), "dt=2026-11-22/customer=acme"))


def test_quarantine_is_chosen_by_source_and_date() -> None:
    """The folder `_quarantine` itself is no part of what a pattern means."""
    key = f"r/_quarantine/kinesis/dt=2026-11-23/{stream_name(5)}.ndjson.gz"
    assert is_taken(chosen(partition="kinesis/dt=2026-11-23", quarantine=True), key)
    assert not is_taken(chosen(partition="sqs", quarantine=True), key)
    assert not is_taken(chosen(partition="_quarantine", quarantine=True), key)
    assert is_taken(chosen(since="2026-11-25", quarantine=True), key)
    assert not is_taken(chosen(until="2026-11-22", quarantine=True), key)


def test_folders_are_ruled_out_only_where_nothing_below_can_be_taken() -> None:
    """And are looked into only where something below can be ruled out."""
    hour = chosen("2026-11-23T07:00", "2026-11-23T08:00")
    assert hour.may_include_below([])
    assert hour.may_include_below(["customer=acme"])
    assert hour.may_include_below(["dt=2026-11-23"])
    assert not hour.may_include_below(["dt=2026-11-24"])
    assert not hour.may_include_below(["dt=2026-11-23", "hour=08"])
    assert hour.can_exclude_below(["dt=2026-11-23"])
    assert not hour.can_exclude_below(["dt=2026-11-23", "hour=07"])
    assert not chosen("2026-11-22").can_exclude_below(["dt=2026-11-23"])
    assert chosen(partition="hour=07").can_exclude_below(["dt=2026-11-23"])
    assert not chosen().can_exclude_below([])
