"""Read objects: what lies under a root, across all salts, a few objects ahead of who reads it.

A feeder goes through the catalog and begins a `Fetch` for each object, `concurrency` at a time at
most; an object is counted until the next one is asked for. So memory is bounded however many and
large the objects are: some blocks of text for each that was begun, and the names of one day.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batcher.concurrency import map_concurrently, shielded
from batcher.errors import BatcherError, DamagedError
from batcher.reading.catalog import Catalog, CatalogEntry, group_by_first_record
from batcher.reading.findings import Finding
from batcher.reading.overlap import OverlapTracker, read_sequence_range
from batcher.reading.prefetch import Prefetch
from batcher.reading.selection import Selection, parse_selection
from batcher.reading.stream import ReopenPolicy, ResumableBody, align_to_lines, split_into_lines
from batcher.reading.times import TimeInput
from batcher.settings import MIB, Settings
from batcher.stores import open_reader
from batcher.stores.location import parse_destination
from batcher.writing.object import METADATA_RECORDS

if TYPE_CHECKING:
    from batcher.stores.base import ObjectReader

MAX_LINE_BYTES = 64 * MIB


log = logging.getLogger("batcher")


def log_finding(finding: Finding) -> None:
    """Log what was left out, or overlaps."""
    log.warning("object_%s key=%s detail=%s", finding.kind, finding.key, finding.detail)


def read_objects(  # noqa: PLR0913  # what users choose
    place: str,
    *,
    since: TimeInput = None,
    until: TimeInput = None,
    partition: str | None = None,
    ordered: bool = False,
    quarantine: bool = False,
    covered: bool = False,
    concurrency: int = 16,
    max_line_bytes: int = MAX_LINE_BYTES,
    on_finding: Callable[[Finding], None] = log_finding,
) -> ReadObjects:
    """Read objects back, decoded, across all salts; use it as `async with … as objects`.

    Nothing is requested before the `async with`; leaving it lets go of everything.

    Args:
        place: `s3://bucket/root` or `file://folder`.
        since: objects that may hold records that arrived then or later: a `datetime`, a date-time
            or date of ISO 8601 (UTC where there is no zone), or how long ago, as `2h`.
        until: objects that may hold records that arrived before.
        partition: folders that a partition must have: `dt=2026-11-23/hour=*`, `customer=acme`.
        ordered: give objects in the order of time, as far as keys tell it; else as they come.
        quarantine: give what was quarantined, in place of the data.
        covered: give a stream's objects also where all of their records stand in another one.
        concurrency: objects that are opened at once; each takes 8 MB at most, 2 MB as a rule.
        max_line_bytes: what has a longer line is damaged. Only the object that is being read can
            take so much memory.
        on_finding: told of objects that are left out (foreign or covered), and of ranges that
            overlap, in place of the log.

    Raises:
        SettingsError: an argument cannot be used; every fault is in the one message.
    """
    where = parse_destination(place)
    settings = Settings(bucket=where["bucket"], root=where["root"], concurrency=concurrency)
    selection = parse_selection(since, until, partition, quarantine=quarantine, now_s=time.time())
    return ReadObjects(
        open_reader(settings),
        settings,
        selection,
        ordered=ordered,
        covered=covered,
        max_line_bytes=max_line_bytes,
        on_finding=on_finding,
    )


class ReadObjects:
    """Objects one after the other, as `ReadObject`; what is wrong with one is raised by its lines.

    Raises, when the next one is asked for:
        BatcherError: objects cannot be listed.
    """

    def __init__(  # noqa: PLR0913  # what users choose
        self,
        reader: ObjectReader,
        settings: Settings,
        selection: Selection,
        *,
        ordered: bool = False,
        covered: bool = False,
        max_line_bytes: int = MAX_LINE_BYTES,
        on_finding: Callable[[Finding], None] = log_finding,
        reopen_policy: ReopenPolicy | None = None,
    ) -> None:
        """Read what `reader` gives under the root of `settings`, and close it at the end."""
        self._reader = reader
        self._catalog = Catalog(reader, settings.root, selection, settings.concurrency, on_finding)
        self._reopen_policy = ReopenPolicy() if reopen_policy is None else reopen_policy
        self._overlap_tracker = (
            None if covered else OverlapTracker(reader, self._reopen_policy, on_finding)
        )
        self._ordered = ordered
        self._concurrency = settings.concurrency
        self._max_line_bytes = max_line_bytes
        self._open_slots = asyncio.Semaphore(settings.concurrency)
        self._ready_queue: asyncio.Queue[Prefetch | Exception | None] = asyncio.Queue()
        self._active: set[Prefetch] = set()
        self._awaited: Prefetch | None = None
        self._current: Prefetch | None = None
        self._is_done = False
        self._feeder_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to look."""
        self._feeder_task = asyncio.create_task(self._start_all())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop everything, and let go of connections; also when cancelled meanwhile."""
        await shielded(self._release_all())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReadObject:
        """Return the next object, and end the one before it."""
        if self._feeder_task is None:
            msg = "objects are read inside of `async with read_objects(…) as objects` only"
            raise RuntimeError(msg)
        await self._release_current()
        while not self._is_done:
            fetch = self._awaited or await self._ready_queue.get()
            if not isinstance(fetch, Prefetch):
                self._is_done = True
                if fetch is not None:
                    raise fetch
                break
            self._awaited = fetch  # it stays so if the waiting is cancelled
            await fetch.ready.wait()
            self._awaited, self._current = None, fetch
            if not fetch.is_covered:
                return ReadObject(fetch, self._max_line_bytes)
            await self._release_current()
        raise StopAsyncIteration

    async def _release_current(self) -> None:
        """Let go of the object that was given last, and so of its room."""
        fetch, self._current = self._current, None
        if fetch is not None:
            self._active.discard(fetch)
            self._open_slots.release()
            await fetch.stop()

    async def _release_all(self) -> None:
        self._is_done = True
        self._ready_queue.put_nowait(None)  # for whoever waits for it
        if self._feeder_task is not None:
            self._feeder_task.cancel()
            await asyncio.wait({self._feeder_task})
        for fetch in self._active:
            await fetch.stop()
        self._active.clear()
        await self._reader.aclose()

    async def _start_all(self) -> None:
        """Begin fetches as there is room, in the order of the catalog."""
        end: Exception | None = None
        try:
            async with aclosing(self._catalog.groups(ordered=self._ordered)) as groups:
                async for group in groups:
                    if self._overlap_tracker is not None:
                        self._overlap_tracker.reset()
                    for same in group_by_first_record(group):
                        for found in await self._longest_first(same):
                            await self._open_slots.acquire()
                            self._start_prefetch(found)
            for _ in range(self._concurrency):
                await self._open_slots.acquire()  # all have been given, and ended
        except Exception as error:  # noqa: BLE001  # for whoever asks for the next object
            end = error
        self._ready_queue.put_nowait(end)

    def _start_prefetch(self, entry: CatalogEntry) -> None:
        is_ordered = self._ordered
        on_ready = _ignore if is_ordered else self._ready_queue.put_nowait
        fetch = Prefetch(self._reader, entry, self._overlap_tracker, self._reopen_policy, on_ready)
        self._active.add(fetch)
        if is_ordered:
            self._ready_queue.put_nowait(fetch)

    async def _longest_first(self, entries: list[CatalogEntry]) -> list[CatalogEntry]:
        """Sort objects that begin with the same record: what lies within another comes after it.

        Only where the fanout or the suffix has changed between a failure and its retry are there
        several; then each is opened once more.
        """
        if len(entries) == 1 or self._overlap_tracker is None:
            return entries
        lasts = await map_concurrently(self._read_last, entries, self._concurrency)
        in_order = sorted(zip(lasts, entries, strict=True), key=lambda pair: -pair[0])
        return [found for _, found in in_order]

    async def _read_last(self, entry: CatalogEntry) -> int:
        metadata: Mapping[str, str] = {}
        with suppress(BatcherError):  # it is told when the object is read
            async with ResumableBody(
                self._reader, entry.parsed_key.key, self._reopen_policy
            ) as body:
                metadata = body.info.metadata
        known = read_sequence_range(entry.parsed_key, metadata)
        return 0 if known is None else known.last


def _ignore(fetch: Prefetch) -> None:
    """Do nothing: it is waited for in its order."""
    del fetch


class ReadObject:
    """One object; its lines can be read, once, until the next object is asked for.

    Reading them raises what is wrong with this object; the next one can be asked for after it:

    - `RetryableError`: the store gave up on it repeatedly, or it was replaced meanwhile: read it
      again, later.
    - `RejectedError`: the store refuses it; the message says what to do.
    - `NotFoundError`: it was deleted since it was listed.
    - `DamagedError`: it cannot be read to its end; all lines before have been given.
    """

    def __init__(self, prefetch: Prefetch, max_line_bytes: int) -> None:
        """Return what `fetch` brings."""
        self._prefetch = prefetch
        self._max_line_bytes = max_line_bytes
        self._is_read = False

    def __repr__(self) -> str:
        return f"<ReadObject {self.key} size_bytes={self.size_bytes}>"

    @property
    def key(self) -> str:
        """Its full name."""
        return self._prefetch.entry.parsed_key.key

    @property
    def partition(self) -> str:
        """The folders between salt and name; of quarantine those from `_quarantine` on."""
        return self._prefetch.entry.parsed_key.partition

    @property
    def size_bytes(self) -> int:
        """Bytes of the object, as it lies in the store."""
        return self._prefetch.entry.list_entry.size_bytes

    @property
    def modified_s(self) -> float:
        """When it was written, in seconds since 1970."""
        return self._prefetch.entry.list_entry.modified_s

    @property
    def metadata(self) -> Mapping[str, str]:
        """What stands on it: `batcher-records`, `batcher-first` and so on.

        Empty where it could not be opened; reading its lines says why.
        """
        return {} if self._prefetch.info is None else self._prefetch.info.metadata

    @property
    def records(self) -> int | None:
        """How many records are in it, if its metadata tells; that of a streamed upload does not."""
        said = self.metadata.get(METADATA_RECORDS, "")
        return int(said) if said.isdecimal() else None

    async def __aiter__(self) -> AsyncGenerator[list[bytes], None]:
        """Return its lines, without their newlines, many at a time."""
        with _key_in_errors(self.key):
            async with aclosing(split_into_lines(self._blocks(), self._max_line_bytes)) as found:
                async for some in found:
                    yield some

    async def texts(self) -> AsyncGenerator[bytes, None]:
        """Return its text instead, in pieces that end where a line ends."""
        with _key_in_errors(self.key):
            async with aclosing(align_to_lines(self._blocks(), self._max_line_bytes)) as found:
                async for text in found:
                    yield text

    def _blocks(self) -> AsyncGenerator[bytes, None]:
        if self._is_read:
            msg = f"{self.key}: its lines can be read once"
            raise RuntimeError(msg)
        self._is_read = True
        return self._prefetch.blocks()


@contextmanager
def _key_in_errors(key: str) -> Iterator[None]:
    """Return which object is damaged."""
    try:
        yield
    except DamagedError as error:
        msg = f"{key}: {error}"
        raise DamagedError(msg) from error
