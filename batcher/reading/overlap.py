"""Covering: whether a stream's object has nothing that another one does not give.

A checkpoint that fell back leaves an object within the range of another. Its range alone proves
nothing, though: batches that are taken side by side (a parallelization factor over 1, shards of a
DynamoDB stream) lie within each other as well, with records of their own. So an object is covered
only if its text stands in the other's, as a row of whole lines; the same records make the same.

The range is known once an object is open, for its end stands in its metadata. It costs no request
of its own then; comparing texts costs a GET of either object, where one lies within the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batcher.errors import BatcherError
from batcher.reading.findings import Finding, Kind
from batcher.reading.sanitize import printable
from batcher.reading.stream import Reopening, Steady
from batcher.records.chunk import Naming
from batcher.writing.object import LAST

if TYPE_CHECKING:
    from batcher.keys.parse import Name
    from batcher.stores.base import ObjectReader

MAX_COMPARED_BYTES = 32 * 1024**2
"""Of text; longer objects are not compared. An event has 6 MB."""


@dataclass(slots=True, eq=False)
class Turn:
    """An object's place in the row of those that share its stream, shard and partition."""

    name: Name
    before: asyncio.Future[Range | None] | None
    """What reaches furthest of those that begin before it."""
    after: asyncio.Future[Range | None]
    """The same for the next one; set once this one is open, or cannot be opened."""


class Covering:
    """Tells which of a stream's objects are covered; they must be begun in order of their first."""

    def __init__(
        self, reader: ObjectReader, reopening: Reopening, on_finding: Callable[[Finding], None]
    ) -> None:
        """Compare what `reader` gives, and tell of all overlaps."""
        self._reader = reader
        self._reopening = reopening
        self._on_finding = on_finding
        self._rows: dict[tuple[str, str], asyncio.Future[Range | None]] = {}
        self._comparing = asyncio.Lock()  # two texts are held at a time

    def forget(self) -> None:
        """Begin a new group: its objects share no partition with those before it."""
        self._rows.clear()

    def begin(self, name: Name) -> Turn:
        """Give a stream's object its turn; `settle` it, whatever happens."""
        row = (name.stem, name.partition)
        after = asyncio.get_running_loop().create_future()
        turn = Turn(name, self._rows.get(row), after)
        self._rows[row] = after
        return turn

    async def settle(self, turn: Turn, metadata: Mapping[str, str] | None) -> Range | None:
        """Take an object's metadata, or None where there is none to be had.

        Gives the range of an object that this one lies within. Those that begin before it must
        have been settled, or be about to; nothing else is waited for.
        """
        furthest = None if turn.before is None else await asyncio.shield(turn.before)
        found = None if metadata is None else range_of(turn.name, metadata)
        if found is None or furthest is None:
            turn.after.set_result(found or furthest)
            return None
        is_within = found.last <= furthest.last
        turn.after.set_result(furthest if is_within else found)
        if is_within:
            return furthest
        if found.first <= furthest.last:
            self._tell_overlap(turn.name, found, furthest, "both are given")
        return None

    async def is_covered(self, name: Name, outer: Range, metadata: Mapping[str, str]) -> bool:
        """Compare the text of an object with that of one which it lies within."""
        found = range_of(name, metadata)
        assert found is not None  # noqa: S101  # or it would lie within nothing
        async with self._comparing:
            why = await self._why_not(name.key, outer.key)
        if why:
            self._tell_overlap(name, found, outer, f"{why}: both are given")
        else:
            detail = f"its records are all in {outer.key}: left out"
            self._on_finding(Finding(Kind.COVERED, printable(name.key), printable(detail)))
        return not why

    async def _why_not(self, key: str, outer_key: str) -> str:
        try:
            inner = await self._text_of(key)
            outer = None if inner is None else await self._text_of(outer_key)
        except BatcherError as error:
            return f"they cannot be compared ({error})"
        if inner is None or outer is None:
            return f"they cannot be compared (more than {MAX_COMPARED_BYTES} bytes)"
        return "" if await asyncio.to_thread(_holds, outer, inner) else "its records are others"

    async def _text_of(self, key: str) -> bytes | None:
        blocks: list[bytes] = []
        size_bytes = 0
        async with (
            Steady(self._reader, key, self._reopening) as body,
            aclosing(body.blocks()) as texts,
        ):
            async for block in texts:
                blocks.append(block)
                size_bytes += len(block)
                if size_bytes > MAX_COMPARED_BYTES:
                    return None
        return b"".join(blocks)

    def _tell_overlap(self, name: Name, found: Range, other: Range, then: str) -> None:
        if name.has_shard:  # else ranges overlap by themselves
            detail = (
                f"{found.first} to {found.last} overlaps {other.first} to {other.last} "
                f"of {other.key}; {then}"
            )
            self._on_finding(Finding(Kind.OVERLAP, printable(name.key), printable(detail)))


def _holds(outer: bytes, inner: bytes) -> bool:
    """Say whether a text is a row of whole lines in another one."""
    return inner.endswith(b"\n") and (outer.startswith(inner) or b"\n" + inner in outer)


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
