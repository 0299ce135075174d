"""Read objects: the objects under a root, across all salts, read a few objects ahead.

A feeder task goes through the catalog and starts a `Prefetch` for each object, at most
`concurrency` at a time. An object counts until the next one is requested. So memory is bounded for
any number and size of objects: a few blocks of text per started object, and the keys of one day.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batcher.concurrency import map_concurrently, shielded
from batcher.errors import BatcherError, DamagedError, shorten
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
    from batcher.settings.types import AddressingStyle, RequestPayer
    from batcher.stores.base import ObjectReader

MAX_LINE_BYTES = 64 * MIB

log: logging.Logger = logging.getLogger("batcher")


def log_finding(finding: Finding) -> None:
    """Log an object that was left out, or an overlap, as a warning."""
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
    region: str = "",
    endpoint_url: str = "",
    addressing_style: AddressingStyle = "auto",
    role_arn: str = "",
    external_id: str = "",
    expected_bucket_owner: str = "",
    request_payer: RequestPayer = "",
    on_finding: Callable[[Finding], None] = log_finding,
) -> ReadObjects:
    """Read objects back, decoded, across all salts. Use it as `async with … as objects`.

    No request is sent before the `async with`. Leaving it closes all connections.

    Args:
        place: `s3://bucket/root`, the path of a folder, or `file://folder`.
        since: only objects that may have records that arrived at this time or later. A `datetime`
            with a time zone, a `date` (from midnight UTC), or a text: an ISO 8601 date or date-time
            (UTC unless it names a time zone), or an age such as `2h`.
        until: only objects that may have records that arrived before this time.
        partition: folders that a partition must have: `dt=2026-11-23/hour=*`, `customer=acme`.
        ordered: return objects by time, as far as their keys have it; otherwise as they arrive.
        quarantine: read quarantined records instead of the data.
        covered: include records of a stream that another object has, too.
        concurrency: objects open at the same time. Each takes up to 8 MB of memory, typically 2 MB.
        max_line_bytes: an object with a longer line counts as damaged. Only the object that is
            being read can take this much memory.
        region: of the bucket; empty: from the environment, as for every AWS SDK.
        endpoint_url: the S3 endpoint; empty: from the environment, or Amazon's.
        addressing_style: where requests name the bucket: `virtual` (in the host) or `path`.
        role_arn: an IAM role to assume. It needs botocore.
        external_id: what the trust policy of `role_arn` asks for.
        expected_bucket_owner: the account that must own the bucket. It needs the extra `aioboto3`.
        request_payer: `requester` for a Requester Pays bucket.
        on_finding: called, instead of logging, for each object that is left out, in part or whole
            (foreign, covered, duplicate), and for each overlap that cannot be compared.

    Raises:
        SettingsError: an argument is invalid. The message has every fault.
    """
    destination = parse_destination(place)
    settings = Settings(
        bucket=destination["bucket"],
        root=destination["root"],
        concurrency=concurrency,
        region=region,
        endpoint_url=endpoint_url,
        addressing_style=addressing_style,
        role_arn=role_arn,
        external_id=external_id,
        expected_bucket_owner=expected_bucket_owner,
        request_payer=request_payer,
    )
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
    """Async iterator over the objects. Reading the lines of an object raises its errors.

    Raises, when the next object is requested:
        BatcherError: the objects cannot be listed.
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
        """Read the objects under the root of `settings`. Takes ownership of `reader`."""
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

    @property
    def passed_over(self) -> Collection[str]:
        """Some partitions that the selection excludes; see `Catalog`."""
        return self._catalog.passed_over

    async def __aenter__(self) -> Self:
        """Start listing and reading ahead."""
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
        """Stop all tasks and close all connections, even if the caller is cancelled meanwhile."""
        await shielded(self._release_all())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReadObject:
        """Return the next object, and close the one before it."""
        if self._feeder_task is None:
            msg = (
                "read_objects: not entered; iterate inside `async with read_objects(…) as objects`"
            )
            raise RuntimeError(msg)
        await self._release_current()
        while not self._is_done:
            prefetch = self._awaited or await self._ready_queue.get()
            if not isinstance(prefetch, Prefetch):
                self._is_done = True
                if prefetch is not None:
                    raise shorten(prefetch) if isinstance(prefetch, BatcherError) else prefetch
                break
            self._awaited = prefetch  # kept for the next call if this one is cancelled
            await prefetch.ready.wait()
            self._awaited, self._current = None, prefetch
            if not prefetch.is_covered:
                return ReadObject(prefetch, self._max_line_bytes)
            await self._release_current()
        raise StopAsyncIteration

    async def _release_current(self) -> None:
        """Close the object that was returned last, and free its slot."""
        prefetch, self._current = self._current, None
        if prefetch is not None:
            self._active.discard(prefetch)
            self._open_slots.release()
            await prefetch.stop()

    async def _release_all(self) -> None:
        self._is_done = True
        self._ready_queue.put_nowait(None)  # ends a waiting `__anext__`
        if self._feeder_task is not None:
            self._feeder_task.cancel()
            await asyncio.wait({self._feeder_task})
        for prefetch in self._active:
            await prefetch.stop()
        self._active.clear()
        await self._reader.aclose()

    async def _start_all(self) -> None:
        """Start a prefetch per object, in the order of the catalog, as slots become free."""
        end: Exception | None = None
        try:
            async with aclosing(self._catalog.groups(ordered=self._ordered)) as groups:
                async for group in groups:
                    if self._overlap_tracker is not None:
                        self._overlap_tracker.reset()
                    for entries in group_by_first_record(group):
                        for entry in await self._longest_first(entries):
                            await self._open_slots.acquire()
                            self._start_prefetch(entry)
            for _ in range(self._concurrency):
                await self._open_slots.acquire()  # waits until the last object is closed
        except Exception as error:  # noqa: BLE001  # raised by `__anext__`
            end = error
        self._ready_queue.put_nowait(end)

    def _start_prefetch(self, entry: CatalogEntry) -> None:
        on_ready = _ignore if self._ordered else self._ready_queue.put_nowait
        prefetch = Prefetch(
            self._reader, entry, self._overlap_tracker, self._reopen_policy, on_ready
        )
        self._active.add(prefetch)
        if self._ordered:
            self._ready_queue.put_nowait(prefetch)

    async def _longest_first(self, entries: list[CatalogEntry]) -> list[CatalogEntry]:
        """Sort objects that begin with the same record: a covered one follows what covers it.

        There are several only if the fanout or the suffix was changed between a failure and its
        retry. In that case each object is opened one more time.
        """
        if len(entries) == 1 or self._overlap_tracker is None:
            return entries
        lasts = await map_concurrently(self._read_last, entries, self._concurrency)
        longest_first = sorted(zip(lasts, entries, strict=True), key=lambda pair: -pair[0])
        return [entry for _, entry in longest_first]

    async def _read_last(self, entry: CatalogEntry) -> int:
        """Return the last sequence number of an object, or 0 if it cannot be read."""
        metadata: Mapping[str, str] = {}
        with suppress(BatcherError):  # reading the object's lines raises it again
            async with ResumableBody(
                self._reader, entry.parsed_key.key, self._reopen_policy
            ) as body:
                metadata = body.info.metadata
        sequence_range = read_sequence_range(entry.parsed_key, metadata)
        return 0 if sequence_range is None else sequence_range.last


