"""Spans: when an object's records may have arrived, as far as its key and the store tell.

Nothing is opened for it, so a span is as wide as it must be to hold every record:

- the folders `dt=YYYY-MM-DD`, and `hour=HH` somewhere below it, are taken at their word, in UTC;
- the time in a name is that of a queue's oldest message, or when a program's batch was opened,
  shortly after its first record came in;
- no record arrives after its object was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

from batcher.run import Naming
from batcher.settings import BOUNDS

if TYPE_CHECKING:
    from batcher.reading.names import Name
    from batcher.stores.base import Listed

HOUR_S, DAY_S = 3_600, 86_400
SLACK_S = 900.0
"""By how much clocks may differ: S3 refuses who is off by more. Source: Amazon S3 API reference,
RequestTimeTooSkewed. And the longest that a program's record may wait for room."""
LONGEST_LINGER_S = BOUNDS["linger_s"][1]
_DATE = re.compile(r"dt=(\d{4})-(\d\d)-(\d\d)")
_HOUR = re.compile(r"hour=([01]\d|2[0-3])")
_IN_PARTS = re.compile(r'"?[0-9a-f]+-\d+"?')  # the ETag of what was uploaded in parts


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
