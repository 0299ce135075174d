"""Verify: objects are read concurrently, with retries, and each is checked."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from batcher.errors import NotInstalledError, RejectedError, RetryableError
from batcher.keys.names import salt
from batcher.reading.findings import Finding, FindingKind
from batcher.stores import ObjectAttributes
from batcher.stores.base import ListEntry, ObjectBody, OpenUpload
from batcher.stores.memory import MemoryStore
from batcher.tools.verify.report import MAX_FINDINGS_PER_KIND, VerifyReport, format_age
from batcher.tools.verify.verify import MAX_READS, Verifier

TEXT = b'{"a":1}\n{"b":2}\n'
CONCURRENCY = 3


class Store(MemoryStore):
    """A store whose reads can be made to fail. Counts concurrent reads."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.failing: Callable[[str, int], Exception | None] = lambda _key, _reads: None
        self.reads: dict[str, int] = {}
        self.at_once = self.most_at_once = 0

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """See `ObjectReader.list_objects`."""
        if error := self.failing("list", 0):
            raise error
        async for listed in super().list_objects(prefix):
            yield listed

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """See `ObjectReader.list_uploads`."""
        if error := self.failing("uploads", 0):
            raise error
        async for upload in super().list_uploads(prefix):
            yield upload

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Fail halfway, if it is to."""
        self.reads[key] = self.reads.get(key, 0) + 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            async with super().open_object(key) as opened:
                error = self.failing(key, self.reads[key])
                pieces = _broken(opened.pieces, error) if error else opened.pieces
                yield ObjectBody(opened.info, opened.content_type, pieces)
        finally:
            self.at_once -= 1


async def _broken(pieces: AsyncIterator[bytes], error: Exception) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece[: len(piece) // 2]
        await asyncio.sleep(0)
        raise error


def key_of(first: int, partition: str = "dt=2026-11-23") -> str:
    """Return the key of a stream's object."""
    name = f"orders-shardId-000000000003-{first:064d}"
    return f"r/{salt(name, 16)}/{partition}/{name}.ndjson.gz"


async def put(store: MemoryStore, key: str, first: int, last: int, text: bytes = TEXT) -> None:
    """Write an object as batcher does."""
    metadata = {
        "batcher-records": str(text.count(b"\n")),
        "batcher-bytes": str(len(text)),
        "batcher-crc32": f"{zlib.crc32(text):08x}",
        "batcher-first": str(first),
        "batcher-last": str(last),
    }
    await store.put(key, gzip.compress(text, mtime=0), ObjectAttributes(metadata=metadata))


async def verified(store: MemoryStore, *, are_overlaps_fine: bool = False) -> VerifyReport:
    """Verify everything under the root `r`."""
    report = VerifyReport(are_overlaps_fine)
    verify = Verifier(store, "r", report, CONCURRENCY)
    await verify.run(lambda: 7200.0, lambda: None)
    assert verify.total_bytes == verify.read_bytes
    return report


@pytest.fixture
def store() -> Store:
    return Store()


async def test_a_clean_root_is_counted(store: Store) -> None:
    """By stream and shard, from the first number to the last."""
    for first in range(10, 50, 10):
        await put(store, key_of(first), first, first + 9)
    await put(store, "elsewhere", 1, 1)
    await put(store, "r2/neighbour", 1, 1)
    report = await verified(store)
    assert report.is_clean
    assert (report.objects, report.records, report.text_bytes) == (4, 8, 4 * len(TEXT))
    (held,) = report.streams
    assert (held.stream, held.shard) == ("orders", "shardId-000000000003")
    assert (held.objects, held.records, held.first, held.last) == (4, 8, 10, 49)


async def test_no_more_objects_are_read_at_once_than_allowed(store: Store) -> None:
    """And no fewer, if there are enough."""
    for first in range(20):
        await put(store, key_of(first), first, first)
    await verified(store)
    assert store.most_at_once == CONCURRENCY


async def test_an_object_whose_body_ended_early_is_read_again_from_its_start(store: Store) -> None:
    """The first half is not counted."""
    await put(store, key_of(1), 1, 2)
    store.failing = lambda _, reads: RetryableError("early") if 0 < reads < MAX_READS else None
    report = await verified(store)
    assert report.is_clean
    assert report.records == 2
    assert store.reads == {key_of(1): MAX_READS}


