"""ObjectReader: what every reader promises, shown on each of them."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batcher.errors import BatcherError, NotFoundError
from batcher.limits import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores import MultipartUpload, ObjectAttributes, ObjectReader, ObjectStore, open_reader
from batcher.stores.base import CommonPrefix
from batcher.stores.file_reader import FileReader
from batcher.stores.memory import MemoryStore
from integration.contract.test_store import ABOUT, KEY, KEYS, noise
from support.examples import make_settings
from support.s3_servers import Moto, S3Server
from support.store_fixtures import (
    READERS,
    FileStoreFixture,
    MemoryStoreFixture,
    S3StoreFixture,
    StoreFixture,
)

PIECE_BYTES = 1024**2
DAY_S = 86_400


SERVED = [f"{server}-{engine}" for server in ("moto", "seaweedfs") for engine in READERS]


@pytest.fixture(params=["memory", "file", *SERVED])
def store_fixture(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> StoreFixture:
    """Return each kind of store, empty."""
    if request.param == "memory":
        return MemoryStoreFixture(MemoryStore())
    if request.param == "file":
        return FileStoreFixture(tmp_path / "objects")
    name, engine = request.param.split("-")
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


@pytest.fixture
async def reader(store_fixture: StoreFixture) -> AsyncIterator[ObjectReader]:
    """Return a reader of the same place, and close it."""
    opened = store_fixture.open_reader()
    yield opened
    await opened.aclose()


async def listed(reader: ObjectReader, prefix: str) -> list[str]:
    """Return the keys under a prefix; in what order is each server's own affair."""
    return sorted([found.key async for found in reader.list_objects(prefix)])


async def test_nothing_is_listed_where_nothing_is(reader: ObjectReader) -> None:
    """A folder that is not there holds nothing."""
    assert await listed(reader, "") == []
    assert await listed(reader, "events/") == []
    assert [found async for found in reader.list_uploads("")] == []
    assert [found async for found in reader.list_folder("")] == []


async def test_every_object_is_listed_once_page_by_page(
    store: ObjectStore, reader: ObjectReader
) -> None:
    """Keys come as they are, whatever stands in them; readers of S3 list two a page here."""
    for key in KEYS:
        await store.put(key, b"x", ABOUT)
    assert await listed(reader, "") == sorted(KEYS)


async def test_a_prefix_is_the_start_of_a_key(store: ObjectStore, reader: ObjectReader) -> None:
    """It need not end where a folder does, and a folder's name may go on."""
    keys = ["ab/c/1", "ab/c/2", "ab/d", "abc", "b/ab"]
    for key in keys:
        await store.put(key, b"x", ABOUT)
    for prefix in ("", "a", "ab", "ab/", "ab/c", "ab/c/", "ab/c/1", "ab/c/1/", "abc", "b/a", "x"):
        assert await listed(reader, prefix) == [key for key in keys if key.startswith(prefix)]


async def in_folder(reader: ObjectReader, prefix: str) -> list[str]:
    """Return what lies directly under a prefix: keys, and folders by the slash at their ends."""
    found = [entry async for entry in reader.list_folder(prefix)]
    return sorted(entry.prefix if isinstance(entry, CommonPrefix) else entry.key for entry in found)


async def test_a_folder_is_what_lies_directly_in_it(
    store: ObjectStore, reader: ObjectReader
) -> None:
    """Each folder once, however many objects and pages it has; a prefix may end within a name."""
    for key in ("0/dt=1/a", "0/dt=1/b/c", "0/dt=2/a", "0/x", "0/y", "01/dt=1/a", "0-", "z"):
        await store.put(key, b"x", ABOUT)
    for number in range(5):
        await store.put(f"0/dt=3/{number}", b"x", ABOUT)
    expected = {
        "": ["0-", "0/", "01/", "z"],
        "0": ["0-", "0/", "01/"],
        "0/": ["0/dt=1/", "0/dt=2/", "0/dt=3/", "0/x", "0/y"],
        "0/d": ["0/dt=1/", "0/dt=2/", "0/dt=3/"],
        "0/dt=1": ["0/dt=1/"],
        "0/dt=1/": ["0/dt=1/a", "0/dt=1/b/"],
        "0/x": ["0/x"],
        "0/x/": [],
        "nothing/": [],
    }
    assert {prefix: await in_folder(reader, prefix) for prefix in expected} == expected


async def test_an_object_in_a_folder_is_as_a_listing_tells_it(
    store: ObjectStore, reader: ObjectReader
) -> None:
    """With size, tag and time; names are as they are, whatever stands in them."""
    for key in KEYS:
        await store.put(key, b"hello\n", ABOUT)
    for key in KEYS:
        (whole,) = [found async for found in reader.list_objects(key)]
        folder, slash, _ = key.rpartition("/")
        assert whole in [entry async for entry in reader.list_folder(f"{folder}{slash}")]


