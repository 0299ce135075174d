"""Catalog: the objects of a selection, found under all salts, in the order of their times.

Salts are the folders under the root that have only 0 and 1 in their names, whatever `fanout` was
when they were written; other folders there are partitions that were written without a salt. Folders
are looked into from the top as long as that can rule objects out, or divide them by days: so an
hour is read without listing a year. Then what lies below is listed, folder by folder.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING

from batcher.concurrency import map_concurrently
from batcher.keys.names import QUARANTINE_FOLDER, root_prefix
from batcher.keys.parse import KeyParseError, is_check_key, is_salt, parse_key
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.reading.times import (
    DAY_S,
    TimeRange,
    folders_time_range,
    object_time_range,
    object_time_s,
)
from batcher.records.chunk import NamingScheme
from batcher.stores.base import CommonPrefix, ListEntry

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.reading.selection import Selection
    from batcher.stores.base import ObjectReader

MAX_EXPLORED_FOLDERS = 100
"""Folders of one level that are looked into although they tell nothing themselves; where there are
more (customers, users), listing everything below takes fewer requests."""


UNDATED_GROUP_OBJECTS = 1_000
"""Objects without a day that are given at once."""


@dataclass(frozen=True, slots=True)
class _KeyPrefix:
    """Keys that start with the same folders."""

    prefix: str
    folders: tuple[str, ...] = ()
    """The partition's folders so far; of quarantine those below `_quarantine`."""

    @property
    def day(self) -> float:
        """The day of all that is below, or -inf where that differs or is not known."""
        start_s = folders_time_range(self.folders).start_s
        return -inf if start_s == -inf else start_s // DAY_S

    def child(self, prefix: str) -> _KeyPrefix:
        """Return a folder in it."""
        return _KeyPrefix(prefix, (*self.folders, prefix.removeprefix(self.prefix).rstrip("/")))


@dataclass(slots=True)
class _FolderListing:
    """What lies directly in one branch."""

    selective: list[_KeyPrefix] = field(default_factory=list)
    """Folders that tell a time, or what the pattern asks for, or are salts."""
    unselective: list[_KeyPrefix] = field(default_factory=list)
    objects: list[ListEntry] = field(default_factory=list)

    @property
    def is_too_wide(self) -> bool:
        """Whether it is cheaper to list all that is below."""
        return (
            len(self.unselective) > MAX_EXPLORED_FOLDERS
            or len(self.objects) > UNDATED_GROUP_OBJECTS
        )


