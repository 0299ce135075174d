"""ObjectStore: what every store promises, shown on each of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batcher.errors import BatcherError, PreconditionFailedError, RetryableError
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes, ObjectStore
from batcher.stores.memory import MemoryStore
from batcher.stores.obstore.store import ObstoreStore
from support.s3_servers import Moto, S3Server
from support.store_fixtures import (
    ENGINES,
    CallersStoreFixture,
    FileStoreFixture,
    MemoryStoreFixture,
    RateLimitedStoreFixture,
    S3StoreFixture,
    StoreFixture,
)

KEY = "events/1100/dt=2026-11-23/hour=07/my-queue-0001.ndjson.gz"
KEYS = [
    KEY,
    "events/customer=%2E%2E%2Fx/a.ndjson.gz",
    "events/city=S%C3%A3o%20Paulo/a.ndjson",
    "a+b & c/d=e~f/x y.txt",
    "größe/日本/ü.txt",
    "no-folder",
]
ABOUT = ObjectAttributes(
    "application/gzip",
    {"batcher-records": "3", "batcher-first": "a%20b", "team": "data lake; x=1, y=2"},
)
RACERS = 32


SERVED = [f"{server}-{engine}" for server in ("moto", "seaweedfs") for engine in ENGINES]


@pytest.fixture(params=["memory", "paced", "callers", "file", *SERVED])
def store_fixture(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> StoreFixture:
    """Return each kind of store, empty."""
    if request.param == "memory":
        return MemoryStoreFixture(MemoryStore())
    if request.param == "paced":
        return RateLimitedStoreFixture(MemoryStore())
    if request.param == "callers":
        return CallersStoreFixture(MemoryStore())
    if request.param == "file":
        return FileStoreFixture(tmp_path / "objects")
    name, _, engine = request.param.partition("-")
    server: S3Server = request.getfixturevalue(name)
    server.create_bucket(bucket)
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return S3StoreFixture(server, bucket, engine)


@pytest.fixture
async def store(store_fixture: StoreFixture) -> AsyncIterator[ObjectStore]:
    """Return a store, and close it."""
    opened = store_fixture.open()
    yield opened
    await opened.aclose()


def noise(size_bytes: int, seed: int = 0) -> bytes:
    """Return bytes that nothing compresses, the same for the same seed."""
    return random.Random(seed).randbytes(size_bytes)  # noqa: S311  # no secret


PARTS = [noise(MIN_PART_BYTES, 1), noise(MIN_PART_BYTES, 2), noise(MIN_PART_BYTES, 3), b"tail"]


async def race(store: ObjectStore, if_match: str | None) -> tuple[list[int], list[BatcherError]]:
    """Let many write one key at once; give those who succeeded, and the others' errors."""
    winners: list[int] = []
    errors: list[BatcherError] = []

    async def run(number: int) -> None:
        try:
            await store.put(KEY, b"%d" % number, ABOUT, if_match=if_match)
        except BatcherError as error:
            errors.append(error)
        else:
            winners.append(number)

    await asyncio.gather(*map(run, range(RACERS)))
    return winners, errors


