"""Verify: read every object under a root, several at a time, and check it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from batcher.concurrency import map_concurrently
from batcher.encoding.decoder import Decoder
from batcher.errors import (
    BatcherError,
    DamagedError,
    NotFoundError,
    NotInstalledError,
    RetryableError,
)
from batcher.keys.names import root_prefix
from batcher.keys.parse import KeyParseError, ParsedKey, is_check_key, parse_key
from batcher.reading.comparison import confirm_by_lines, read_positions
from batcher.reading.duplicates import DuplicateFinder
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.reading.stored_positions import PositionsCollector
from batcher.reading.stream import ReopenPolicy
from batcher.stores.deleted_files import find_deleted
from batcher.tools.verify.inspection import Inspection
from batcher.tools.verify.report import VerifyReport

if TYPE_CHECKING:
    from pathlib import Path

    from batcher.reading.duplicates import SharedPositions
    from batcher.reading.overlap import SequenceRange
    from batcher.stores.base import ListEntry, ObjectReader

MAX_READS = 3
"""How often an object is read from its start, if the store fails meanwhile."""

PAGE_OBJECTS = 100
"""Deleted objects that are looked for per call in a thread."""

MAX_LISTED_AHEAD = 10_000
"""The most objects that are listed but not read yet. Listing ahead makes the total known early."""


class Verifier:
    """Reads and checks all objects under a root.

    Peak memory is about 4 MB per object that is being read, whatever its size, and about 300 bytes
    per object of a stream, for its sequence range. While objects with overlapping ranges are
    compared, it is 75 MB more, for their positions.
    """

    def __init__(
        self,
        reader: ObjectReader,
        root: str,
        report: VerifyReport,
        concurrency: int,
        folder: Path | None = None,
    ) -> None:
        """Read `concurrency` objects at a time under `root`, and add them to `report`.

        Args:
            reader: reads the objects.
            root: the common prefix of all keys, without a slash at its end.
            report: gets what was found.
            concurrency: objects that are read at the same time.
            folder: of the objects on disk, where those that were deleted are found, too.
        """
        self._folder = folder
        self._reader = reader
        self._root = root
        self._report = report
        self._concurrency = concurrency
        self._queue: asyncio.Queue[ListEntry | None] = asyncio.Queue(MAX_LISTED_AHEAD)
        self.read_bytes: int = 0
        """Stored bytes of the objects that are checked so far."""
        self.listed_bytes: int = 0
        """Stored bytes of the objects that are listed so far."""
        self.is_listing_done: bool = False
        """Whether all objects are listed, so that `listed_bytes` is the total."""

    @property
    def total_bytes(self) -> int | None:
        """Stored bytes of all objects, or None until all are listed."""
        return self.listed_bytes if self.is_listing_done else None

    async def run(self, wall_clock: Callable[[], float], on_progress: Callable[[], None]) -> None:
        """Check everything, and fill in the report.

        Args:
            wall_clock: returns the time in seconds since 1970, for the age of open uploads.
            on_progress: called after each object, and after each piece of one.

        Raises:
            BatcherError: the objects cannot be listed.
        """
        failed: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._list())
                for _ in range(self._concurrency):
                    tasks.create_task(self._verify_queued(on_progress))
        except BaseExceptionGroup as group:
            failed = group.exceptions[0]
        if failed is not None:
            raise failed  # outside the `except`, so that the group does not become its context
        await self._check_open_uploads(wall_clock)
        if self._folder is not None:
            await self._find_missing(self._folder)
        self._report.finish(await self._compare_positions())

    async def _list(self) -> None:
        async for listed in self._reader.list_objects(root_prefix(self._root)):
            if is_check_key(listed.key, self._root):
                continue
            self.listed_bytes += listed.size_bytes
            await self._queue.put(listed)
        self.is_listing_done = True
        for _ in range(self._concurrency):
            await self._queue.put(None)

    async def _verify_queued(self, on_progress: Callable[[], None]) -> None:
        while (listed := await self._queue.get()) is not None:
            await self._verify_object(listed, on_progress)
            self.read_bytes += listed.size_bytes
            on_progress()

    async def _verify_object(self, list_entry: ListEntry, on_progress: Callable[[], None]) -> None:
        if list_entry.fault:
            self._report.add_unread(list_entry.key)
            self._add_finding(FindingKind.UNREADABLE, list_entry.key, list_entry.fault)
            return
        try:
            parsed_key = parse_key(list_entry.key, self._root)
        except KeyParseError as error:
            self._add_finding(FindingKind.FOREIGN, list_entry.key, str(error))
            return
        for attempt in range(1, MAX_READS + 1):
            try:
                inspection = await self._read(parsed_key, on_progress)
            except NotFoundError:
                self._report.removed_objects += 1
            except RetryableError as error:
                if attempt < MAX_READS:
                    continue
                self._add_unreadable(list_entry.key, error)
            except BatcherError as error:
                self._add_unreadable(list_entry.key, error)
            else:
                self._report.add_object(list_entry, parsed_key, inspection)
            return

    async def _read(self, parsed_key: ParsedKey, on_progress: Callable[[], None]) -> Inspection:
        """Read one object to its end, or up to the damage."""
        async with self._reader.open_object(parsed_key.key) as opened:
            inspection = Inspection(parsed_key, opened.info.metadata)
            decoder = Decoder(parsed_key.suffix)
            collector = PositionsCollector(parsed_key.suffix)

            def inspect(piece: bytes) -> None:
                for block in decoder.feed(piece):  # bounds memory, even for a decompression bomb
                    inspection.add(block)

            try:
                async for piece in opened.pieces:
                    collector.add(piece)
                    await asyncio.to_thread(inspect, piece)
                    on_progress()
                decoder.finish()
            except DamagedError as error:
                inspection.mark_damaged(str(error))
            else:
                inspection.finish()
                inspection.check_positions(collector, opened.info.metadata)
            return inspection

    async def _find_missing(self, folder: Path) -> None:
        """Add the objects on disk that were deleted, while their attributes stayed."""
        deleted = find_deleted(folder, root_prefix(self._root))
        while page := await asyncio.to_thread(lambda: list(islice(deleted, PAGE_OBJECTS))):
            for key, metadata, attributes in page:
                if not is_check_key(key, self._root):
                    self._report.add_missing(key, self._root, metadata, attributes)

    async def _compare_positions(self) -> set[str]:
        """Count the duplicates among objects whose ranges overlap, by their positions lists.

        Each of them is opened a second time, because all lists together would not fit in memory.

        Returns:
            The keys of the objects that were compared.
        """
        compared_keys: set[str] = set()
        for cluster in self._report.clusters():
            finder = DuplicateFinder()
            listed = [stored for stored in cluster if stored.has_positions]
            for start in range(0, len(listed), self._concurrency):
                ranges = listed[start : start + self._concurrency]
                lists = await map_concurrently(self._read_positions, ranges, self._concurrency)
                for stored, positions in zip(ranges, lists, strict=True):
                    shared = None if positions is None else finder.add(stored.key, positions)
                    if positions and shared and not stored.has_shard:
                        shared = await self._confirm(stored.key, positions, shared)
                    if shared is not None:
                        compared_keys.add(stored.key)
                        counts = Counter(keys[0] for keys in shared.values())
                        self._report.add_duplicates(stored.key, counts)
        return compared_keys

    async def _read_positions(self, stored: SequenceRange) -> list[str] | None:
        return await read_positions(self._reader, stored.key)

    async def _confirm(
        self, key: str, positions: list[str], shared: SharedPositions
    ) -> SharedPositions | None:
        """Return the positions whose records are the same. None if they cannot be read."""
        try:
            return await confirm_by_lines(self._reader, ReopenPolicy(), key, positions, shared)
        except BatcherError as error:
            self._add_unreadable(key, error)
            return None

    async def _check_open_uploads(self, wall_clock: Callable[[], float]) -> None:
        prefix = root_prefix(self._root)
        try:
            async for upload in self._reader.list_uploads(prefix):
                self._report.add_upload(upload, wall_clock())
        except NotInstalledError as error:
            self._report.uploads_unchecked = sanitize_line(str(error))
        except BatcherError as error:
            self._add_finding(
                FindingKind.UNREADABLE, prefix, f"open uploads cannot be listed: {error}"
            )

    def _add_unreadable(self, key: str, error: BatcherError) -> None:
        self._report.add_unread(key)
        self._add_finding(FindingKind.UNREADABLE, key, str(error))

    def _add_finding(self, kind: FindingKind, key: str, detail: str) -> None:
        self._report.add_finding(Finding(kind, sanitize_line(key), sanitize_line(detail)))