class Catalog:
    """Finds the objects of a selection."""

    def __init__(
        self,
        reader: ObjectReader,
        root: str,
        selection: Selection,
        concurrency: int,
        on_finding: Callable[[Finding], None],
    ) -> None:
        """Look under `root`.

        Args:
            reader: lists.
            root: the fixed start of every key, without a slash at its end.
            selection: what is wanted.
            concurrency: requests at once.
            on_finding: told of each object that batcher has not written, which is left out.
        """
        self._reader = reader
        self._root = root
        self._selection = selection
        self._concurrency = concurrency
        self._on_finding = on_finding
        top = root_prefix(root)
        if selection.quarantine:
            top += f"{QUARANTINE_FOLDER}/"
        self._root_prefix = _KeyPrefix(top)

    async def groups(self, *, ordered: bool) -> AsyncGenerator[list[CatalogEntry], None]:
        """Return the objects in groups, each sorted; those of one stream and partition are in one.

        All objects of a day (UTC) make a group, so the names of one day are held at a time.
        Objects whose place has no day are held all if `is_ordered`, to be sorted in; else they are
        given as they are listed, but for a stream's.

        Args:
            is_ordered: whether a group's objects must not be older than those of one before it.

        Raises:
            BatcherError: objects cannot be listed.
        """
        by_day: dict[float, list[CatalogEntry]] = {}
        branches: dict[float, list[_KeyPrefix]] = {}
        async for found in self._explore(branches):
            by_day.setdefault(found.day, []).append(found)
        undated = branches.pop(-inf, [])
        if ordered:
            for listing in await map_concurrently(self._list_below, undated, self._concurrency):
                for found in listing:
                    by_day.setdefault(found.day, []).append(found)
        else:
            async for chunk in self._list_undated(undated, by_day):
                yield chunk
        for day in sorted({*by_day, *branches}):
            listings = await map_concurrently(
                self._list_below, branches.pop(day, []), self._concurrency
            )
            group = [*by_day.pop(day, []), *(found for listing in listings for found in listing)]
            if group:
                yield sorted(group, key=lambda found: found.sort_key)

    async def _list_undated(
        self, prefixes: Iterable[_KeyPrefix], by_day: dict[float, list[CatalogEntry]]
    ) -> AsyncIterator[list[CatalogEntry]]:
        """Return objects as they are listed; a stream's are put by, for their ranges."""
        chunk: list[CatalogEntry] = []
        for branch in prefixes:
            async for listed in self._reader.list_objects(branch.prefix):
                for found in self._select_entry(listed):
                    if found.parsed_key.naming is NamingScheme.SEQUENCE:
                        by_day.setdefault(found.day, []).append(found)
                    else:
                        chunk.append(found)
                if len(chunk) >= UNDATED_GROUP_OBJECTS:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    async def _list_below(self, prefix: _KeyPrefix) -> list[CatalogEntry]:
        """List all that is below a branch."""
        listing = self._reader.list_objects(prefix.prefix)
        return [found async for listed in listing for found in self._select_entry(listed)]

    async def _explore(
        self, prefixes_by_day: dict[float, list[_KeyPrefix]]
    ) -> AsyncIterator[CatalogEntry]:
        """Look into folders, level by level; fill in what is to be listed, by day.

        What is met on the way is given.
        """
        ahead = [self._root_prefix]
        while ahead:
            levels = await map_concurrently(self._list_folder, ahead, self._concurrency)
            looked_into, ahead = ahead, []
            for branch, level in zip(looked_into, levels, strict=True):
                for child in self._next_prefixes(branch, level):
                    if child is branch or not self._is_explored(child):
                        prefixes_by_day.setdefault(child.day, []).append(child)
                    else:
                        ahead.append(child)
                for listed in level.objects:
                    for found in self._select_entry(listed):
                        yield found

    def _next_prefixes(self, prefix: _KeyPrefix, listing: _FolderListing) -> Iterator[_KeyPrefix]:
        """Return the folders to go on with; or the branch itself, to be listed as a whole."""
        is_all = not listing.selective and not self._selection.can_exclude_below(prefix.folders)
        if listing.is_too_wide or (is_all and listing.unselective):
            listing.objects.clear()  # they are listed once more
            yield prefix
        else:
            yield from listing.selective
            yield from listing.unselective

    def _is_explored(self, prefix: _KeyPrefix) -> bool:
        """Return whether it is worth a request to see what lies directly in a branch."""
        return self._selection.can_exclude_below(prefix.folders) or not prefix.folders

    async def _list_folder(self, prefix: _KeyPrefix) -> _FolderListing:
        """See what lies directly in a branch; what cannot be of the selection is left out."""
        level = _FolderListing()
        is_root = prefix is self._root_prefix and not self._selection.quarantine
        async with aclosing(self._reader.list_folder(prefix.prefix)) as entries:
            async for entry in entries:
                if isinstance(entry, ListEntry):
                    level.objects.append(entry)
                elif is_root and is_salt(entry.prefix.removeprefix(prefix.prefix).rstrip("/")):
                    level.selective.append(_KeyPrefix(entry.prefix))
                elif not (is_root and entry.prefix.startswith(f"{prefix.prefix}_")):
                    self._add_folder(level, prefix, entry)
                if level.is_too_wide:
                    break
        return level

    def _add_folder(
        self, listing: _FolderListing, prefix: _KeyPrefix, folder: CommonPrefix
    ) -> None:
        child = prefix.child(folder.prefix)
        if self._selection.may_include_below(child.folders):
            is_telling = self._selection.is_more_specific(prefix.folders, child.folders)
            (listing.selective if is_telling else listing.unselective).append(child)

    def _select_entry(self, listed: ListEntry) -> list[CatalogEntry]:
        """Return an object if it is of the selection; tell of it if it is none of batcher's."""
        below = listed.key.removeprefix(self._root_prefix.prefix)
        is_ours = below.startswith("_") and not self._selection.quarantine
        is_ours |= is_check_key(listed.key, self._root)
        if is_ours or (listed.key.endswith("/") and not listed.size_bytes):
            return []  # no data; or what consoles make of an empty folder
        try:
            name = parse_key(listed.key, self._root)
        except KeyParseError as error:
            folders = below.split("/")[:-1]
            if folders and is_salt(folders[0]) and not self._selection.quarantine:
                del folders[0]
            if self._selection.may_include_below(folders):
                found = Finding(
                    FindingKind.FOREIGN, sanitize_line(listed.key), sanitize_line(str(error))
                )
                self._on_finding(found)
            return []
        return (
            [CatalogEntry(listed, name, object_time_s(name))]
            if self._selection.includes(name, listed)
            else []
        )


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """An object of the selection; some 600 bytes."""

    list_entry: ListEntry
    parsed_key: ParsedKey
    time_s: float | None
    """What it is sorted by; see `spans.time_of`."""

    @property
    def time_range(self) -> TimeRange:
        """When its records may have arrived."""
        return object_time_range(self.parsed_key, self.list_entry)

    @property
    def day(self) -> float:
        """The day of its time, in days since 1970; before all days where it has none."""
        return -inf if self.time_s is None else self.time_s // DAY_S

    @property
    def sort_key(self) -> tuple[float, str, int, str, str, str]:
        """Where it stands in the order of time: the time, then stream and shard, then number."""
        name = self.parsed_key
        time_s = -inf if self.time_s is None else self.time_s
        file = name.key.rpartition("/")[2]  # of two in one millisecond, the earlier sorts first
        return (time_s, name.stem, name.first or 0, name.partition, file, name.key)


def group_by_first_record(group: Iterable[CatalogEntry]) -> Iterator[list[CatalogEntry]]:
    """Divide sorted objects: those of a stream that begin with the same record stay together."""
    for _, found in groupby(group, key=_first_record_key):
        yield list(found)


def _first_record_key(entry: CatalogEntry) -> tuple[object, ...]:
    name = entry.parsed_key
    is_stream = name.naming is NamingScheme.SEQUENCE
    return (name.stem, name.partition, name.first) if is_stream else (name.key,)