def _ignore(prefetch: Prefetch) -> None:
    """Do nothing: an ordered read puts its prefetches into the queue when it starts them."""
    del prefetch


class ReadObject:
    """One object. Its lines can be read once, and only until the next object is requested.

    Reading the lines raises the errors of this object. The next object can be requested after one.

    - `RetryableError`: the store failed repeatedly, or the object was replaced while it was read.
      Read it again later.
    - `RejectedError`: the store refuses the request. The message says what to do.
    - `NotFoundError`: the object was deleted after it was listed.
    - `DamagedError`: it cannot be read to its end. All lines before the damage were returned.
    """

    def __init__(self, prefetch: Prefetch, max_line_bytes: int) -> None:
        """Return the lines that `prefetch` reads."""
        self._prefetch = prefetch
        self._max_line_bytes = max_line_bytes
        self._is_read = False

    def __repr__(self) -> str:
        return f"<ReadObject {self.key} size_bytes={self.size_bytes}>"

    @property
    def key(self) -> str:
        """The key, including the root."""
        return self._prefetch.entry.parsed_key.key

    @property
    def partition(self) -> str:
        """The folders between salt and name. In quarantine, those from `_quarantine` on."""
        return self._prefetch.entry.parsed_key.partition

    @property
    def size_bytes(self) -> int:
        """The stored size, which is usually compressed."""
        return self._prefetch.entry.list_entry.size_bytes

    @property
    def modified_s(self) -> float:
        """The time when it was written, in seconds since 1970."""
        return self._prefetch.entry.list_entry.modified_s

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata: `batcher-records`, `batcher-first` and so on.

        Empty if the object could not be opened. Reading its lines raises the reason.
        """
        return {} if self._prefetch.info is None else self._prefetch.info.metadata

    @property
    def records(self) -> int | None:
        """The number of records from the metadata. None for example after a streamed upload."""
        text = self.metadata.get(METADATA_RECORDS, "")
        return int(text) if text.isdecimal() else None

    @property
    def duplicates(self) -> int:
        """The number of lines that are left out, because an earlier object has their records."""
        return len(self._prefetch.left_out.lines)

    async def __aiter__(self) -> AsyncGenerator[list[bytes], None]:
        """Yield lists of lines, without their newlines."""
        with _key_in_errors(self.key):
            async with aclosing(split_into_lines(self._blocks(), self._max_line_bytes)) as lists:
                async for lines in lists:
                    yield lines

    async def texts(self) -> AsyncGenerator[bytes, None]:
        """Yield the text instead, in pieces of whole lines."""
        with _key_in_errors(self.key):
            async with aclosing(align_to_lines(self._blocks(), self._max_line_bytes)) as texts:
                async for text in texts:
                    yield text

    def _blocks(self) -> AsyncGenerator[bytes, None]:
        if self._is_read:
            msg = f"{self.key}: lines can be read only once; read the object again"
            raise RuntimeError(msg)
        self._is_read = True
        return self._prefetch.blocks()


@contextmanager
def _key_in_errors(key: str) -> Iterator[None]:
    """Add the key to the message of a `DamagedError`, and shorten every error."""
    try:
        yield
    except DamagedError as error:
        msg = f"{key}: {error}"
        raise DamagedError(msg) from error.__cause__
    except BatcherError as error:
        raise shorten(error)  # noqa: B904  # the same
