"""FileStore: which files there are, and when."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from batcher.errors import BatcherError, PreconditionFailedError, RejectedError, RetryableError
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore, translate_errors
from support.store_fixtures import FileStoreFixture

KEY = "events/dt=2026-11-23/a.ndjson"
ABOUT = ObjectAttributes("application/x-ndjson", {"batcher-records": "3"})
WHOLE = {KEY, f".meta/{KEY}.json"}


@pytest.fixture
def store_fixture(tmp_path: Path) -> FileStoreFixture:
    """Return a folder that is not there yet."""
    return FileStoreFixture(tmp_path / "objects")


@pytest.fixture
def store(store_fixture: FileStoreFixture) -> FileStore:
    """Return a store in that folder."""
    return FileStore(store_fixture.folder)


async def test_an_object_is_a_file_and_what_it_carries_another(
    store_fixture: FileStoreFixture, store: FileStore
) -> None:
    """The file has the object's bytes; `.meta/{key}.json` the rest; nothing else is there."""
    stored = await store.put(KEY, b"{}\n", ABOUT)
    assert store_fixture.files() == WHOLE
    assert (store_fixture.folder / KEY).read_bytes() == b"{}\n"
    assert orjson.loads((store_fixture.folder / ".meta" / f"{KEY}.json").read_bytes()) == {
        "etag": stored.etag,
        "content_type": "application/x-ndjson",
        "metadata": {"batcher-records": "3"},
    }


async def test_a_refused_write_leaves_no_temporary_file(
    store_fixture: FileStoreFixture, store: FileStore
) -> None:
    """Whether the key was taken, or another object was to be replaced."""
    await store.put(KEY, b"first", ABOUT)
    for replaces in (None, "other"):
        with pytest.raises(PreconditionFailedError):
            await store.put(KEY, b"second", ABOUT, if_match=replaces)
    assert store_fixture.files() == WHOLE


async def test_a_crash_while_replacing_leaves_no_bytes_under_the_old_digest(
    store_fixture: FileStoreFixture, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a redelivery of what the old object had would be acknowledged, and is not there."""
    first = await store.put(KEY, b"first", ABOUT)
    rename = Path.replace

    class Died(BaseException):
        """What a killed process raises nobody hears."""

    for dies_at in range(1, 4):

        def replace(path: Path, target: Path, left: list[int] = [dies_at]) -> Path:  # noqa: B006  # counts
            left[0] -= 1
            if not left[0]:
                raise Died
            return rename(path, target)

        there = await store.head(KEY)
        assert there is not None
        monkeypatch.setattr(Path, "replace", replace)
        with pytest.raises(Died):
            await store.put(KEY, b"second", ABOUT, if_match=there.etag)
        monkeypatch.undo()
        found = await store.head(KEY)
        assert found is not None
        if (store_fixture.folder / KEY).read_bytes() == b"second":
            assert found.etag != first.etag
            assert found.metadata == {}
    assert (await store.put(KEY, b"third", ABOUT, if_match="")).size_bytes == len(b"third")


async def test_an_upload_is_a_dot_file_beside_its_object(
    store_fixture: FileStoreFixture, store: FileStore
) -> None:
    """Readers that skip dot-files see nothing before it is complete; and it is gone after."""
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, b"x")
    (temporary,) = store_fixture.files()
    assert Path(temporary).name.startswith(".")
    assert Path(temporary).parent == Path(KEY).parent
    await upload.complete()
    assert store_fixture.files() == WHOLE


async def test_a_refused_complete_then_an_abort_leave_no_temporary_file(
    store_fixture: FileStoreFixture, store: FileStore
) -> None:
    """The object that was there keeps its two files."""
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, b"x")
    await store.put(KEY, b"first", ABOUT)
    with pytest.raises(PreconditionFailedError):
        await upload.complete()
    await upload.abort()
    await upload.abort()  # a second one has nothing to do
    assert store_fixture.files() == WHOLE


async def test_an_object_without_its_meta_file_can_be_replaced(
    store_fixture: FileStoreFixture, store: FileStore
) -> None:
    """A crash between the two leaves it so; a redelivery then goes the way of another digest."""
    await store.put(KEY, b"first", ABOUT)
    (store_fixture.folder / ".meta" / f"{KEY}.json").unlink()
    there = await store.head(KEY)
    assert there is not None
    assert there.metadata == {}
    await store.put(KEY, b"second", ABOUT, if_match=there.etag)
    assert (store_fixture.folder / KEY).read_bytes() == b"second"


async def test_of_replacements_at_once_one_wins(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two invocations that saw the same object cannot both replace it."""
    old = await store.put(KEY, b"old", ABOUT)
    meeting = threading.Barrier(2)
    replace = Path.replace

    def slow_replace(path: Path, target: Path) -> Path:
        if target.name == Path(KEY).name:
            with suppress(threading.BrokenBarrierError):
                meeting.wait(0.2)  # both are past the look, or the other one was kept out
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", slow_replace)
    outcomes = await asyncio.gather(
        *(store.put(KEY, body, ABOUT, if_match=old.etag) for body in (b"1", b"2")),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, PreconditionFailedError) for outcome in outcomes) == 1