async def test_an_empty_object_is_an_object(store: ObjectStore, reader: ObjectReader) -> None:
    """Not the marker of a folder, also where a folder has its name and more."""
    keys = ["e/a", "e/a-/x", "e/b/c", "f"]
    for key in keys:
        await store.put(key, b"", ABOUT)
    assert await listed(reader, "") == keys
    assert await listed(reader, "e/") == keys[:3]
    assert await in_folder(reader, "") == ["e/", "f"]
    assert await in_folder(reader, "e/") == ["e/a", "e/a-/", "e/b/"]
    for key in keys:
        async with reader.open_object(key) as opened:
            assert [piece async for piece in opened.pieces] == []


async def test_a_listing_tells_size_tag_and_time(
    store_fixture: StoreFixture, store: ObjectStore, reader: ObjectReader
) -> None:
    """As HEAD has them."""
    stored = await store.put(KEY, b"hello\n", ABOUT)
    (found,) = [found async for found in reader.list_objects("events/")]
    assert (found.key, found.size_bytes, found.etag) == (KEY, 6, stored.etag)
    if not isinstance(store_fixture, MemoryStoreFixture):
        assert abs(found.modified_s - time.time()) < DAY_S


async def test_an_object_is_read_back_in_pieces(store: ObjectStore, reader: ObjectReader) -> None:
    """With all it carries; no piece is larger than 1 MiB, and none is empty."""
    for size_bytes in (0, 1, PIECE_BYTES, 3 * PIECE_BYTES + 1):
        key, body = f"{KEY}/{size_bytes}", noise(size_bytes)
        stored = await store.put(key, body, ABOUT)
        async with reader.open_object(key) as opened:
            assert opened.info == stored
            assert opened.info.metadata == ABOUT.metadata
            assert opened.content_type == "application/gzip"
            pieces = [piece async for piece in opened.pieces]
        assert b"".join(pieces) == body
        assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)


async def test_an_object_is_read_by_its_key_as_it_is(
    store: ObjectStore, reader: ObjectReader
) -> None:
    """Nothing is decoded or joined."""
    for key in KEYS:
        await store.put(key, key.encode(), ABOUT)
        async with reader.open_object(key) as opened:
            assert b"".join([piece async for piece in opened.pieces]) == key.encode()


async def test_many_objects_are_read_side_by_side(store: ObjectStore, reader: ObjectReader) -> None:
    """And each is its own."""

    async def read(number: int) -> bytes:
        async with reader.open_object(f"k/{number}") as opened:
            return b"".join([piece async for piece in opened.pieces])

    for number in range(24):
        await store.put(f"k/{number}", b"%d" % number, ABOUT)
    assert await asyncio.gather(*map(read, range(24))) == [b"%d" % n for n in range(24)]


async def test_reading_may_stop_halfway(store: ObjectStore, reader: ObjectReader) -> None:
    """The reader goes on with the next object; nothing is left open, or a warning would fail us."""
    await store.put(KEY, noise(4 * PIECE_BYTES), ABOUT)
    for _ in range(3):
        async with reader.open_object(KEY) as opened:
            async for _piece in opened.pieces:
                break
    async with reader.open_object(KEY) as opened:
        assert sum([len(piece) async for piece in opened.pieces]) == 4 * PIECE_BYTES


async def test_an_object_that_is_not_there_is_not_found(
    store: ObjectStore, reader: ObjectReader
) -> None:
    """Not even where a folder has its name, or a file the name of its folder."""
    await store.put(f"{KEY}2", b"x", ABOUT)
    for missing in ("nothing", KEY, "events/1100", f"{KEY}2/below"):
        with pytest.raises(NotFoundError):
            await _read(reader, missing)


async def _read(reader: ObjectReader, key: str) -> None:
    async with reader.open_object(key) as opened:
        async for _ in opened.pieces:
            pass


async def _open_uploads(store: ObjectStore, *keys: str) -> list[MultipartUpload]:
    uploads = []
    for key in keys:
        upload = await store.create_upload(key, ABOUT, part_bytes=MIN_PART_BYTES)
        await upload.put_part(1, b"part")
        uploads.append(upload)
    return uploads