@pytest.mark.parametrize("error", [RetryableError("busy"), RejectedError("denied")])
async def test_an_object_that_cannot_be_read_is_a_finding_and_the_others_are_read(
    store: Store, error: Exception
) -> None:
    """A busy store is retried, a refusal is not."""
    await put(store, key_of(1), 1, 2)
    await put(store, key_of(3), 3, 4)
    store.failing = lambda key, _: error if key == key_of(1) else None
    report = await verified(store)
    assert report.findings == [Finding(FindingKind.UNREADABLE, key_of(1), str(error))]
    assert report.objects == 1
    assert store.reads[key_of(1)] == (MAX_READS if isinstance(error, RetryableError) else 1)


async def test_an_object_that_was_removed_meanwhile_is_no_finding(store: Store) -> None:
    """A lifecycle rule may run at the same time."""
    await put(store, key_of(1), 1, 2)

    class Gone(Store):
        async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
            async for listed in super().list_objects(prefix):
                yield listed
            yield ListEntry(key_of(9), 7, "", 0.0)

    gone = Gone()
    gone.objects = store.objects
    report = await verified(gone)
    assert report.is_clean
    assert report.removed_objects == 1


async def test_a_root_that_cannot_be_listed_is_an_error(store: Store) -> None:
    """There is nothing to report."""
    store.failing = lambda key, _: RejectedError("denied") if key == "list" else None
    with pytest.raises(RejectedError, match="denied"):
        await verified(store)


async def test_uploads_that_cannot_be_listed_are_a_finding(store: Store) -> None:
    """Objects are checked all the same."""
    await put(store, key_of(1), 1, 2)
    store.failing = lambda key, _: RejectedError("denied") if key == "uploads" else None
    report = await verified(store)
    assert report.objects == 1
    (found,) = report.findings
    assert found.kind is FindingKind.UNREADABLE
    assert "open uploads cannot be listed: denied" in found.detail


async def test_overlaps_are_found_across_salts_but_not_across_partitions(store: Store) -> None:
    """An object's salt is derived from its first number, so it can be any."""
    await put(store, key_of(1), 1, 5)
    await put(store, key_of(5), 5, 9)
    await put(store, key_of(1, "dt=2026-11-24"), 1, 5)
    (found,) = (await verified(store)).findings
    assert (found.kind, found.key) == (FindingKind.OVERLAP, key_of(5))
    assert found.detail == f"5 to 9 overlaps 1 to 5 of {key_of(1)}"
    assert (await verified(store, are_overlaps_fine=True)).is_clean


async def test_a_worker_that_fails_ends_the_others(store: Store) -> None:
    """An exception that is not the store's is a bug, and is raised."""
    for first in range(9):
        await put(store, key_of(first), first, first)
    store.failing = lambda key, _: ZeroDivisionError() if key == key_of(4) else None
    with pytest.raises(ZeroDivisionError):
        await verified(store)
    assert store.at_once == 0


async def test_findings_are_listed_up_to_a_limit_and_all_are_counted(store: Store) -> None:
    """A million foreign objects do not fill the memory."""
    for number in range(MAX_FINDINGS_PER_KIND + 5):
        await store.put(f"r/{number}.csv", b"", ObjectAttributes())
    report = await verified(store)
    assert report.finding_counts == {FindingKind.FOREIGN: MAX_FINDINGS_PER_KIND + 5}
    assert len(report.findings) == MAX_FINDINGS_PER_KIND


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (7, "7 s"), (150, "2 min"), (7_200, "2 h"), (2_000_000, "23 days")],
)
def test_an_age_is_formatted_for_people(seconds: float, shown: str) -> None:
    """In a suitable unit."""
    assert format_age(seconds) == shown


async def test_uploads_that_cannot_be_listed_without_a_package_are_no_finding(store: Store) -> None:
    """Everything else is verified, and the report says what was left out."""
    await put(store, key_of(1), 1, 2)
    store.failing = lambda key, _: NotInstalledError("needs boto3") if key == "uploads" else None
    report = await verified(store)
    assert report.is_clean
    assert report.objects == 1
    assert report.uploads_unchecked == "needs boto3"
    assert report.as_dict("s3://b")["uploads_unchecked"] == "needs boto3"
