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

from batcher.concurrency import side_by_side
from batcher.keys.names import QUARANTINE_FOLDER, start_of
from batcher.keys.parse import ForeignError, is_check, is_salt, read_name
from batcher.reading.findings import Finding, Kind
from batcher.reading.sanitize import printable
from batcher.reading.times import DAY_S, Span, span_of, span_of_folders, time_of
from batcher.records.chunk import Naming
from batcher.stores.base import Folder, Listed

if TYPE_CHECKING:
    from batcher.keys.parse import Name
    from batcher.reading.selection import Selection
    from batcher.stores.base import ObjectReader

MAX_BRANCHES = 100
"""Folders of one level that are looked into although they tell nothing themselves; where there are
more (customers, users), listing everything below takes fewer requests."""


AT_ONCE = 1_000
"""Objects without a day that are given at once."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """Keys that start with the same folders."""

    prefix: str
    folders: tuple[str, ...] = ()
    """The partition's folders so far; of quarantine those below `_quarantine`."""

    @property
    def day(self) -> float:
        """The day of all that is below, or -inf where that differs or is not known."""
        start_s = span_of_folders(self.folders).start_s
        return -inf if start_s == -inf else start_s // DAY_S

    def child(self, prefix: str) -> _Branch:
        """Give a folder in it."""
        return _Branch(prefix, (*self.folders, prefix.removeprefix(self.prefix).rstrip("/")))


@dataclass(slots=True)
class _Level:
    """What lies directly in one branch."""

    telling: list[_Branch] = field(default_factory=list)
    """Folders that tell a time, or what the pattern asks for, or are salts."""
    silent: list[_Branch] = field(default_factory=list)
    objects: list[Listed] = field(default_factory=list)

    @property
    def is_wide(self) -> bool:
        """Whether it is cheaper to list all that is below."""
        return len(self.silent) > MAX_BRANCHES or len(self.objects) > AT_ONCE


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
        top = start_of(root)
        if selection.is_quarantine:
            top += f"{QUARANTINE_FOLDER}/"
        self._top = _Branch(top)

    async def groups(self, *, is_ordered: bool) -> AsyncGenerator[list[Found], None]:
        """Give the objects in groups, each sorted; those of one stream and partition are in one.

        All objects of a day (UTC) make a group, so the names of one day are held at a time.
        Objects whose place has no day are held all if `is_ordered`, to be sorted in; else they are
        given as they are listed, but for a stream's.

        Args:
            is_ordered: whether a group's objects must not be older than those of one before it.

        Raises:
            BatcherError: objects cannot be listed.
        """
        by_day: dict[float, list[Found]] = {}
        branches: dict[float, list[_Branch]] = {}
        async for found in self._walk(branches):
            by_day.setdefault(found.day, []).append(found)
        undated = branches.pop(-inf, [])
        if is_ordered:
            for listing in await side_by_side(self._list, undated, self._concurrency):
                for found in listing:
                    by_day.setdefault(found.day, []).append(found)
        else:
            async for chunk in self._without_waiting(undated, by_day):
                yield chunk
        for day in sorted({*by_day, *branches}):
            listings = await side_by_side(self._list, branches.pop(day, []), self._concurrency)
            group = [*by_day.pop(day, []), *(found for listing in listings for found in listing)]
            if group:
                yield sorted(group, key=lambda found: found.place)

    async def _without_waiting(
        self, branches: Iterable[_Branch], by_day: dict[float, list[Found]]
    ) -> AsyncIterator[list[Found]]:
        """Give objects as they are listed; a stream's are put by, for their ranges."""
        chunk: list[Found] = []
        for branch in branches:
            async for listed in self._reader.list_objects(branch.prefix):
                for found in self._found(listed):
                    if found.name.naming is Naming.SEQUENCE:
                        by_day.setdefault(found.day, []).append(found)
                    else:
                        chunk.append(found)
                if len(chunk) >= AT_ONCE:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    async def _list(self, branch: _Branch) -> list[Found]:
        """List all that is below a branch."""
        listing = self._reader.list_objects(branch.prefix)
        return [found async for listed in listing for found in self._found(listed)]

    async def _walk(self, branches: dict[float, list[_Branch]]) -> AsyncIterator[Found]:
        """Look into folders, level by level; fill in what is to be listed, by day.

        What is met on the way is given.
        """
        ahead = [self._top]
        while ahead:
            levels = await side_by_side(self._look, ahead, self._concurrency)
            looked_into, ahead = ahead, []
            for branch, level in zip(looked_into, levels, strict=True):
                for child in self._ways_on(branch, level):
                    if child is branch or not self._is_looked_into(child):
                        branches.setdefault(child.day, []).append(child)
                    else:
                        ahead.append(child)
                for listed in level.objects:
                    for found in self._found(listed):
                        yield found

    def _ways_on(self, branch: _Branch, level: _Level) -> Iterator[_Branch]:
        """Give the folders to go on with; or the branch itself, to be listed as a whole."""
        is_all = not level.telling and not self._selection.decides_below(branch.folders)
        if level.is_wide or (is_all and level.silent):
            level.objects.clear()  # they are listed once more
            yield branch
        else:
            yield from level.telling
            yield from level.silent

    def _is_looked_into(self, branch: _Branch) -> bool:
        """Say whether it is worth a request to see what lies directly in a branch."""
        return self._selection.decides_below(branch.folders) or not branch.folders

    async def _look(self, branch: _Branch) -> _Level:
        """See what lies directly in a branch; what cannot be of the selection is left out."""
        level = _Level()
        is_root = branch is self._top and not self._selection.is_quarantine
        async with aclosing(self._reader.list_folder(branch.prefix)) as entries:
            async for entry in entries:
                if isinstance(entry, Listed):
                    level.objects.append(entry)
                elif is_root and is_salt(entry.prefix.removeprefix(branch.prefix).rstrip("/")):
                    level.telling.append(_Branch(entry.prefix))
                elif not (is_root and entry.prefix.startswith(f"{branch.prefix}_")):
                    self._sort_in(level, branch, entry)
                if level.is_wide:
                    break
        return level

    def _sort_in(self, level: _Level, branch: _Branch, folder: Folder) -> None:
        child = branch.child(folder.prefix)
        if self._selection.may_take_below(child.folders):
            is_telling = self._selection.tells(branch.folders, child.folders)
            (level.telling if is_telling else level.silent).append(child)

    def _found(self, listed: Listed) -> list[Found]:
        """Give an object if it is of the selection; tell of it if it is none of batcher's."""
        below = listed.key.removeprefix(self._top.prefix)
        is_ours = below.startswith("_") and not self._selection.is_quarantine
        is_ours |= is_check(listed.key, self._root)
        if is_ours or (listed.key.endswith("/") and not listed.size_bytes):
            return []  # no data; or what consoles make of an empty folder
        try:
            name = read_name(listed.key, self._root)
        except ForeignError as error:
            folders = below.split("/")[:-1]
            if folders and is_salt(folders[0]) and not self._selection.is_quarantine:
                del folders[0]
            if self._selection.may_take_below(folders):
                found = Finding(Kind.FOREIGN, printable(listed.key), printable(str(error)))
                self._on_finding(found)
            return []
        return [Found(listed, name, time_of(name))] if self._selection.takes(name, listed) else []


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
