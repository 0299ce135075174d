"""Selection: which objects a user wants, by time and by partition; what need not be looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from batcher.errors import SettingsError
from batcher.reading.times import (
    ALWAYS,
    Span,
    Time,
    quarantine_span,
    span_between,
    span_of,
    span_of_folders,
)

if TYPE_CHECKING:
    from batcher.keys.parse import Name
    from batcher.stores.base import Listed

_PART = re.compile(r"[A-Za-z0-9._=~%*?-]+")  # what folders are made of, and the wildcards


_COLUMN = re.compile(r"([A-Za-z0-9._~%-]+)=.*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Folders that a partition must have, in this order; others may stand before and between.

    `*` stands for any characters of one folder, `?` for one, all else for itself, escaped as keys
    have it. A column (`name=`) that a pattern names counts where it first stands in the partition.
    """

    parts: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> Pattern:
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
        return Pattern(parts)

    def left(self, folders: Sequence[str]) -> tuple[str, ...] | None:
        """Give the parts that are not met by a partition's first folders yet; None: it is none.

        An empty tuple says that all partitions that start so are meant.
        """
        left = self.parts
        for folder in folders:
            if left and _like(left[0]).fullmatch(folder):
                left = left[1:]
            elif (column := _column(folder)) and column in map(_column, left):
                return None
        return left

    def decides_below(self, folders: Sequence[str]) -> bool:
        """Say whether deeper folders can rule partitions out, by more than by not being there."""
        return any(not part.endswith("=*") for part in self.left(folders) or ())


ANY = Pattern()
"""Every partition."""


def _column(folder: str) -> str | None:
    found = _COLUMN.fullmatch(folder)
    return found[1] if found else None


def _like(part: str) -> re.Pattern[str]:
    text = re.escape(part).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text)  # which keeps the last ones itself


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects that may hold records of a time span, in partitions that match a pattern."""

    span: Span = ALWAYS
    pattern: Pattern = ANY
    is_quarantine: bool = False
    """Whether what was quarantined is wanted, in place of the data."""

    def takes(self, name: Name, listed: Listed) -> bool:
        """Say whether an object is among them; never no where it may hold a record in time."""
        folders = name.partition.split("/")[1 if self.is_quarantine else 0 :]
        return self.pattern.left(folders) == () and self.span.meets(span_of(name, listed))

    def may_take_below(self, folders: Sequence[str]) -> bool:
        """Say whether there can be one whose partition starts with these folders."""
        return self.pattern.left(folders) is not None and self.span.meets(self._span(folders))

    def decides_below(self, folders: Sequence[str]) -> bool:
        """Say whether deeper folders can rule some out of what starts with these."""
        is_whole = self.span.holds(self._span(folders))
        return not is_whole or self.pattern.decides_below(folders)

    def tells(self, folders: Sequence[str], deeper: Sequence[str]) -> bool:
        """Say whether the deeper of two partitions tells more: a time, or what the pattern asks."""
        is_timed = span_of_folders(folders) != span_of_folders(deeper)
        return is_timed or self.pattern.left(folders) != self.pattern.left(deeper)

    def _span(self, folders: Sequence[str]) -> Span:
        return quarantine_span(folders) if self.is_quarantine else span_of_folders(folders)


def select(
    since: Time, until: Time, partition: str | None, *, is_quarantine: bool, now_s: float
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
    span, pattern = ALWAYS, ANY
    try:
        span = span_between(since, until, now_s)
    except SettingsError as error:
        faults += error.faults
    if partition is not None:
        try:
            pattern = Pattern.parse(partition)
        except ValueError as error:
            faults.append(f"partition: {error}")
    if not faults and span.start_s >= span.end_s:
        faults.append(f"since: {since} is not before until, {until}")
    if faults:
        raise SettingsError(faults)
    return Selection(span, pattern, is_quarantine)
