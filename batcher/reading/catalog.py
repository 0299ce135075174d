"""Catalog: the objects of a selection, listed under all salts, sorted by time.

Salts are the folders under the root whose names consist of 0 and 1, whatever `fanout` the writers
had. Other folders under the root are partitions that were written without a salt.

Folders are explored from the top, as long as the next level can exclude objects or divide them by
day. Reading one hour therefore does not list a year. Below that, each folder is listed as a whole.
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
"""Folders of one level that are explored although their names exclude nothing. If there are more
(customers, users), listing everything below takes fewer requests."""

MAX_PASSED_OVER = 3
"""Excluded partitions that are named if nothing was found."""

UNDATED_GROUP_OBJECTS = 1_000
"""Objects without a day per group."""


class Catalog:
    """Lists the objects of a selection."""

    def __init__(
        self,
        reader: ObjectReader,
        root: str,
        selection: Selection,
        concurrency: int,
        on_finding: Callable[[Finding], None],
    ) -> None:
        """List what is under `root`.

        Args:
            reader: sends the list requests.
            root: the common prefix of all keys, without a slash at its end.
            selection: the objects to list.
            concurrency: the maximum of concurrent requests.
            on_finding: called for each object that batcher has not written, and for what cannot be
                opened, such as a FIFO on disk. It is left out.
        """
        self._reader = reader
        self._root = root
        self._selection = selection
        self._concurrency = concurrency
        self._on_finding = on_finding
        self.passed_over: dict[str, None] = {}
        """A few partitions that the selection excludes, in the order in which they were found."""
        top = root_prefix(root)
        if selection.quarantine:
            top += f"{QUARANTINE_FOLDER}/"
        self._root_prefix = _KeyPrefix(top)

    async def groups(self, *, ordered: bool) -> AsyncGenerator[list[CatalogEntry], None]:
        """Yield the objects in sorted groups. A stream's objects of one partition share a group.

        All objects of a day (UTC) make a group, so the keys of one day are in memory at a time.
        Objects whose partition has no day are all kept in memory if `ordered`, to sort them into
        the days. Otherwise they are yielded as they are listed, except those of streams.

        Args:
            ordered: no object of a group may be older than those of the groups before it.

        Raises:
            BatcherError: the objects cannot be listed.
        """
        entries_by_day: dict[float, list[CatalogEntry]] = {}
        prefixes_by_day: dict[float, list[_KeyPrefix]] = {}
        async for entry in self._explore(prefixes_by_day):
            entries_by_day.setdefault(entry.day, []).append(entry)
        undated = prefixes_by_day.pop(-inf, [])
        if ordered:
            for listing in await map_concurrently(self._list_below, undated, self._concurrency):
                for entry in listing:
                    entries_by_day.setdefault(entry.day, []).append(entry)
        else:
            async for group in self._list_undated(undated, entries_by_day):
                yield group
        for day in sorted({*entries_by_day, *prefixes_by_day}):
            listings = await map_concurrently(
                self._list_below, prefixes_by_day.pop(day, []), self._concurrency
            )
            group = [
                *entries_by_day.pop(day, []),
                *(entry for listing in listings for entry in listing),
            ]
            if group:
                yield sorted(group, key=lambda entry: entry.sort_key)

    async def _list_undated(
        self, prefixes: Iterable[_KeyPrefix], entries_by_day: dict[float, list[CatalogEntry]]
    ) -> AsyncIterator[list[CatalogEntry]]:
        """Yield objects as they are listed. Those of streams go to `entries_by_day` instead."""
        group: list[CatalogEntry] = []
        for prefix in prefixes:
            async for listed in self._reader.list_objects(prefix.prefix):
                for entry in self._select_entry(listed):
                    if entry.parsed_key.naming is NamingScheme.SEQUENCE:
                        entries_by_day.setdefault(entry.day, []).append(entry)
                    else:
                        group.append(entry)
                if len(group) >= UNDATED_GROUP_OBJECTS:
                    yield group
                    group = []
        if group:
            yield group

    async def _list_below(self, prefix: _KeyPrefix) -> list[CatalogEntry]:
        """List all objects below a prefix, at any depth."""
        listing = self._reader.list_objects(prefix.prefix)
        return [entry async for listed in listing for entry in self._select_entry(listed)]

    async def _explore(
        self, prefixes_by_day: dict[float, list[_KeyPrefix]]
    ) -> AsyncIterator[CatalogEntry]:
        """Explore folders level by level. Add the prefixes to list as a whole, by day.

        Yields the objects in the explored folders.
        """
        next_level = [self._root_prefix]
        while next_level:
            level, next_level = next_level, []
            listings = await map_concurrently(self._list_folder, level, self._concurrency)
            for prefix, listing in zip(level, listings, strict=True):
                for child in self._next_prefixes(prefix, listing):
                    if child is prefix or not self._is_explored(child):
                        prefixes_by_day.setdefault(child.day, []).append(child)
                    else:
                        next_level.append(child)
                for listed in listing.objects:
                    for entry in self._select_entry(listed):
                        yield entry

    def _next_prefixes(self, prefix: _KeyPrefix, listing: _FolderListing) -> Iterator[_KeyPrefix]:
        """Return the folders below `prefix`, or `prefix` itself, to list it as a whole."""
        excludes_none = not listing.selective and not self._selection.can_exclude_below(
            prefix.folders
        )
        if listing.is_too_wide or (excludes_none and listing.unselective):
            listing.objects.clear()  # listing the prefix returns them again
            yield prefix
        else:
            yield from listing.selective
            yield from listing.unselective

    def _is_explored(self, prefix: _KeyPrefix) -> bool:
        """Return whether listing the folders directly below a prefix is worth a request."""
        return self._selection.can_exclude_below(prefix.folders) or not prefix.folders

    async def _list_folder(self, prefix: _KeyPrefix) -> _FolderListing:
        """List what is directly in a folder, except folders that the selection excludes."""
        listing = _FolderListing()
        is_root = prefix is self._root_prefix and not self._selection.quarantine
        async with aclosing(self._reader.list_folder(prefix.prefix)) as entries:
            async for entry in entries:
                if isinstance(entry, ListEntry):
                    listing.objects.append(entry)
                elif is_root and is_salt(entry.prefix.removeprefix(prefix.prefix).rstrip("/")):
                    listing.selective.append(_KeyPrefix(entry.prefix))
                elif not (is_root and entry.prefix.startswith(f"{prefix.prefix}_")):
                    self._add_folder(listing, prefix, entry)
                if listing.is_too_wide:
                    break
        return listing

    def _add_folder(
        self, listing: _FolderListing, prefix: _KeyPrefix, folder: CommonPrefix
    ) -> None:
        child = prefix.child(folder.prefix)
        if self._selection.may_include_below(child.folders):
            is_selective = self._selection.is_more_specific(prefix.folders, child.folders)
            (listing.selective if is_selective else listing.unselective).append(child)
        else:
            self._pass_over("/".join(child.folders))

    def _select_entry(self, listed: ListEntry) -> list[CatalogEntry]:
        """Return an object as a list, which is empty unless the object is of the selection.

        An object that batcher has not written is reported, and so is what cannot be opened.
        """
        relative_key = listed.key.removeprefix(self._root_prefix.prefix)
        is_internal = relative_key.startswith("_") and not self._selection.quarantine
        is_internal |= is_check_key(listed.key, self._root)
        if is_internal or (listed.key.endswith("/") and not listed.size_bytes):
            return []  # no data, or the marker of an empty folder that consoles create
        try:
            parsed_key = parse_key(listed.key, self._root)
        except KeyParseError as error:
            folders = relative_key.split("/")
            if not listed.fault:  # else it may be a folder, such as one that cannot be listed
                del folders[-1]
            if folders and is_salt(folders[0]) and not self._selection.quarantine:
                del folders[0]
            if self._selection.may_include_below(folders):
                self._report_left_out(listed, FindingKind.FOREIGN, str(error))
            return []
        if not self._selection.includes(parsed_key, listed):
            self._pass_over(parsed_key.partition)
            return []
        if listed.fault:
            self._report_left_out(listed)
            return []
        return [CatalogEntry(listed, parsed_key, object_time_s(parsed_key))]

    def _pass_over(self, partition: str) -> None:
        if len(self.passed_over) < MAX_PASSED_OVER:
            self.passed_over[partition] = None

    def _report_left_out(
        self, listed: ListEntry, kind: FindingKind = FindingKind.UNREADABLE, detail: str = ""
    ) -> None:
        if listed.fault:
            kind, detail = FindingKind.UNREADABLE, listed.fault
        self._on_finding(Finding(kind, sanitize_line(listed.key), sanitize_line(detail)))


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """An object of the selection. Takes about 600 bytes of memory."""

    list_entry: ListEntry
    parsed_key: ParsedKey
    time_s: float | None
    """The time that it is sorted by; see `object_time_s`."""

    @property
    def time_range(self) -> TimeRange:
        """The time range in which its records may have arrived."""
        return object_time_range(self.parsed_key, self.list_entry)

    @property
    def day(self) -> float:
        """The day of its time, in days since 1970, or -inf if it has no time."""
        return -inf if self.time_s is None else self.time_s // DAY_S

    @property
    def sort_key(self) -> tuple[float, str, int, str, str, str]:
        """Sort by time, then by stream and shard, then by sequence number."""
        parsed = self.parsed_key
        time_s = -inf if self.time_s is None else self.time_s
        file = parsed.key.rpartition("/")[2]  # puts two of one millisecond in the order of writing
        return (time_s, parsed.stem, parsed.first or 0, parsed.partition, file, parsed.key)


def group_by_first_record(group: Iterable[CatalogEntry]) -> Iterator[list[CatalogEntry]]:
    """Divide a sorted group. Objects of a stream that begin with the same record stay together."""
    for _, entries in groupby(group, key=_first_record_key):
        yield list(entries)


def _first_record_key(entry: CatalogEntry) -> tuple[object, ...]:
    parsed = entry.parsed_key
    is_stream = parsed.naming is NamingScheme.SEQUENCE
    return (parsed.stem, parsed.partition, parsed.first) if is_stream else (parsed.key,)


@dataclass(frozen=True, slots=True)
class _KeyPrefix:
    """A folder as the common prefix of keys."""

    prefix: str
    folders: tuple[str, ...] = ()
    """The folders of the partition so far. In quarantine, those below `_quarantine`."""

    @property
    def day(self) -> float:
        """The day of everything below, in days since 1970, or -inf if it is unknown or varies."""
        start_s = folders_time_range(self.folders).start_s
        return -inf if start_s == -inf else start_s // DAY_S

    def child(self, prefix: str) -> _KeyPrefix:
        """Return the folder with this prefix, one level below."""
        return _KeyPrefix(prefix, (*self.folders, prefix.removeprefix(self.prefix).rstrip("/")))


@dataclass(slots=True)
class _FolderListing:
    """What is directly in one folder."""

    selective: list[_KeyPrefix] = field(default_factory=list)
    """Folders whose names have a time or a column of the pattern, and salts."""
    unselective: list[_KeyPrefix] = field(default_factory=list)
    """All other folders."""
    objects: list[ListEntry] = field(default_factory=list)

    @property
    def is_too_wide(self) -> bool:
        """Whether listing everything below takes fewer requests than exploring the folders."""
        return (
            len(self.unselective) > MAX_EXPLORED_FOLDERS
            or len(self.objects) > UNDATED_GROUP_OBJECTS
        )
