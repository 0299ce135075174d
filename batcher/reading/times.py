"""Moments: a time as users write it, or as a line of quarantine has it, in seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

from batcher.errors import SettingsError
from batcher.records.chunk import Naming
from batcher.settings import BOUNDS

if TYPE_CHECKING:
    from batcher.keys.parse import Name
    from batcher.stores.base import Listed

HOUR_S, DAY_S = 3_600, 86_400


SLACK_S = 900.0
"""By how much clocks may differ: S3 refuses who is off by more. Source: Amazon S3 API reference,
RequestTimeTooSkewed. And the longest that a program's record may wait for room."""


LONGEST_LINGER_S = BOUNDS["linger_s"][1]


_DATE = re.compile(r"dt=(\d{4})-(\d\d)-(\d\d)")


_HOUR = re.compile(r"hour=([01]\d|2[0-3])")


_IN_PARTS = re.compile(r'"?[0-9a-f]+-\d+"?')  # the ETag of what was uploaded in parts


_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")


_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


Time = str | datetime | None
"""A moment, as a user gives it, or none."""


def span_between(since: Time, until: Time, now_s: float) -> Span:
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
                bounds[name] = _seconds(value, now_s)
            except (ValueError, OverflowError):
                faults.append(
                    f"{name}: {value!r} is no date or time of ISO 8601, nor how long ago, as 2h"
                )
    if faults:
        raise SettingsError(faults)
    return Span(bounds["since"], bounds["until"])


def parse_time(text: str) -> float:
    """Read a date or date-time of ISO 8601, in UTC where it names no zone.

    Raises:
        ValueError: it is none.
    """
    return _in_utc(datetime.fromisoformat(text))


def _in_utc(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(value: str | datetime, now_s: float) -> float:
    if isinstance(value, datetime):
        return _in_utc(value)
    if ago := _AGO.fullmatch(value.strip()):
        return now_s - float(ago[1]) * _UNITS_S[ago[2]]
    return parse_time(value.strip())


@dataclass(frozen=True, slots=True)
class Span:
    """A time span, in seconds since 1970, without its end; unbounded where it is infinite."""

    start_s: float = -inf
    end_s: float = inf

    def meets(self, other: Span) -> bool:
        """Say whether some moment is in both."""
        return max(self.start_s, other.start_s) < min(self.end_s, other.end_s)

    def holds(self, other: Span) -> bool:
        """Say whether every moment of the other is in this one."""
        return self.start_s <= other.start_s and other.end_s <= self.end_s


ALWAYS = Span()


def span_of_folders(folders: Iterable[str]) -> Span:
    """Read the time of a partition, or of its first folders."""
    found = ALWAYS
    for folder in folders:
        if date := _DATE.fullmatch(folder):
            year, month, day = map(int, date.groups())
            try:
                start_s = datetime(year, month, day, tzinfo=UTC).timestamp()
            except ValueError:
                continue  # no such day: a record's field, perhaps
            found = Span(start_s, start_s + DAY_S)
        elif (hour := _HOUR.fullmatch(folder)) and found.end_s - found.start_s == DAY_S:
            start_s = found.start_s + int(hour[1]) * HOUR_S
            found = Span(start_s, start_s + HOUR_S)
    return found


def quarantine_span(folders: Iterable[str]) -> Span:
    """Read the time of folders in quarantine: their `dt=` is where the records begin."""
    return Span(span_of_folders(folders).start_s - SLACK_S)


def span_of(name: Name, listed: Listed) -> Span:
    """Give the span outside of which no record of an object has arrived."""
    folders = name.partition.split("/")
    placed = quarantine_span(folders) if name.is_quarantine else span_of_folders(folders)
    start_s, end_s = placed.start_s, listed.modified_s + SLACK_S
    if name.time_s is not None:
        is_fresh = name.naming is Naming.FRESH
        start_s = max(start_s, name.time_s - (SLACK_S if is_fresh else 0.0))
        if is_fresh and _IN_PARTS.fullmatch(listed.etag):
            # S3 has the time when an upload was opened, and a program's may go on from there
            end_s = max(end_s, name.time_s + LONGEST_LINGER_S + SLACK_S)
    end_s = min(placed.end_s, end_s)
    # Where they contradict each other (a `dt=` of a record's field, a copy), the folders count
    return Span(start_s, end_s) if start_s < end_s else placed


def time_of(name: Name) -> float | None:
    """Give the one time that an object is sorted by and shown with; None: its key has none.

    It is the time in its name, if that lies in its partition's span, else that span's start.
    """
    placed = span_of_folders(name.partition.split("/"))
    if name.time_s is not None and placed.start_s <= name.time_s < placed.end_s:
        return name.time_s
    return None if placed.start_s == -inf else placed.start_s
