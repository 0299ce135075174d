"""Selection: which objects a user wants, by time and by partition; what need not be looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from batcher.errors import SettingsError
from batcher.reading.times import (
    ALL_TIME,
    TimeInput,
    TimeRange,
    folders_time_range,
    object_time_range,
    parse_time_range,
    quarantine_time_range,
)

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.stores.base import ListEntry

_PART = re.compile(r"[A-Za-z0-9._=~%*?-]+")  # what folders are made of, and the wildcards


_COLUMN = re.compile(r"([A-Za-z0-9._~%-]+)=.*")


@dataclass(frozen=True, slots=True)
class PartitionPattern:
    """Folders that a partition must have, in this order; others may stand before and between.

    `*` stands for any characters of one folder, `?` for one, all else for itself, escaped as keys
    have it. A column (`name=`) that a pattern names counts where it first stands in the partition.
    """

    parts: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> PartitionPattern:
        """Read what a user gives.

        Raises:
            ValueError: no partition can match it; the message says why.
        """
        parts = tuple(text.strip("/").split("/"))
        for part in parts:
            if not part:
                msg = f"{text!r} has an empty folder"
                raise ValueError(msg)
            if not _PART.fullmatch(part):
                escaped = quote(part, safe="=*?%")
                msg = f"{part!r} stands in no key: write it as keys have it, {escaped!r}"
                raise ValueError(msg)
        return PartitionPattern(parts)

    def unmatched_parts(self, folders: Sequence[str]) -> tuple[str, ...] | None:
        """Return the parts that are not met by a partition's first folders yet; None: it is none.

        An empty tuple says that all partitions that start so are meant.
        """
        left = self.parts
        for folder in folders:
            if left and _compile_part(left[0]).fullmatch(folder):
                left = left[1:]
            elif (column := _column_name(folder)) and column in map(_column_name, left):
                return None
        return left

    def can_exclude_below(self, folders: Sequence[str]) -> bool:
        """Get whether deeper folders can rule partitions out, by more than by not being there."""
        return any(not part.endswith("=*") for part in self.unmatched_parts(folders) or ())


ANY_PARTITION = PartitionPattern()
"""Every partition."""


def _column_name(folder: str) -> str | None:
    found = _COLUMN.fullmatch(folder)
    return found[1] if found else None


def _compile_part(part: str) -> re.Pattern[str]:
    text = re.escape(part).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text)  # which keeps the last ones itself


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects that may hold records of a time span, in partitions that match a pattern."""

    time_range: TimeRange = ALL_TIME
    pattern: PartitionPattern = ANY_PARTITION
    quarantine: bool = False
    """Whether what was quarantined is wanted, in place of the data."""

    def includes(self, parsed_key: ParsedKey, list_entry: ListEntry) -> bool:
        """Return whether an object is among them; never no where it may hold a record in time."""
        folders = parsed_key.partition.split("/")[1 if self.quarantine else 0 :]
        return self.pattern.unmatched_parts(folders) == () and self.time_range.overlaps(
            object_time_range(parsed_key, list_entry)
        )

    def may_include_below(self, folders: Sequence[str]) -> bool:
        """Return whether there can be one whose partition starts with these folders."""
        return self.pattern.unmatched_parts(folders) is not None and self.time_range.overlaps(
            self._time_range_below(folders)
        )

    def can_exclude_below(self, folders: Sequence[str]) -> bool:
        """Return whether deeper folders can rule some out of what starts with these."""
        is_whole = self.time_range.contains(self._time_range_below(folders))
        return not is_whole or self.pattern.can_exclude_below(folders)

    def is_more_specific(self, folders: Sequence[str], deeper: Sequence[str]) -> bool:
        """Get whether the deeper of two partitions tells more: a time, or what the pattern asks."""
        is_timed = folders_time_range(folders) != folders_time_range(deeper)
        return is_timed or self.pattern.unmatched_parts(folders) != self.pattern.unmatched_parts(
            deeper
        )

    def _time_range_below(self, folders: Sequence[str]) -> TimeRange:
        return quarantine_time_range(folders) if self.quarantine else folders_time_range(folders)


def parse_selection(
    since: TimeInput, until: TimeInput, partition: str | None, *, quarantine: bool, now_s: float
) -> Selection:
    """Read what a user asks for.

    Args:
        since: records that arrived then or later: see `span_between`.
        until: records that arrived before.
        partition: see `Pattern`.
        is_quarantine: whether to look there instead.
        now_s: what "ago" is counted from, in seconds since 1970.

    Raises:
        SettingsError: with every fault.
    """
    faults: list[str] = []
    span, pattern = ALL_TIME, ANY_PARTITION
    try:
        span = parse_time_range(since, until, now_s)
    except SettingsError as error:
        faults += error.faults
    if partition is not None:
        try:
            pattern = PartitionPattern.parse(partition)
        except ValueError as error:
            faults.append(f"partition: {error}")
    if not faults and span.start_s >= span.end_s:
        faults.append(f"since: {since} is not before until, {until}")
    if faults:
        raise SettingsError(faults)
    return Selection(span, pattern, quarantine)
