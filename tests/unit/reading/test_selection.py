"""Selection: parsing it, and which objects it selects."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
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


def includes(selection: Selection, key: str, modified_s: float = 4e9) -> bool:
    """Return whether the object at this key is selected."""
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
        (date(2026, 11, 23), HOUR_S - 7 * 3_600),
        (datetime(2026, 11, 23, 5, tzinfo=timezone(timedelta(hours=-2))), HOUR_S),
    ],
)
def test_a_time_is_a_date_time_or_an_age(text: TimeInput, seconds: float) -> None:
    """In UTC without a time zone."""
    assert chosen(since=text).time_range == TimeRange(seconds, inf)
    assert chosen(until=text).time_range == TimeRange(-inf, seconds)


class ZoneWithoutOffset(tzinfo):
    """A time zone that does not say what it is, which Python counts as none."""

    def utcoffset(self, moment: datetime | None) -> None:
        """Return None."""

    def dst(self, moment: datetime | None) -> None:
        """Return None."""

    def tzname(self, moment: datetime | None) -> str:  # noqa: ARG002  # an interface
        """Return a name."""
        return "somewhere"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 23, 7),  # noqa: DTZ001  # naive is what is refused
        datetime(2026, 11, 23, 7, tzinfo=ZoneWithoutOffset()),
    ],
)
def test_a_datetime_without_a_time_zone_is_refused_with_reason_and_fix(moment: datetime) -> None:
    """Elsewhere Python takes it as local time: as UTC it would select other hours without a word.

    Both bounds are refused in one message.
    """
    with pytest.raises(SettingsError) as caught:
        chosen(since=moment, until=moment)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["since", "until"]
    for fault in caught.value.faults:
        assert "has no time zone" in fault
        assert "replace(tzinfo=UTC)" in fault


@pytest.mark.parametrize("value", [5, 1.5, True, b"2h", timedelta(hours=1), float("nan")])
def test_what_is_not_a_time_is_refused(value: object) -> None:
    """By what it is, not by an error of our own."""
    with pytest.raises(SettingsError, match=r"since: .* is not a time"):
        chosen(since=value)  # type: ignore[arg-type]  # that is the fault


def test_the_first_and_the_last_date_are_times() -> None:
    """They have no neighbour that a computation in local time could need."""
    selection = chosen(since=date.min, until=date.max)
    assert selection.time_range.start_s < HOUR_S < selection.time_range.end_s
    aware = chosen(since=datetime.min.replace(tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC))
    assert aware.time_range.start_s < HOUR_S < aware.time_range.end_s


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2h30m", "-2h", "2 h", "7", "9999999999d", "25:00"]
)
def test_an_invalid_time_is_reported_with_all_other_faults(text: str) -> None:
    """In one message."""
    with pytest.raises(SettingsError) as caught:
        chosen(since=text, until="x", partition="//")
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "since",
        "until",
        "partition",
    ]


def test_an_empty_time_range_is_rejected() -> None:
    """For example if `since` and `until` are exchanged."""
    with pytest.raises(SettingsError, match="since: 1h is not before"):
        chosen("1h", "2h")
    with pytest.raises(SettingsError, match="not before"):
        chosen("2026-11-23", "2026-11-23")


def test_an_hour_is_selected_without_the_hours_before_and_after() -> None:
    """`until` is exclusive."""
    hour = chosen("2026-11-23T07:00", "2026-11-23T08:00")
    name = stream_name(5)
    assert includes(hour, key_of(name))
    assert not includes(hour, key_of(name, "dt=2026-11-23/hour=06"))
    assert not includes(hour, key_of(name, "dt=2026-11-23/hour=08"))
    assert includes(hour, key_of(name, "dt=2026-11-23"))
    assert includes(hour, key_of(name, "customer=acme"))


def test_an_object_is_selected_if_any_of_its_records_may_be_in_the_range() -> None:
    """By the oldest message, and by the time it was written."""
    key = key_of(queue_name(HOUR_S + 600))
    assert not includes(chosen(until="2026-11-23T07:10"), key)
    assert includes(chosen(until="2026-11-23T07:10:00.001"), key)
    assert includes(chosen(since="2026-11-23T07:59"), key)
    assert not includes(chosen(since="2026-11-23T07:59"), key, HOUR_S + 601)
    assert includes(chosen(since="2026-11-23T07:10"), key, HOUR_S + 600.1 - MAX_CLOCK_SKEW_S)


def test_partition_and_time_must_both_match() -> None:
    """Each excludes objects independently."""
    both = chosen("2026-11-23T07:00", "2026-11-23T08:00", "customer=acme")
    assert includes(both, key_of(stream_name(5), f"{HOUR}/customer=acme"))
    assert not includes(both, key_of(stream_name(5), f"{HOUR}/customer=other"))
    assert not includes(both, key_of(stream_name(5), "dt=2026-11-22/customer=acme"))


def test_quarantine_is_selected_by_source_and_date() -> None:
    """A pattern does not match the folder `_quarantine` itself."""
    key = f"r/_quarantine/kinesis/dt=2026-11-23/{stream_name(5)}.ndjson.gz"
    assert includes(chosen(partition="kinesis/dt=2026-11-23", quarantine=True), key)
    assert not includes(chosen(partition="sqs", quarantine=True), key)
    assert not includes(chosen(partition="_quarantine", quarantine=True), key)
    assert includes(chosen(since="2026-11-25", quarantine=True), key)
    assert not includes(chosen(until="2026-11-22", quarantine=True), key)


def test_folders_are_excluded_only_if_nothing_below_can_be_selected() -> None:
    """Folders are explored only if something below can be excluded."""
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
