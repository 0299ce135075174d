"""Moments: a time as users write it, or as a line of quarantine has it, in seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

from batcher.errors import SettingsError
from batcher.records.chunk import NamingScheme
from batcher.settings import MAX_LINGER_S

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.stores.base import ListEntry

HOUR_S, DAY_S = 3_600, 86_400


MAX_CLOCK_SKEW_S = 900.0
"""By how much clocks may differ: S3 refuses who is off by more. Source: Amazon S3 API reference,
RequestTimeTooSkewed. And the longest that a program's record may wait for room."""


_DATE = re.compile(r"dt=(\d{4})-(\d\d)-(\d\d)")


_HOUR = re.compile(r"hour=([01]\d|2[0-3])")


_MULTIPART_ETAG = re.compile(r'"?[0-9a-f]+-\d+"?')  # the ETag of what was uploaded in parts


_RELATIVE_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")


_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


TimeInput = str | datetime | None
"""A moment, as a user gives it, or none."""


def parse_time_range(since: TimeInput, until: TimeInput, now_s: float) -> TimeRange:
    """Read a time span; it may be empty, or end before it starts.

    Args:
        since: its start: a date-time or date (its start) of ISO 8601, in UTC where it names no
            zone, or how long ago: `30s`, `15m`, `2h`, `3d`, `1w`.
        until: its end, which is not in it; as `since`.
        now_s: what "ago" is counted from, in seconds since 1970.

    Raises:
        SettingsError: with every fault.
    """
    faults: list[str] = []
    bounds = {"since": -inf, "until": inf}
    for name, value in (("since", since), ("until", until)):
        if value is not None:
            try:
                bounds[name] = _parse_time_input(value, now_s)
            except (ValueError, OverflowError):
                faults.append(
                    f"{name}: {value!r} is no date or time of ISO 8601, nor how long ago, as 2h"
                )
    if faults:
        raise SettingsError(faults)
    return TimeRange(bounds["since"], bounds["until"])


def parse_time(text: str) -> float:
    """Read a date or date-time of ISO 8601, in UTC where it names no zone.

    Raises:
        ValueError: it is none.
    """
    return _timestamp_s(datetime.fromisoformat(text))


def _timestamp_s(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _parse_time_input(value: str | datetime, now_s: float) -> float:
    if isinstance(value, datetime):
        return _timestamp_s(value)
    if ago := _RELATIVE_TIME.fullmatch(value.strip()):
        return now_s - float(ago[1]) * _UNITS_S[ago[2]]
    return parse_time(value.strip())


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A time span, in seconds since 1970, without its end; unbounded where it is infinite."""

    start_s: float = -inf
    end_s: float = inf

    def overlaps(self, other: TimeRange) -> bool:
        """Return whether some moment is in both."""
        return max(self.start_s, other.start_s) < min(self.end_s, other.end_s)

    def contains(self, other: TimeRange) -> bool:
        """Return whether every moment of the other is in this one."""
        return self.start_s <= other.start_s and other.end_s <= self.end_s


ALL_TIME = TimeRange()


def folders_time_range(folders: Iterable[str]) -> TimeRange:
    """Read the time of a partition, or of its first folders."""
    found = ALL_TIME
    for folder in folders:
        if date := _DATE.fullmatch(folder):
            year, month, day = map(int, date.groups())
            try:
                start_s = datetime(year, month, day, tzinfo=UTC).timestamp()
            except ValueError:
                continue  # no such day: a record's field, perhaps
            found = TimeRange(start_s, start_s + DAY_S)
        elif (hour := _HOUR.fullmatch(folder)) and found.end_s - found.start_s == DAY_S:
            start_s = found.start_s + int(hour[1]) * HOUR_S
            found = TimeRange(start_s, start_s + HOUR_S)
    return found


def quarantine_time_range(folders: Iterable[str]) -> TimeRange:
    """Read the time of folders in quarantine: their `dt=` is where the records begin."""
    return TimeRange(folders_time_range(folders).start_s - MAX_CLOCK_SKEW_S)


def object_time_range(parsed_key: ParsedKey, list_entry: ListEntry) -> TimeRange:
    """Return the span outside of which no record of an object has arrived."""
    folders = parsed_key.partition.split("/")
    placed = (
        quarantine_time_range(folders) if parsed_key.is_quarantine else folders_time_range(folders)
    )
    start_s, end_s = placed.start_s, list_entry.modified_s + MAX_CLOCK_SKEW_S
    if parsed_key.time_s is not None:
        is_fresh = parsed_key.naming is NamingScheme.FRESH
        start_s = max(start_s, parsed_key.time_s - (MAX_CLOCK_SKEW_S if is_fresh else 0.0))
        if is_fresh and _MULTIPART_ETAG.fullmatch(list_entry.etag):
            # S3 has the time when an upload was opened, and a program's may go on from there
            end_s = max(end_s, parsed_key.time_s + MAX_LINGER_S + MAX_CLOCK_SKEW_S)
    end_s = min(placed.end_s, end_s)
    # Where they contradict each other (a `dt=` of a record's field, a copy), the folders count
    return TimeRange(start_s, end_s) if start_s < end_s else placed


def object_time_s(parsed_key: ParsedKey) -> float | None:
    """Return the one time that an object is sorted by and shown with; None: its key has none.

    It is the time in its name, if that lies in its partition's span, else that span's start.
    """
    placed = folders_time_range(parsed_key.partition.split("/"))
    if parsed_key.time_s is not None and placed.start_s <= parsed_key.time_s < placed.end_s:
        return parsed_key.time_s
    return None if placed.start_s == -inf else placed.start_s
