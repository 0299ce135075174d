"""Overlap: find objects of a stream whose records are all in another object.

When a checkpoint falls back, a stream delivers records again, in other batches. That leaves an
object whose sequence range is within the range of another. The range alone proves nothing, though:
concurrent batches of one shard (a parallelization factor above 1, shards of a DynamoDB stream) have
such ranges as well, with different records. Where both objects have a positions list, these decide.
Without them, an object is covered only if its text is in the text of the other one, as consecutive
whole lines. The same records always make the same text.

The metadata of an open object has the end of its range, so finding it costs no extra request.
Comparing costs one GET for each of the two objects, and happens only if one range is within the
other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from batcher.errors import BatcherError
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.reading.stored_positions import PositionsCollector
from batcher.reading.stream import ReopenPolicy, ResumableBody
from batcher.records.chunk import NamingScheme
from batcher.records.positions import PositionsError, decode_positions
from batcher.writing.object import METADATA_LAST, METADATA_POSITIONS, is_guard

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.stores.base import ObjectReader

MAX_COMPARED_BYTES = 32 * 1024**2
"""Objects with more text are not compared. An event has at most 6 MB."""


_BOTH_KEPT = "both are read"


class OverlapTracker:
    """Finds the covered objects of streams. Register objects in the order of their first record."""

    def __init__(
        self,
        reader: ObjectReader,
        reopen_policy: ReopenPolicy,
        on_finding: Callable[[Finding], None],
    ) -> None:
        """Read through `reader`, and report all overlaps to `on_finding`."""
        self._reader = reader
        self._reopen_policy = reopen_policy
        self._on_finding = on_finding
        self._latest_checks: dict[tuple[str, str], asyncio.Future[SequenceRange | None]] = {}
        self._comparison_lock = asyncio.Lock()  # bounds memory: two texts at a time

    def reset(self) -> None:
        """Start a new group. Its objects share no partition with those before it."""
        self._latest_checks.clear()

    def register(self, parsed_key: ParsedKey) -> OverlapCheck:
        """Return the check of a stream's object. The caller must `resolve` it in any case."""
        sequence = (parsed_key.stem, parsed_key.partition)
        furthest_after = asyncio.get_running_loop().create_future()
        check = OverlapCheck(parsed_key, self._latest_checks.get(sequence), furthest_after)
        self._latest_checks[sequence] = furthest_after
        return check

    async def resolve(
        self, overlap_check: OverlapCheck, metadata: Mapping[str, str] | None
    ) -> SequenceRange | None:
        """Return the range of an object that contains this one's range, or None.

        Waits until the checks that were registered before it, for the same shard and partition,
        are resolved.

        Args:
            overlap_check: the check of this object.
            metadata: the object's metadata, or None if it could not be opened.
        """
        furthest = (
            None
            if overlap_check.furthest_before is None
            else await asyncio.shield(overlap_check.furthest_before)
        )
        own_range = (
            None if metadata is None else read_sequence_range(overlap_check.parsed_key, metadata)
        )
        if own_range is None or furthest is None:
            overlap_check.furthest_after.set_result(own_range or furthest)
            return None
        is_within = own_range.last <= furthest.last
        overlap_check.furthest_after.set_result(furthest if is_within else own_range)
        if is_within:
            return furthest
        if own_range.first <= furthest.last:
            self._report_overlap(overlap_check.parsed_key, own_range, furthest, _BOTH_KEPT)
        return None

    async def is_covered(
        self, parsed_key: ParsedKey, outer: SequenceRange, metadata: Mapping[str, str]
    ) -> bool:
        """Return whether the text of an object is in the text of `outer`. Report the result."""
        own_range = read_sequence_range(parsed_key, metadata)
        assert own_range is not None  # noqa: S101  # `resolve` found it within `outer`
        async with self._comparison_lock:
            shared = await self._count_shared(parsed_key.key, outer.key)
            reason = ""
            if shared is None:
                reason = await self._not_covered_reason(parsed_key.key, outer.key)
        if shared is not None and not shared.are_all:
            if shared.records:
                detail = f"{shared.records:,} of its records are in {outer.key}; {_BOTH_KEPT}"
                self._add_finding(FindingKind.DUPLICATE, parsed_key, detail)
            return False
        if reason:
            self._report_overlap(parsed_key, own_range, outer, f"{reason}; {_BOTH_KEPT}")
        else:
            detail = f"all of its records are in {outer.key}; left out"
            self._add_finding(FindingKind.COVERED, parsed_key, detail)
        return not reason

    async def _count_shared(self, key: str, outer_key: str) -> SharedPositions | None:
        """Compare the positions of two objects. Return None if one of them has no list."""
        inner = await read_positions(self._reader, key)
        outer = None if inner is None else await read_positions(self._reader, outer_key)
        if inner is None or outer is None:
            return None
        records = len(frozenset(inner).intersection(outer))
        return SharedPositions(records, are_all=records == len(inner))

    async def _not_covered_reason(self, key: str, outer_key: str) -> str:
        """Compare two objects. Return an empty string if the first is covered."""
        try:
            inner = await self._read_text(key)
            outer = None if inner is None else await self._read_text(outer_key)
        except BatcherError as error:
            return f"they cannot be compared ({error})"
        if inner is None or outer is None:
            return f"they cannot be compared (more than {MAX_COMPARED_BYTES} bytes)"
        is_inside = await asyncio.to_thread(_contains_lines, outer, inner)
        return "" if is_inside else "its records differ"

    async def _read_text(self, key: str) -> bytes | None:
        """Return the text of an object, or None if it is too long to compare."""
        blocks: list[bytes] = []
        size_bytes = 0
        async with (
            ResumableBody(self._reader, key, self._reopen_policy) as body,
            aclosing(body.blocks()) as stream,
        ):
            async for block in stream:
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
        if parsed_key.has_shard:  # without shards, ranges overlap normally
            detail = (
                f"{own_range.first} to {own_range.last} overlaps "
                f"{other_range.first} to {other_range.last} "
                f"of {other_range.key}; {consequence}"
            )
            self._add_finding(FindingKind.OVERLAP, parsed_key, detail)

    def _add_finding(self, kind: FindingKind, parsed_key: ParsedKey, detail: str) -> None:
        self._on_finding(Finding(kind, sanitize_line(parsed_key.key), sanitize_line(detail)))


