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
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.reading.stream import ReopenPolicy, ResumableBody
from batcher.records.chunk import NamingScheme
from batcher.writing.object import METADATA_LAST

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.stores.base import ObjectReader

MAX_COMPARED_BYTES = 32 * 1024**2
"""Of text; longer objects are not compared. An event has 6 MB."""


@dataclass(slots=True, eq=False)
class OverlapCheck:
    """An object's place in the row of those that share its stream, shard and partition."""

    parsed_key: ParsedKey
    furthest_before: asyncio.Future[SequenceRange | None] | None
    """What reaches furthest of those that begin before it."""
    furthest_after: asyncio.Future[SequenceRange | None]
    """The same for the next one; set once this one is open, or cannot be opened."""


class OverlapTracker:
    """Finds the covered objects of a stream; objects must be started in order of first position."""

    def __init__(
        self,
        reader: ObjectReader,
        reopen_policy: ReopenPolicy,
        on_finding: Callable[[Finding], None],
    ) -> None:
        """Compare what `reader` gives, and tell of all overlaps."""
        self._reader = reader
        self._reopen_policy = reopen_policy
        self._on_finding = on_finding
        self._latest_checks: dict[tuple[str, str], asyncio.Future[SequenceRange | None]] = {}
        self._comparison_lock = asyncio.Lock()  # two texts are held at a time

    def reset(self) -> None:
        """Begin a new group: its objects share no partition with those before it."""
        self._latest_checks.clear()

    def register(self, parsed_key: ParsedKey) -> OverlapCheck:
        """Return a stream's object its turn; `settle` it, whatever happens."""
        row = (parsed_key.stem, parsed_key.partition)
        after = asyncio.get_running_loop().create_future()
        turn = OverlapCheck(parsed_key, self._latest_checks.get(row), after)
        self._latest_checks[row] = after
        return turn

    async def resolve(
        self, overlap_check: OverlapCheck, metadata: Mapping[str, str] | None
    ) -> SequenceRange | None:
        """Take an object's metadata, or None where there is none to be had.

        Gives the range of an object that this one lies within. Those that begin before it must
        have been settled, or be about to; nothing else is waited for.
        """
        furthest = (
            None
            if overlap_check.furthest_before is None
            else await asyncio.shield(overlap_check.furthest_before)
        )
        found = (
            None if metadata is None else read_sequence_range(overlap_check.parsed_key, metadata)
        )
        if found is None or furthest is None:
            overlap_check.furthest_after.set_result(found or furthest)
            return None
        is_within = found.last <= furthest.last
        overlap_check.furthest_after.set_result(furthest if is_within else found)
        if is_within:
            return furthest
        if found.first <= furthest.last:
            self._report_overlap(overlap_check.parsed_key, found, furthest, "both are given")
        return None

    async def is_covered(
        self, parsed_key: ParsedKey, outer: SequenceRange, metadata: Mapping[str, str]
    ) -> bool:
        """Compare the text of an object with that of one which it lies within."""
        found = read_sequence_range(parsed_key, metadata)
        assert found is not None  # noqa: S101  # or it would lie within nothing
        async with self._comparison_lock:
            why = await self._not_covered_reason(parsed_key.key, outer.key)
        if why:
            self._report_overlap(parsed_key, found, outer, f"{why}: both are given")
        else:
            detail = f"its records are all in {outer.key}: left out"
            self._on_finding(
                Finding(FindingKind.COVERED, sanitize_line(parsed_key.key), sanitize_line(detail))
            )
        return not why

    async def _not_covered_reason(self, key: str, outer_key: str) -> str:
        try:
            inner = await self._read_text(key)
            outer = None if inner is None else await self._read_text(outer_key)
        except BatcherError as error:
            return f"they cannot be compared ({error})"
        if inner is None or outer is None:
            return f"they cannot be compared (more than {MAX_COMPARED_BYTES} bytes)"
        return (
            ""
            if await asyncio.to_thread(_contains_lines, outer, inner)
            else "its records are others"
        )

    async def _read_text(self, key: str) -> bytes | None:
        blocks: list[bytes] = []
        size_bytes = 0
        async with (
            ResumableBody(self._reader, key, self._reopen_policy) as body,
            aclosing(body.blocks()) as texts,
        ):
            async for block in texts:
                blocks.append(block)
                size_bytes += len(block)
                if size_bytes > MAX_COMPARED_BYTES:
                    return None
        return b"".join(blocks)

    def _report_overlap(
        self,
        parsed_key: ParsedKey,
        own_range: SequenceRange,
        other_range: SequenceRange,
        consequence: str,
    ) -> None:
        if parsed_key.has_shard:  # else ranges overlap by themselves
            detail = (
                f"{own_range.first} to {own_range.last} overlaps "
                f"{other_range.first} to {other_range.last} "
                f"of {other_range.key}; {consequence}"
            )
            self._on_finding(
                Finding(FindingKind.OVERLAP, sanitize_line(parsed_key.key), sanitize_line(detail))
            )


def _contains_lines(outer: bytes, inner: bytes) -> bool:
    """Return whether a text is a row of whole lines in another one."""
    return inner.endswith(b"\n") and (outer.startswith(inner) or b"\n" + inner in outer)


@dataclass(frozen=True, slots=True, order=True)
class SequenceRange:
    """What one object holds."""

    first: int
    last: int
    """As its metadata says; its first, where nobody has said it."""
    key: str


def read_sequence_range(parsed_key: ParsedKey, metadata: Mapping[str, str]) -> SequenceRange | None:
    """Return the range of a stream's object; None for all others."""
    if parsed_key.naming is not NamingScheme.SEQUENCE or parsed_key.first is None:
        return None
    said = metadata.get(METADATA_LAST, "")
    last = int(said) if said.isdecimal() else parsed_key.first
    return SequenceRange(parsed_key.first, max(parsed_key.first, last), parsed_key.key)


@dataclass(slots=True)
class ShardRanges:
    """All ranges of all shards; some 300 bytes an object are held."""

    _by_shard: dict[tuple[str, str], list[SequenceRange]] = field(default_factory=dict)

    def add(self, stem: str, partition: str, sequence_range: SequenceRange) -> None:
        """Add the range of one object."""
        self._by_shard.setdefault((stem, partition), []).append(sequence_range)

    def overlaps(self) -> Iterator[tuple[SequenceRange, SequenceRange]]:
        """Return each object that starts before an earlier one has ended, with that earlier one."""
        for _, ranges in sorted(self._by_shard.items()):
            furthest: SequenceRange | None = None
            for found in sorted(ranges):
                if furthest is not None and found.first <= furthest.last:
                    yield furthest, found
                if furthest is None or found.last > furthest.last:
                    furthest = found