async def test_a_put_creates_an_object_with_all_it_carries(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """Body, Content-Type and metadata come back as they were given, by any way of looking."""
    stored = await store.put(KEY, b"hello\n", ABOUT)
    assert stored.size_bytes == 6
    assert await store.head(KEY) == stored
    assert stored.metadata == ABOUT.metadata
    assert store_fixture.read(KEY) == (b"hello\n", "application/gzip", ABOUT.metadata)


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_is_taken_as_it_is(
    store_fixture: StoreFixture, store: ObjectStore, key: str
) -> None:
    """What stands percent-encoded in a key stays so, and nothing is decoded or joined."""
    stored = await store.put(key, b"x", ABOUT)
    assert await store.head(key) == stored
    assert store_fixture.keys() == {key}
    assert store_fixture.read(key)[0] == b"x"


async def test_parts_go_to_a_key_as_it_is(store_fixture: StoreFixture, store: ObjectStore) -> None:
    """A multipart upload takes the same keys as a PUT."""
    for key in KEYS:
        upload = await store.create_upload(key, ABOUT, part_bytes=MIN_PART_BYTES)
        await upload.put_part(1, b"one part")
        stored = await upload.complete()
        assert await store.head(key) == stored
    assert store_fixture.keys() == set(KEYS)
    assert store_fixture.open_uploads() == 0


async def test_a_put_on_a_taken_key_is_refused(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """What is there stays, with its metadata, even where the same bytes come."""
    stored = await store.put(KEY, b"first", ABOUT)
    for body in (b"second", b"first"):
        with pytest.raises(PreconditionFailedError):
            await store.put(KEY, body, ObjectAttributes("text/plain", {"other": "1"}))
    assert await store.head(KEY) == stored
    assert store_fixture.read(KEY) == (b"first", "application/gzip", ABOUT.metadata)


async def test_a_put_replaces_what_it_names(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """Body, Content-Type and metadata are the new ones, and so is the ETag."""
    old = await store.put(KEY, b"first", ABOUT)
    new = await store.put(
        KEY, b"second", ObjectAttributes("text/plain", {"other": "1"}), if_match=old.etag
    )
    assert new.etag != old.etag
    assert await store.head(KEY) == new
    assert store_fixture.read(KEY) == (b"second", "text/plain", {"other": "1"})


async def test_what_head_saw_can_be_replaced(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """The writer names by `replaces` what HEAD gave it."""
    await store.put(KEY, b"first", ABOUT)
    there = await store.head(KEY)
    assert there is not None
    await store.put(KEY, b"second", ABOUT, if_match=there.etag)
    assert store_fixture.read(KEY)[0] == b"second"


async def test_a_put_that_names_another_object_is_refused(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """A late PUT of somebody who saw an older object changes nothing."""
    old = await store.put(KEY, b"first", ABOUT)
    new = await store.put(KEY, b"second", ABOUT, if_match=old.etag)
    with pytest.raises(PreconditionFailedError):
        await store.put(KEY, b"late", ABOUT, if_match=old.etag)
    assert await store.head(KEY) == new
    assert store_fixture.read(KEY)[0] == b"second"


async def test_a_put_that_replaces_nothing_creates_nothing(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """AWS answers 404 here, others 412; an object would be one that nobody expects."""
    elsewhere = await store.put("elsewhere", b"x", ABOUT)
    with pytest.raises(BatcherError):
        await store.put(KEY, b"body", ABOUT, if_match=elsewhere.etag)
    assert store_fixture.keys() == {"elsewhere"}


async def test_a_part_of_a_body_is_read(store_fixture: StoreFixture, store: ObjectStore) -> None:
    """Its start, its end, or all of it; a caller's own store need not read."""
    body = noise(100_000)
    await store.put(KEY, body, ABOUT)
    can_read = not isinstance(store_fixture, CallersStoreFixture)
    for start, stop in [(0, 1), (0, 70_000), (99_999, 100_000), (0, 100_000)]:
        found = await store.read_range(KEY, start, stop)
        assert found == (body[start:stop] if can_read else None)
    assert await store.read_range("events/none", 0, 1) is None


async def test_head_gives_none_where_a_key_is_free(store: ObjectStore) -> None:
    """A key that another one starts with is free too."""
    await store.put(KEY, b"x", ABOUT)
    assert await store.head("events/none") is None
    assert await store.head(KEY[:-3]) is None


async def test_an_empty_body_is_an_object(store_fixture: StoreFixture, store: ObjectStore) -> None:
    """Nothing special happens to it."""
    stored = await store.put(KEY, b"", ABOUT)
    assert stored.size_bytes == 0
    assert await store.head(KEY) == stored
    assert store_fixture.read(KEY)[0] == b""


async def test_a_closed_store_leaves_its_objects_to_the_next(store_fixture: StoreFixture) -> None:
    """Closing lets go of connections only; another store goes on, and a close twice is fine."""
    first = store_fixture.open()
    stored = await first.put(KEY, b"x", ABOUT)
    await first.aclose()
    await first.aclose()
    second = store_fixture.open()
    there = await second.head(KEY)
    assert there == stored
    await second.put(KEY, b"y", ABOUT, if_match=stored.etag)
    await second.aclose()
    assert store_fixture.read(KEY)[0] == b"y"


def _skip_moto(store_fixture: StoreFixture) -> None:
    if isinstance(store_fixture, S3StoreFixture) and isinstance(store_fixture.server, Moto):
        pytest.skip("moto looks and writes in two steps: now and then two writers win")


@pytest.mark.slow
async def test_of_puts_at_once_one_wins(store_fixture: StoreFixture, store: ObjectStore) -> None:
    """The object is the winner's, and everybody else hears so."""
    _skip_moto(store_fixture)
    winners, errors = await race(store, if_match=None)
    assert len(winners) == 1
    assert store_fixture.read(KEY)[0] == b"%d" % winners[0]
    # 409 is S3's answer where two conditional writes overlap
    assert all(isinstance(e, PreconditionFailedError | RetryableError) for e in errors)


async def test_of_replacements_at_once_one_wins(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """Two invocations that saw the same object cannot both replace it."""
    if isinstance(store_fixture, FileStoreFixture):
        pytest.skip("test_file.py has this with threads that meet for certain")
    _skip_moto(store_fixture)
    old = await store.put(KEY, b"old", ABOUT)
    winners, _ = await race(store, if_match=old.etag)
    assert len(winners) == 1
    assert store_fixture.read(KEY)[0] == b"%d" % winners[0]


async def test_parts_become_an_object(store_fixture: StoreFixture, store: ObjectStore) -> None:
    """Nothing can be seen before `complete`; then it is there whole, with all it carries."""
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    for number in (1, 2, 3, 4):
        await upload.put_part(number, PARTS[number - 1])
    assert await store.head(KEY) is None
    assert store_fixture.keys() == set()
    assert store_fixture.open_uploads() == 1
    stored = await upload.complete()
    whole = b"".join(PARTS)
    assert stored.size_bytes == len(whole)
    assert await store.head(KEY) == stored
    assert store_fixture.read(KEY) == (whole, "application/gzip", ABOUT.metadata)
    assert store_fixture.open_uploads() == 0


async def test_parts_go_side_by_side(store_fixture: StoreFixture, store: ObjectStore) -> None:
    """They are sent in order. Which one ends first does not matter."""
    parts = [PARTS[0], PARTS[1], b"tail"]
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await asyncio.gather(*(upload.put_part(n, body) for n, body in enumerate(parts, 1)))
    await upload.complete()
    assert store_fixture.read(KEY)[0] == b"".join(parts)


async def test_a_part_sent_again_is_no_second_one(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """A request without a response is repeated with the same bytes."""
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, PARTS[0])
    await upload.put_part(1, PARTS[0])
    await upload.put_part(2, b"tail")
    stored = await upload.complete()
    assert stored.size_bytes == MIN_PART_BYTES + 4
    assert store_fixture.read(KEY)[0] == PARTS[0] + b"tail"


async def test_a_complete_on_a_taken_key_is_refused(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """What is there stays; the upload can still be aborted."""
    if isinstance(store, ObstoreStore):
        pytest.skip("obstore completes without a condition: uploads are for fresh keys")
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, b"late")
    there = await store.put(KEY, b"first", ObjectAttributes("text/plain", {"other": "1"}))
    with pytest.raises(PreconditionFailedError):
        await upload.complete()
    assert await store.head(KEY) == there
    assert store_fixture.read(KEY) == (b"first", "text/plain", {"other": "1"})
    await upload.abort()
    assert store_fixture.open_uploads() == 0
    assert store_fixture.keys() == {KEY}


async def test_an_aborted_upload_leaves_nothing(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """No object, no open upload; with and without parts."""
    for numbers in ((), (1,), (1, 2)):
        upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
        for number in numbers:
            await upload.put_part(number, PARTS[number - 1])
        await upload.abort()
    assert store_fixture.open_uploads() == 0
    assert store_fixture.keys() == set()
    assert await store.head(KEY) is None


async def test_a_part_that_is_too_small_is_refused(
    store_fixture: StoreFixture, store: ObjectStore
) -> None:
    """Only the last part may be under 5 MiB; `FileStore`, which does not care, takes it."""
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, noise(MIN_PART_BYTES // 8))

    async def put_the_rest() -> None:
        await upload.put_part(2, b"tail")
        await upload.complete()

    if not isinstance(store_fixture, FileStoreFixture):
        with pytest.raises(BatcherError):
            await put_the_rest()
        assert store_fixture.keys() == set()
    await upload.abort()
    assert store_fixture.open_uploads() == 0