async def read_positions(reader: ObjectReader, key: str) -> list[str] | None:
    """Return the positions of an object by its list, or None if it has none that can be read."""
    collector = PositionsCollector(key)
    with suppress(BatcherError, PositionsError):
        async with reader.open_object(key) as opened:
            if METADATA_POSITIONS not in opened.info.metadata:
                async for piece in opened.pieces:
                    collector.add(piece)
                    if collector.is_complete:
                        break
            positions_list = collector.positions_list(opened.info.metadata)
        return None if positions_list is None else decode_positions(positions_list)
    return None


@dataclass(frozen=True, slots=True)
class SharedPositions:
    """How many records of one object are in another one."""

    records: int
    are_all: bool
    """Whether it has no others."""


def _contains_lines(outer: bytes, inner: bytes) -> bool:
    """Return whether `inner` is in `outer` as consecutive whole lines."""
    return inner.endswith(b"\n") and (outer.startswith(inner) or b"\n" + inner in outer)


@dataclass(slots=True, eq=False)
class OverlapCheck:
    """The check of one object. Checks of one stream, shard and partition form a chain."""

    parsed_key: ParsedKey
    furthest_before: asyncio.Future[SequenceRange | None] | None
    """The range with the highest end, of the objects registered before this one."""
    furthest_after: asyncio.Future[SequenceRange | None]
    """The same including this object. Set when it was opened, or could not be."""


@dataclass(frozen=True, slots=True, order=True)
class SequenceRange:
    """The sequence numbers of one object of a stream."""

    first: int
    last: int
    """The number in its metadata, or `first` if the metadata does not have it."""
    key: str
    has_positions: bool = False
    """Whether its positions list was read, and is right."""


def read_sequence_range(parsed_key: ParsedKey, metadata: Mapping[str, str]) -> SequenceRange | None:
    """Return the range of a stream's object with records, or None for any other object."""
    if parsed_key.naming is not NamingScheme.SEQUENCE or parsed_key.first is None:
        return None
    if is_guard(metadata):
        return None
    last_text = metadata.get(METADATA_LAST, "")
    last = int(last_text) if last_text.isdecimal() else parsed_key.first
    return SequenceRange(parsed_key.first, max(parsed_key.first, last), parsed_key.key)


@dataclass(slots=True)
class ShardRanges:
    """The ranges of all shards. Takes about 300 bytes of memory per object."""

    _by_shard: dict[tuple[str, str], list[SequenceRange]] = field(default_factory=dict)

    def add(self, stem: str, partition: str, sequence_range: SequenceRange) -> None:
        """Add the range of one object."""
        self._by_shard.setdefault((stem, partition), []).append(sequence_range)

    def __iter__(self) -> Iterator[SequenceRange]:
        """Yield all ranges."""
        return chain.from_iterable(self._by_shard.values())

    def overlaps(self) -> Iterator[tuple[SequenceRange, SequenceRange]]:
        """Yield each pair of the range with the highest end so far, and one that starts in it."""
        for furthest, *others in self.clusters():
            for current in others:
                yield furthest, current
                if current.last > furthest.last:
                    furthest = current  # noqa: PLW2901  # of this cluster

    def clusters(self) -> Iterator[list[SequenceRange]]:
        """Yield each longest run of ranges, by their start, of which each overlaps an earlier one.

        So ranges of different clusters do not overlap. A range that overlaps no other is left out.
        """
        for _, ranges in sorted(self._by_shard.items()):
            cluster: list[SequenceRange] = []
            last = -1
            for current in sorted(ranges):
                if cluster and current.first > last:
                    if len(cluster) > 1:
                        yield cluster
                    cluster = []
                last = max(last, current.last) if cluster else current.last
                cluster.append(current)
            if len(cluster) > 1:
                yield cluster
