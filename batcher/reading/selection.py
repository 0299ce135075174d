"""Selection: which objects a user wants, by time and by partition; what need not be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batcher.errors import SettingsError
from batcher.reading.moments import Time, span_between
from batcher.reading.pattern import ANY, Pattern
from batcher.reading.spans import ALWAYS, Span, quarantine_span, span_of, span_of_folders

if TYPE_CHECKING:
    from batcher.reading.names import Name
    from batcher.stores.base import Listed


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
