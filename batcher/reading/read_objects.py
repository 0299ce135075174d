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

from batcher.concurrency import side_by_side, uninterrupted
from batcher.errors import BatcherError, DamagedError
from batcher.reading.catalog import Catalog, Found, twins
from batcher.reading.findings import Finding
from batcher.reading.overlap import Covering, range_of
from batcher.reading.prefetch import Fetch
from batcher.reading.selection import Selection, select
from batcher.reading.stream import Reopening, Steady, lines, whole_lines
from batcher.reading.times import Time
from batcher.settings import MIB, Settings
from batcher.stores import open_reader
from batcher.stores.location import parse_destination
from batcher.writing.object import RECORDS

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
    since: Time = None,
    until: Time = None,
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
    selection = select(since, until, partition, is_quarantine=quarantine, now_s=time.time())
    return ReadObjects(
        open_reader(settings),
        settings,
        selection,
        is_ordered=ordered,
        with_covered=covered,
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
        is_ordered: bool = False,
        with_covered: bool = False,
        max_line_bytes: int = MAX_LINE_BYTES,
        on_finding: Callable[[Finding], None] = log_finding,
        reopening: Reopening | None = None,
    ) -> None:
        """Read what `reader` gives under the root of `settings`, and close it at the end."""
        self._reader = reader
        self._catalog = Catalog(reader, settings.root, selection, settings.concurrency, on_finding)
        self._reopening = Reopening() if reopening is None else reopening
        self._covering = None if with_covered else Covering(reader, self._reopening, on_finding)
        self._is_ordered = is_ordered
        self._concurrency = settings.concurrency
        self._max_line_bytes = max_line_bytes
        self._room = asyncio.Semaphore(settings.concurrency)
        self._next: asyncio.Queue[Fetch | Exception | None] = asyncio.Queue()
        self._begun: set[Fetch] = set()
        self._coming: Fetch | None = None
        self._given: Fetch | None = None
        self._is_done = False
        self._feeder: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to look."""
        self._feeder = asyncio.create_task(self._feed())
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
        await uninterrupted(self._let_go())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReadObject:
        """Give the next object, and end the one before it."""
        if self._feeder is None:
            msg = "objects are read inside of `async with read_objects(…) as objects` only"
            raise RuntimeError(msg)
        await self._end_given()
        while not self._is_done:
            fetch = self._coming or await self._next.get()
            if not isinstance(fetch, Fetch):
                self._is_done = True
                if fetch is not None:
                    raise fetch
                break
            self._coming = fetch  # it stays so if the waiting is cancelled
            await fetch.is_ready.wait()
            self._coming, self._given = None, fetch
            if not fetch.is_covered:
                return ReadObject(fetch, self._max_line_bytes)
            await self._end_given()
        raise StopAsyncIteration

    async def _end_given(self) -> None:
        """Let go of the object that was given last, and so of its room."""
        fetch, self._given = self._given, None
        if fetch is not None:
            self._begun.discard(fetch)
            self._room.release()
            await fetch.stop()

    async def _let_go(self) -> None:
        self._is_done = True
        self._next.put_nowait(None)  # for whoever waits for it
        if self._feeder is not None:
            self._feeder.cancel()
            await asyncio.wait({self._feeder})
        for fetch in self._begun:
            await fetch.stop()
        self._begun.clear()
        await self._reader.aclose()

    async def _feed(self) -> None:
        """Begin fetches as there is room, in the order of the catalog."""
        end: Exception | None = None
        try:
            async with aclosing(self._catalog.groups(is_ordered=self._is_ordered)) as groups:
                async for group in groups:
                    if self._covering is not None:
                        self._covering.forget()
                    for same in twins(group):
                        for found in await self._longest_first(same):
                            await self._room.acquire()
                            self._begin(found)
            for _ in range(self._concurrency):
                await self._room.acquire()  # all have been given, and ended
        except Exception as error:  # noqa: BLE001  # for whoever asks for the next object
            end = error
        self._next.put_nowait(end)

    def _begin(self, found: Found) -> None:
        is_ordered = self._is_ordered
        on_ready = _ignore if is_ordered else self._next.put_nowait
        fetch = Fetch(self._reader, found, self._covering, self._reopening, on_ready)
        self._begun.add(fetch)
        if is_ordered:
            self._next.put_nowait(fetch)

    async def _longest_first(self, same: list[Found]) -> list[Found]:
        """Sort objects that begin with the same record: what lies within another comes after it.

        Only where the fanout or the suffix has changed between a failure and its retry are there
        several; then each is opened once more.
        """
        if len(same) == 1 or self._covering is None:
            return same
        lasts = await side_by_side(self._last, same, self._concurrency)
        in_order = sorted(zip(lasts, same, strict=True), key=lambda pair: -pair[0])
        return [found for _, found in in_order]

    async def _last(self, found: Found) -> int:
        metadata: Mapping[str, str] = {}
        with suppress(BatcherError):  # it is told when the object is read
            async with Steady(self._reader, found.name.key, self._reopening) as body:
                metadata = body.stored.metadata
        known = range_of(found.name, metadata)
        return 0 if known is None else known.last


def _ignore(fetch: Fetch) -> None:
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

    def __init__(self, fetch: Fetch, max_line_bytes: int) -> None:
        """Give what `fetch` brings."""
        self._fetch = fetch
        self._max_line_bytes = max_line_bytes
        self._is_read = False

    def __repr__(self) -> str:
        return f"<ReadObject {self.key} size_bytes={self.size_bytes}>"

    @property
    def key(self) -> str:
        """Its full name."""
        return self._fetch.found.name.key

    @property
    def partition(self) -> str:
        """The folders between salt and name; of quarantine those from `_quarantine` on."""
        return self._fetch.found.name.partition

    @property
    def size_bytes(self) -> int:
        """Bytes of the object, as it lies in the store."""
        return self._fetch.found.listed.size_bytes

    @property
    def modified_s(self) -> float:
        """When it was written, in seconds since 1970."""
        return self._fetch.found.listed.modified_s

    @property
    def metadata(self) -> Mapping[str, str]:
        """What stands on it: `batcher-records`, `batcher-first` and so on.

        Empty where it could not be opened; reading its lines says why.
        """
        return {} if self._fetch.stored is None else self._fetch.stored.metadata

    @property
    def records(self) -> int | None:
        """How many records are in it, if its metadata tells; that of a streamed upload does not."""
        said = self.metadata.get(RECORDS, "")
        return int(said) if said.isdecimal() else None

    async def __aiter__(self) -> AsyncGenerator[list[bytes], None]:
        """Give its lines, without their newlines, many at a time."""
        with _naming(self.key):
            async with aclosing(lines(self._blocks(), self._max_line_bytes)) as found:
                async for some in found:
                    yield some

    async def texts(self) -> AsyncGenerator[bytes, None]:
        """Give its text instead, in pieces that end where a line ends."""
        with _naming(self.key):
            async with aclosing(whole_lines(self._blocks(), self._max_line_bytes)) as found:
                async for text in found:
                    yield text

    def _blocks(self) -> AsyncGenerator[bytes, None]:
        if self._is_read:
            msg = f"{self.key}: its lines can be read once"
            raise RuntimeError(msg)
        self._is_read = True
        return self._fetch.blocks()


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Say which object is damaged."""
    try:
        yield
    except DamagedError as error:
        msg = f"{key}: {error}"
        raise DamagedError(msg) from error
