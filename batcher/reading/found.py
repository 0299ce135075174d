"""Found: an object of a selection, and where it stands in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING

from batcher.reading.spans import DAY_S, Span, span_of
from batcher.run import Naming

if TYPE_CHECKING:
    from batcher.reading.names import Name
    from batcher.stores.base import Listed


@dataclass(frozen=True, slots=True)
class Found:
    """An object of the selection; some 600 bytes."""

    listed: Listed
    name: Name
    time_s: float | None
    """What it is sorted by; see `spans.time_of`."""

    @property
    def span(self) -> Span:
        """When its records may have arrived."""
        return span_of(self.name, self.listed)

    @property
    def day(self) -> float:
        """The day of its time, in days since 1970; before all days where it has none."""
        return -inf if self.time_s is None else self.time_s // DAY_S

    @property
    def place(self) -> tuple[float, str, int, str, str, str]:
        """Where it stands in the order of time: the time, then stream and shard, then number."""
        name = self.name
        time_s = -inf if self.time_s is None else self.time_s
        file = name.key.rpartition("/")[2]  # of two in one millisecond, the earlier sorts first
        return (time_s, name.stem, name.first or 0, name.partition, file, name.key)


def twins(group: Iterable[Found]) -> Iterator[list[Found]]:
    """Divide sorted objects: those of a stream that begin with the same record stay together."""
    for _, found in groupby(group, key=_beginning):
        yield list(found)


def _beginning(found: Found) -> tuple[object, ...]:
    name = found.name
    is_stream = name.naming is Naming.SEQUENCE
    return (name.stem, name.partition, name.first) if is_stream else (name.key,)