async def test_open_uploads_are_listed_until_they_are_aborted_or_complete(
    store_fixture: StoreFixture, store: ObjectStore, reader: ObjectReader
) -> None:
    """By key and by when they were opened; none of them is an object."""
    uploads = await _open_uploads(store, "e/1", "e/1", "e/2", "e/3", "other/4")
    found = [upload async for upload in reader.list_uploads("e/")]
    assert len(found) == 4
    if isinstance(store_fixture, FileStoreFixture):
        assert all(upload.key.startswith("e/.") for upload in found)
    else:
        assert sorted(upload.key for upload in found) == ["e/1", "e/1", "e/2", "e/3"]
    is_moto = isinstance(store_fixture, S3StoreFixture) and isinstance(store_fixture.server, Moto)
    if not (
        isinstance(store_fixture, MemoryStoreFixture) or is_moto
    ):  # moto says 2010 of every upload
        assert all(abs(upload.started_s - time.time()) < DAY_S for upload in found)
    assert await listed(reader, "") == []
    await uploads[0].abort()
    await uploads[2].complete()
    assert len([upload async for upload in reader.list_uploads("e/")]) == 2
    assert await listed(reader, "") == ["e/2"]
    for upload in (uploads[1], *uploads[3:]):
        await upload.abort()
    assert [upload async for upload in reader.list_uploads("")] == []


async def test_a_bucket_that_is_not_there_is_named(store_fixture: StoreFixture) -> None:
    """What to do about it stands in the message."""
    if not isinstance(store_fixture, S3StoreFixture):
        pytest.skip("a folder that is not there is empty")
    reader = READERS[store_fixture.engine](Settings(bucket=f"{store_fixture.bucket}-gone"))
    try:
        with pytest.raises(BatcherError, match="create it, or correct `bucket`"):
            await listed(reader, "")
        with pytest.raises(BatcherError, match="create it, or correct `bucket`"):
            await in_folder(reader, "")
        with pytest.raises(BatcherError, match="create it, or correct `bucket`"):
            await _read(reader, KEY)
    finally:
        await reader.aclose()


async def test_what_settings_name_is_what_is_read(tmp_path: Path) -> None:
    """A folder or a bucket; nothing connects before the first request."""
    folder = open_reader(Settings(bucket=f"file://{tmp_path}/x"))
    assert isinstance(folder, FileReader)
    assert folder.folder == tmp_path / "x"
    for engine, kind in READERS.items():
        bucket = open_reader(make_settings(bucket="my-bucket", engine=engine))
        assert type(bucket) is kind
        assert repr(bucket) == f"{kind.__name__}('my-bucket')"
        await bucket.aclose()


async def test_metadata_that_a_crash_left_out_is_none(tmp_path: Path) -> None:
    """The object is read all the same; other dot-files are neither objects nor uploads."""
    store_fixture = FileStoreFixture(tmp_path)
    await store_fixture.open().put("a/b", b"x", ObjectAttributes("text/plain", {"n": "1"}))
    (tmp_path / ".meta/a/b.json").write_bytes(b"{")
    (tmp_path / "a/.DS_Store").write_bytes(b"")
    reader = store_fixture.open_reader()
    assert [(o.key, o.etag) async for o in reader.list_objects("")] == [("a/b", "")]
    assert await in_folder(reader, "") == ["a/"]
    assert await in_folder(reader, "a/") == ["a/b"]
    assert [upload async for upload in reader.list_uploads("")] == []
    async with reader.open_object("a/b") as opened:
        assert (opened.info.metadata, opened.content_type) == ({}, "")


async def test_a_file_is_closed_also_if_its_opening_was_cancelled(tmp_path: Path) -> None:
    """Else a warning would fail us when it is collected."""
    store_fixture = FileStoreFixture(tmp_path)
    await store_fixture.open().put("a/b", b"x", ABOUT)
    for _ in range(20):
        opening = asyncio.ensure_future(_read(store_fixture.open_reader(), "a/b"))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    gc.collect()


async def test_a_folder_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, with what to look at."""
    await FileStoreFixture(tmp_path).open().put("a/b", b"x", ABOUT)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    reader = FileReader(tmp_path)
    monkeypatch.setattr("os.open", denied)
    with pytest.raises(BatcherError, match="cannot read a/b: Permission denied; check who"):
        await _read(reader, "a/b")
    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(BatcherError, match=r"cannot read .*: Permission denied; check who"):
        await listed(reader, "")
    with pytest.raises(BatcherError, match=r"cannot read .*: Permission denied; check who"):
        await in_folder(reader, "")


async def test_moto_is_a_server_of_many_pages(
    moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More objects than S3 gives on one page."""
    moto.create_bucket(bucket)
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    for number in range(25):
        moto.client.put_object(Bucket=bucket, Key=f"k/{number:02d}", Body=b"x")
    for kind in READERS.values():
        reader = kind(Settings(bucket=bucket), page_objects=10)
        assert await listed(reader, "k/") == [f"k/{number:02d}" for number in range(25)]
        await reader.aclose()
