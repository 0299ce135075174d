"""Overlap: find records of a stream that several objects hold, so that they are read once.

When a checkpoint falls back, a stream delivers records again, in other batches. That can leave an
object whose records are partly or all in other objects. The range of sequence numbers alone proves
nothing: concurrent batches of one shard (a parallelization factor above 1, shards of a DynamoDB
stream) have overlapping ranges as well, with different records. So objects with overlapping ranges
are compared:

- Objects with a positions list by their positions. A record belongs to the object that begins
  first. In any other object its line is left out: line `i` is the record of position `i`.
- Objects without a list by their text. An object is left out if its text is in that of another
  one, as consecutive whole lines. The same records always make the same text.

The metadata of an open object has the end of its range, so finding an overlap costs no request.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from batcher.errors import BatcherError
from batcher.reading.comparison import (
    confirm_by_lines,
    is_whole,
    positions_in_metadata,
    read_positions,
    text_difference,
)
from batcher.reading.duplicates import MAX_HELD_POSITIONS, DuplicateFinder
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.records.chunk import NamingScheme
from batcher.writing.object import (
    METADATA_DIGEST,
    METADATA_LAST,
    METADATA_POSITIONS,
    METADATA_RECORDS,
    is_guard,
)

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.reading.duplicates import SharedPositions
    from batcher.reading.stream import ReopenPolicy
    from batcher.stores.base import ObjectReader

_BOTH_KEPT = "both are read"

_LIST_FIELDS = (METADATA_POSITIONS, METADATA_DIGEST)


class OverlapTracker:
    """Finds duplicates in streams. Register objects in the order of their first record."""

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
        self._shards: dict[tuple[str, str], _ShardObjects] = {}
        self._with_finder: list[_ShardObjects] = []
        self._comparison_lock = asyncio.Lock()  # bounds memory

    def reset(self) -> None:
        """Start a new group. Its objects share no partition with those before it."""
        self._shards.clear()

    def register(self, parsed_key: ParsedKey) -> OverlapCheck:
        """Return the check of a stream's object, which the caller must `finish` in any case.

        Before that it calls `must_compare`, and `compare` if that returns True.
        """
        shard = self._shards.setdefault((parsed_key.stem, parsed_key.partition), _ShardObjects())
        done = asyncio.get_running_loop().create_future()
        check = OverlapCheck(parsed_key, shard, shard.latest_done, done)
        shard.latest_done = done
        return check

    async def must_compare(self, check: OverlapCheck, metadata: Mapping[str, str] | None) -> bool:
        """Return whether the object overlaps one before it.

        Waits until the checks that were registered before it, for the same shard and partition,
        are done.

        Args:
            check: the check of this object.
            metadata: the object's metadata, or None if it could not be opened.
        """
        if check.turn is not None:
            await asyncio.shield(check.turn)
        own = None if metadata is None else read_sequence_range(check.parsed_key, metadata)
        if own is not None:
            check.shard.drop_before(own.first)
            if check.shard.earlier:
                return True
            check.shard.earlier.append(_Earlier(own, _listed(metadata or {})))
        check.finish()
        return False

    async def compare(self, check: OverlapCheck, metadata: Mapping[str, str]) -> LeftOut:
        """Return what of the object is in earlier ones, and report it."""
        own = read_sequence_range(check.parsed_key, metadata)
        assert own is not None  # noqa: S101  # `must_compare` found an overlap
        async with self._comparison_lock:
            current = _Earlier(own, _listed(metadata))
            left_out = await self._compare(check, current, metadata.get(METADATA_RECORDS, ""))
        check.finish()
        return left_out

    async def _compare(self, check: OverlapCheck, current: _Earlier, records: str) -> LeftOut:
        left_out = await self._compare_positions(check, current, records)
        if not left_out.is_whole:
            left_out = await self._compare_text(check, current) or left_out
        if not left_out.is_whole:
            check.shard.earlier.append(current)
        return left_out

    async def _compare_positions(
        self, check: OverlapCheck, current: _Earlier, records: str
    ) -> LeftOut:
        finder = self._prepare_finder(check.shard)
        for earlier in check.shard.earlier:
            if earlier.has_positions is None:
                await self._add_positions(finder, earlier)
        positions, shared = await self._add_positions(finder, current)
        own = current.range
        if shared and own.has_shard:
            shared = await self._keep_readable(check.shard, own, shared)
        elif shared:
            try:
                shared = await confirm_by_lines(
                    self._reader, self._reopen_policy, own.key, positions, shared
                )
            except BatcherError:
                shared = {}  # reading its lines raises it again
        if not shared:
            return _NOTHING
        holders = ", ".join(Counter(keys[0] for keys in shared.values()))
        if len(shared) == len(positions):
            self._report(FindingKind.COVERED, own, f"all of its records are in {holders}; left out")
            return LeftOut(is_whole=True)
        if records != str(len(positions)):
            lines = "its lines, whose number is unknown"
            if records:
                lines = f"{records} line{'s' * (records != '1')}"
            detail = (
                f"its {len(positions):,} positions cannot be matched with {lines}; {_BOTH_KEPT}, "
                f"and {len(shared):,} of its records are in {holders}, too"
            )
            self._report(FindingKind.OVERLAP, own, detail)
            return _NOTHING
        detail = f"{len(shared):,} of its records are left out: they are in {holders}"
        self._report(FindingKind.DUPLICATE, own, detail)
        return LeftOut(lines=frozenset(shared), records=len(positions))

    async def _keep_readable(
        self, shard: _ShardObjects, own: SequenceRange, shared: SharedPositions
    ) -> SharedPositions:
        """Keep the positions that an object has which can be read to its end."""
        whole = shard.whole
        for key in dict.fromkeys(key for keys in shared.values() for key in keys):
            if key not in whole:
                whole[key] = await is_whole(self._reader, self._reopen_policy, key)
        kept = {index: tuple(filter(whole.get, keys)) for index, keys in shared.items()}
        missing = Counter(shared[index][0] for index, keys in kept.items() if not keys)
        for key, count in missing.items():
            detail = f"{count:,} of its records should be in {key}, which is damaged; {_BOTH_KEPT}"
            self._report(FindingKind.OVERLAP, own, detail)
        return {index: keys for index, keys in kept.items() if keys}

    def _prepare_finder(self, shard: _ShardObjects) -> DuplicateFinder:
        """Return the finder of a shard. The others are dropped if they hold much."""
        others = [other for other in self._with_finder if other is not shard]
        if sum(len(other.finder) for other in others) > MAX_HELD_POSITIONS // 10:
            for other in others:
                other.forget_positions()
            others.clear()
        self._with_finder = [*others, shard]
        return shard.finder

    async def _add_positions(
        self, finder: DuplicateFinder, added: _Earlier
    ) -> tuple[list[str], SharedPositions]:
        """Read the list of an object and add it. Return it with what earlier objects have of it."""
        key = added.range.key
        if added.listed:
            positions = positions_in_metadata(added.listed)
        else:
            positions = await read_positions(self._reader, key)
        shared = None if positions is None else finder.add(key, positions)
        added.has_positions = shared is not None
        return (positions or [], shared) if shared is not None else ([], {})

    async def _compare_text(self, check: OverlapCheck, current: _Earlier) -> LeftOut | None:
        """Compare with the furthest object that cannot be compared by positions, if any."""
        others = [
            earlier.range
            for earlier in check.shard.earlier
            if not (current.has_positions and earlier.has_positions)
        ]
        if not others:
            return None
        own = current.range
        outer = max(others, key=lambda other: other.last)
        consequence = _BOTH_KEPT
        if own.last <= outer.last:
            difference = await text_difference(
                self._reader, self._reopen_policy, own.key, outer.key
            )
            if not difference:
                detail = f"all of its records are in {outer.key}; left out"
                self._report(FindingKind.COVERED, own, detail)
                return LeftOut(is_whole=True)
            consequence = f"{difference}; {_BOTH_KEPT}"
        if own.has_shard:
            detail = (
                f"{own.first} to {own.last} overlaps {outer.first} to {outer.last} "
                f"of {outer.key}; {consequence}"
            )
            self._report(FindingKind.OVERLAP, own, detail)
        return None

    def _report(self, kind: FindingKind, own: SequenceRange, detail: str) -> None:
        self._on_finding(Finding(kind, sanitize_line(own.key), sanitize_line(detail)))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What of an object is not read, because earlier objects have it."""

    is_whole: bool = False
    """Whether the whole object is left out."""
    lines: frozenset[int] = frozenset()
    """The indexes of the lines that are left out otherwise."""
    records: int = 0
    """The number of lines that the object must have, if some are left out."""


