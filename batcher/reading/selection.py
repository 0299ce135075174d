"""Selection: which objects a user wants, by time and by partition; what need not be looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

from batcher.errors import SettingsError
from batcher.reading.pattern import ANY, Pattern
from batcher.reading.spans import ALWAYS, Span, quarantine_span, span_of, span_of_folders
from batcher.replay.lines import parse_time

if TYPE_CHECKING:
    from batcher.reading.names import Name
    from batcher.stores.base import Listed

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


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


Time = str | datetime | None
"""A moment, as a user gives it: see `select`."""


def select(
    since: Time, until: Time, partition: str | None, *, is_quarantine: bool, now_s: float
) -> Selection:
    """Read what a user asks for.

    Args:
        since: records that arrived then or later: a date-time or date (its start) of ISO 8601, in
            UTC where it names no zone, or how long ago: `30s`, `15m`, `2h`, `3d`, `1w`.
        until: records that arrived before.
        partition: see `Pattern`.
        is_quarantine: whether to look there instead.
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
    pattern = ANY
    if partition is not None:
        try:
            pattern = Pattern.parse(partition)
        except ValueError as error:
            faults.append(f"partition: {error}")
    if not faults and bounds["since"] >= bounds["until"]:
        faults.append(f"since: {since} is not before until, {until}")
    if faults:
        raise SettingsError(faults)
    return Selection(Span(bounds["since"], bounds["until"]), pattern, is_quarantine)


def _seconds(value: str | datetime, now_s: float) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if ago := _AGO.fullmatch(value.strip()):
        return now_s - float(ago[1]) * _UNITS_S[ago[2]]
    return parse_time(value.strip())