async def test_a_folder_below_a_file_is_rejected(tmp_path: Path) -> None:
    """Nothing will change by itself; the message says what to look at."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RejectedError, match="check the folder"):
        await FileStore(tmp_path / "file" / "below").put(KEY, b"x", ABOUT)


async def test_a_folder_that_is_a_file_is_rejected(tmp_path: Path) -> None:
    """As above: a disk's space or health is not what to look at."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RejectedError, match="check the folder"):
        await FileStore(tmp_path / "file").put("a.ndjson", b"x", ABOUT)


async def test_a_name_that_no_file_can_have_is_rejected(store: FileStore) -> None:
    """Or it would be tried for ever: no disk's space or health helps."""
    with pytest.raises(RejectedError, match="too long for this file system"):
        await store.put("x" * 300, b"1", ABOUT)


async def test_an_upload_whose_creation_was_cancelled_leaves_no_file(
    store_fixture: FileStoreFixture, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has got the upload, so nobody can abort it."""
    loop = asyncio.get_running_loop()
    entered, go_on, left = asyncio.Event(), threading.Event(), asyncio.Event()
    touch = Path.touch

    def slow_touch(path: Path, mode: int = 0o666, exist_ok: bool = True) -> None:  # noqa: FBT001, FBT002
        loop.call_soon_threadsafe(entered.set)
        go_on.wait()
        touch(path, mode, exist_ok)
        loop.call_soon_threadsafe(left.set)

    monkeypatch.setattr(Path, "touch", slow_touch)
    creating = asyncio.ensure_future(store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES))
    await entered.wait()
    creating.cancel()
    loop.call_later(0.05, go_on.set)  # a store may wait for its thread, or clean up behind it
    await asyncio.wait([creating])
    await left.wait()
    await loop.run_in_executor(None, lambda: None)
    assert store_fixture.files() == set()


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOENT, RetryableError, "check that nothing removes the folder"),
        (errno.ENOSPC, RetryableError, "free some space"),
        (errno.EDQUOT, RetryableError, "free some space"),
        (errno.EIO, RetryableError, "check the disk's health"),
        (errno.EROFS, RejectedError, "who may write to it"),
        (errno.EACCES, RejectedError, "who may write to it"),
        (errno.ENOTDIR, RejectedError, "who may write to it"),
    ],
)
def test_an_error_of_the_system_names_the_path_and_what_to_do(
    number: int, kind: type[BatcherError], advice: str
) -> None:
    """The key alone does not say in which folder."""
    error = OSError(number, os.strerror(number), "/data/a")
    with pytest.raises(kind, match=advice) as caught, translate_errors("a"):
        raise error
    assert str(caught.value).startswith(f"cannot write a: {os.strerror(number)}: '/data/a'; ")