_NOTHING = LeftOut()


@dataclass(slots=True, eq=False)
class OverlapCheck:
    """The check of one object. Checks of one stream, shard and partition form a chain."""

    parsed_key: ParsedKey
    shard: _ShardObjects
    turn: asyncio.Future[None] | None
    """Done when the check before it is."""
    done: asyncio.Future[None]

    def finish(self) -> None:
        """Let the check after it begin, if it has not begun yet."""
        if not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True, eq=False)
class _ShardObjects:
    """The objects of one shard and partition that later ones can overlap."""

    latest_done: asyncio.Future[None] | None = None
    earlier: list[_Earlier] = field(default_factory=list)
    finder: DuplicateFinder = field(default_factory=DuplicateFinder)
    """Has the positions of `earlier`, as far as they were needed."""

    whole: dict[str, bool] = field(default_factory=dict)
    """Whether objects that have shared positions can be read to their end, by their keys."""

    def drop_before(self, first: int) -> None:
        """Forget the objects that end before this number."""
        self.earlier = [each for each in self.earlier if each.range.last >= first]
        if not self.earlier:
            self.finder = DuplicateFinder()
            self.whole.clear()

    def forget_positions(self) -> None:
        """Drop the positions. They are read again when they are needed."""
        self.finder = DuplicateFinder()
        for each in self.earlier:
            each.has_positions = None


