"""Ranges: which sequence numbers of a shard are in which object, and which of them overlap.

One invocation of a stream writes one object a partition, so two objects of one shard and partition
that overlap hold records twice, perhaps: a checkpoint fell back over batches that were written. The
salt is no part of it. Where shards are read side by side (a parallelization factor over 1, or a
DynamoDB stream, whose names have no shard), ranges overlap without any record being there twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batcher.receipt import LAST
from batcher.run import Naming

if TYPE_CHECKING:
    from batcher.reading.names import Name


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """What one object holds."""

    first: int
    last: int
    """As its metadata says; its first, where nobody has said it."""
    key: str


def range_of(name: Name, metadata: Mapping[str, str]) -> Range | None:
    """Give the range of a stream's object; None for all others."""
    if name.naming is not Naming.SEQUENCE or name.first is None:
        return None
    said = metadata.get(LAST, "")
    last = int(said) if said.isdecimal() else name.first
    return Range(name.first, max(name.first, last), name.key)


@dataclass(slots=True)
class Ranges:
    """All ranges of all shards; some 300 bytes an object are held."""

    _by_shard: dict[tuple[str, str], list[Range]] = field(default_factory=dict)

    def add(self, stem: str, partition: str, found: Range) -> None:
        """Add the range of one object."""
        self._by_shard.setdefault((stem, partition), []).append(found)

    def overlaps(self) -> Iterator[tuple[Range, Range]]:
        """Give each object that starts before an earlier one has ended, with that earlier one."""
        for _, ranges in sorted(self._by_shard.items()):
            furthest: Range | None = None
            for found in sorted(ranges):
                if furthest is not None and found.first <= furthest.last:
                    yield furthest, found
                if furthest is None or found.last > furthest.last:
                    furthest = found
