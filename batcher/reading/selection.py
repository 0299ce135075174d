"""Selection: which objects to read, by time and partition, and which folders to skip for it."""

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

_PART = re.compile(r"[A-Za-z0-9._=~%*?-]+")  # the characters of folders, and the wildcards
_COLUMN = re.compile(r"([A-Za-z0-9._~%-]+)=.*")


@dataclass(frozen=True, slots=True)
class PartitionPattern:
    """Folders that a partition must have, in this order. Others may come before and between them.

    `*` matches any characters of one folder, `?` one character. Everything else matches itself, and
    is escaped as it is in keys. If a column (`name=`) of the pattern is several times in a
    partition, the first one counts.
    """

    parts: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> PartitionPattern:
        """Parse a pattern as users write it.

        Raises:
            ValueError: no partition can match it. The message says why.
        """
        parts = tuple(text.strip("/").split("/"))
        for part in parts:
            if not part:
                msg = f"{text!r} has an empty folder"
                raise ValueError(msg)
            if not _PART.fullmatch(part):
                escaped = quote(part, safe="=*?%")
                msg = f"{part!r} is in no key, because keys are escaped; write {escaped!r}"
                raise ValueError(msg)
        return PartitionPattern(parts)

    def unmatched_parts(self, folders: Sequence[str]) -> tuple[str, ...] | None:
        """Return the parts left after matching these folders, or None if they cannot match.

        An empty tuple means that all partitions that start with these folders match.
        """
        unmatched = self.parts
        for folder in folders:
            if unmatched and _compile_part(unmatched[0]).fullmatch(folder):
                unmatched = unmatched[1:]
            elif (column := _column_name(folder)) and column in map(_column_name, unmatched):
                return None
        return unmatched

    def can_exclude_below(self, folders: Sequence[str]) -> bool:
        """Return whether the names of deeper folders can exclude partitions.

        A part such as `hour=*` only needs the folder to exist, so it does not count.
        """
        return any(not part.endswith("=*") for part in self.unmatched_parts(folders) or ())


ANY_PARTITION = PartitionPattern()
"""Every partition."""


def _column_name(folder: str) -> str | None:
    match = _COLUMN.fullmatch(folder)
    return match[1] if match else None


def _compile_part(part: str) -> re.Pattern[str]:
    text = re.escape(part).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text)  # `re` caches it


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects that may have records of a time range, in partitions that match a pattern."""

    time_range: TimeRange = ALL_TIME
    pattern: PartitionPattern = ANY_PARTITION
    quarantine: bool = False
    """Select quarantine objects instead of data."""

    def includes(self, parsed_key: ParsedKey, list_entry: ListEntry) -> bool:
        """Return whether an object is selected. True if it may have a record of the time range."""
        folders = parsed_key.partition.split("/")[1 if self.quarantine else 0 :]
        return self.pattern.unmatched_parts(folders) == () and self.time_range.overlaps(
            object_time_range(parsed_key, list_entry)
        )

    def may_include_below(self, folders: Sequence[str]) -> bool:
        """Return whether a partition that starts with these folders may have selected objects."""
        return self.pattern.unmatched_parts(folders) is not None and self.time_range.overlaps(
            self._time_range_below(folders)
        )

    def can_exclude_below(self, folders: Sequence[str]) -> bool:
        """Return whether deeper folders can exclude objects of partitions that start with these."""
        all_in_time = self.time_range.contains(self._time_range_below(folders))
        return not all_in_time or self.pattern.can_exclude_below(folders)

    def is_more_specific(self, folders: Sequence[str], deeper: Sequence[str]) -> bool:
        """Return whether `deeper` adds a time, or a folder that the pattern has, to `folders`."""
        adds_time = folders_time_range(folders) != folders_time_range(deeper)
        return adds_time or self.pattern.unmatched_parts(folders) != self.pattern.unmatched_parts(
            deeper
        )

    def _time_range_below(self, folders: Sequence[str]) -> TimeRange:
        return quarantine_time_range(folders) if self.quarantine else folders_time_range(folders)


def parse_selection(
    since: TimeInput, until: TimeInput, partition: str | None, *, quarantine: bool, now_s: float
) -> Selection:
    """Parse a selection as users write it.

    Args:
        since: the start of the time range: see `parse_time_range`.
        until: its end, exclusive.
        partition: see `PartitionPattern`; None: all partitions.
        quarantine: select quarantine objects instead of data.
        now_s: the current time, in seconds since 1970, from which ages are subtracted.

    Raises:
        SettingsError: has every fault.
    """
    faults: list[str] = []
    time_range, pattern = ALL_TIME, ANY_PARTITION
    try:
        time_range = parse_time_range(since, until, now_s)
    except SettingsError as error:
        faults += error.faults
    if partition is not None:
        try:
            pattern = PartitionPattern.parse(partition)
        except ValueError as error:
            faults.append(f"partition: {error}")
    if not faults and time_range.start_s >= time_range.end_s:
        faults.append(f"since: {since} is not before `until` ({until}); give an earlier time")
    if faults:
        raise SettingsError(faults)
    return Selection(time_range, pattern, quarantine)