@dataclass(slots=True, eq=False)
class _Earlier:
    """An object that was registered before."""

    range: SequenceRange
    listed: Mapping[str, str]
    """Its positions list and digest, if the metadata has them: at most 700 bytes."""
    has_positions: bool | None = None
    """Whether the finder has its positions. None: they were not read yet. False: they cannot be."""


def _listed(metadata: Mapping[str, str]) -> Mapping[str, str]:
    if METADATA_POSITIONS not in metadata:
        return {}
    return {name: metadata[name] for name in _LIST_FIELDS if name in metadata}


@dataclass(frozen=True, slots=True, order=True)
class SequenceRange:
    """The sequence numbers of one object of a stream."""

    first: int
    last: int
    """The number in its metadata, or `first` if the metadata does not have it."""
    key: str
    has_positions: bool = False
    """Whether its positions list was read, and is right."""
    has_shard: bool = True
    """Whether its name has the shard. Without it, ranges of different shards overlap normally."""


def read_sequence_range(parsed_key: ParsedKey, metadata: Mapping[str, str]) -> SequenceRange | None:
    """Return the range of a stream's object with records, or None for any other object."""
    if parsed_key.naming is not NamingScheme.SEQUENCE or parsed_key.first is None:
        return None
    if is_guard(metadata):
        return None
    last_text = metadata.get(METADATA_LAST, "")
    last = int(last_text) if last_text.isdecimal() else parsed_key.first
    return SequenceRange(
        parsed_key.first,
        max(parsed_key.first, last),
        parsed_key.key,
        has_shard=parsed_key.has_shard,
    )


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
