"""FileStore: what is reported as written survives a power failure, with the names on its way."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count
from pathlib import Path

import pytest

from batcher.errors import (
    BatcherError,
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    UploadLostError,
)
from batcher.handler import make_handler
from batcher.limits import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore, meta_path
from support.examples import kinesis_record
from support.store_fixtures import FileStoreFixture

KEY = "events/dt=2026-11-23/a.ndjson"
OTHER_KEY = "events/dt=2026-11-23/b.ndjson"
ABOUT = ObjectAttributes("application/x-ndjson", {"batcher-records": "3"})


class Disk:
    """Records which files and folders each thread has synced, and can make a sync fail."""

    def __init__(self) -> None:
        self.log: list[tuple[Path, dict[str, int]]] = []
        """The path of each successful sync, with the inodes of the names that were in it before."""
        self.calls = 0
        self.before: Callable[[Path, int], None] = lambda _path, _call: None
        """Called before each sync, with its path and its number from 1."""
        self._fsync = os.fsync

    def fsync(self, descriptor: int) -> None:
        """Sync a file or folder."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.calls += 1
        self.before(path, self.calls)
        with os.scandir(path) if path.is_dir() else nullcontext(()) as entries:
            names = {entry.name: entry.inode() for entry in entries}
        self._fsync(descriptor)
        self.log.append((path, names))

    def lost_names(self, path: Path, log_start: int = 0) -> list[Path]:
        """Return the names on the way to `path` that a power failure would take away."""
        lost = []
        name = path.parent.resolve() / path.name
        synced = dict(self.log[log_start:])
        while name.parent != name and not os.path.ismount(name):
            if synced.get(name.parent, {}).get(name.name) != name.stat().st_ino:
                lost.append(name)
            name = name.parent
        return lost

    def lost_on_return(self, folder: Path, key: str = KEY, log_start: int = 0) -> list[Path]:
        """Return the names on the way to an object and its attributes that would be lost."""
        return [
            *self.lost_names(folder / key, log_start),
            *self.lost_names(meta_path(folder, key), log_start),
        ]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Record every sync."""
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder two levels of which do not exist yet."""
    return tmp_path / "new" / "objects"


async def test_every_name_on_the_way_to_an_object_is_synced(disk: Disk, folder: Path) -> None:
    """The folders that were created, too, each in the folder above."""
    await FileStore(folder).put(KEY, b"{}\n", ABOUT)
    assert disk.lost_on_return(folder) == []


async def test_every_name_on_the_way_to_an_upload_is_synced(disk: Disk, folder: Path) -> None:
    """As soon as it is complete, and its bytes before it has a name."""
    upload = await FileStore(folder).create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, b"x")
    await upload.complete()
    assert disk.lost_on_return(folder) == []
    assert any(path.name.endswith(".tmp") and ".meta" not in str(path) for path, _ in disk.log)


async def test_folders_that_another_process_has_created_are_synced(
    disk: Disk, folder: Path
) -> None:
    """It may not have synced them yet, or may have been killed before it did."""
    (folder / KEY).parent.mkdir(parents=True)
    meta_path(folder, KEY).parent.mkdir(parents=True)
    await FileStore(folder).put(KEY, b"{}\n", ABOUT)
    assert disk.lost_on_return(folder) == []


async def test_a_folder_that_was_removed_and_created_again_is_synced_again(
    disk: Disk, folder: Path
) -> None:
    """Whoever created it: the name is a new one, even if the inode is the same."""
    store = FileStore(folder)
    for _ in range(3):
        await store.put(KEY, b"{}\n", ABOUT)
        _make_old(folder)
        start = len(disk.log)
        await store.put(OTHER_KEY, b"{}\n", ABOUT)
        assert disk.lost_on_return(folder, OTHER_KEY) == []
        shutil.rmtree(folder.parent)
        (folder / KEY).parent.mkdir(parents=True)
        await store.put(KEY, b"{}\n", ABOUT)
        lost = disk.lost_on_return(folder, KEY, start)
        assert not any(name.is_relative_to(folder.parent) for name in lost)
        shutil.rmtree(folder.parent)


async def test_folders_without_new_names_are_synced_once(disk: Disk, folder: Path) -> None:
    """Else each object would cost a sync per folder. Its own folders have its names."""
    store = FileStore(folder)
    await store.put(KEY, b"{}\n", ABOUT)
    _make_old(folder)
    for name in "bc":
        start = len(disk.log)
        await store.put(KEY.replace("a.", f"{name}."), b"{}\n", ABOUT)
    synced = {path for path, _ in disk.log[start:] if path.is_dir() and folder in path.parents}
    assert synced == {(folder / KEY).parent, meta_path(folder, KEY).parent}


def _make_old(folder: Path) -> None:
    for path in [folder.parent, *folder.parent.rglob("*")]:
        os.utime(path, (1e9, 1e9))


@pytest.mark.parametrize("name", ["objects", ".", "new/objects", "../beside/objects"])
async def test_the_folders_above_a_relative_one_are_synced(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Up to the mount point, as those of an absolute one."""
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    await FileStore(Path(name)).put(KEY, b"{}\n", ABOUT)
    assert disk.lost_on_return((tmp_path / "working" / name).resolve()) == []


async def test_a_root_that_is_a_link_has_its_own_folders_synced(disk: Disk, tmp_path: Path) -> None:
    """Those where the objects are, not those where the link is."""
    target = tmp_path / "elsewhere" / "disk"
    target.mkdir(parents=True)
    (tmp_path / "root").symlink_to(target)
    await FileStore(tmp_path / "root").put(KEY, b"{}\n", ABOUT)
    assert disk.lost_on_return(target) == []


async def test_a_writer_does_not_rely_on_the_syncs_of_another(disk: Disk, folder: Path) -> None:
    """The one that has created the folders may be about to sync them when the power fails."""
    with _blocked_in_first_folder_sync(disk, folder) as other:
        start = len(disk.log)
        await FileStore(folder).put(OTHER_KEY, b"{}\n", ABOUT)
        assert disk.lost_on_return(folder, OTHER_KEY, start) == []
        assert other.is_alive()


async def test_an_object_exists_only_when_its_name_is_synced(disk: Disk, folder: Path) -> None:
    """A redelivery is acknowledged by the object of another process, which may not be done."""
    with _blocked_in_first_folder_sync(disk, folder) as other:
        start = len(disk.log)
        store = FileStore(folder)
        with pytest.raises(PreconditionFailedError):
            await store.put(KEY, b"{}\n", ABOUT)
        assert await store.head(KEY) is not None
        assert disk.lost_on_return(folder, KEY, start) == []
        assert other.is_alive()


class _blocked_in_first_folder_sync:  # noqa: N801  # used as a function
    """Another writer, which has given an object its name and is about to sync the first folder."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk, self._folder = disk, folder
        self._reached, self._go_on = threading.Event(), threading.Event()
        self._blocked = False

    def __enter__(self) -> threading.Thread:
        def block(path: Path, _call: int) -> None:
            if path.is_dir() and not self._blocked:
                self._blocked = True
                self._reached.set()
                self._go_on.wait()

        self._disk.before = block
        put = FileStore(self._folder).put(KEY, b"{}\n", ABOUT)
        self._thread = threading.Thread(target=lambda: asyncio.run(put))
        self._thread.start()
        assert self._reached.wait(30)
        return self._thread

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        self._thread.join(30)


def _fail_at(number: int) -> Callable[[Path, int], None]:
    def fail(_path: Path, call: int) -> None:
        if call == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return fail


def test_a_sync_that_fails_once_is_never_taken_for_a_success(disk: Disk, folder: Path) -> None:
    """After an error the kernel may have dropped the data, and report success the next time.

    The bytes of an object are written anew by a retry. Names cannot be: so the store refuses.
    """
    refused = 0
    for number in count(1):
        disk.calls, disk.before = 0, _fail_at(number)
        store = FileStore(folder)
        has_failed = False
        try:
            asyncio.run(store.put(KEY, b"{}\n", ABOUT))
        except (RetryableError, RejectedError):
            has_failed = True
        assert has_failed is (disk.calls >= number)
        if not has_failed:
            break
        if FileStoreFixture(folder).keys():
            refused += 1
            with pytest.raises(RejectedError, match="nothing below it is known to be durable"):
                asyncio.run(store.head(KEY))
            with pytest.raises(RejectedError, match="start again"):
                asyncio.run(store.put(OTHER_KEY, b"{}\n", ABOUT))
        else:
            start = len(disk.log)
            asyncio.run(store.put(KEY, b"{}\n", ABOUT))
            assert disk.lost_on_return(folder, KEY, start) == []
        assert FileStoreFixture(folder).open_uploads() == 0
        shutil.rmtree(folder.parent)
    assert refused > 4


def test_an_upload_whose_bytes_cannot_be_synced_is_lost(disk: Disk, folder: Path) -> None:
    """Completing it again would publish parts that the kernel may have dropped."""

    async def upload_parts() -> None:
        store = FileStore(folder)
        upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
        await upload.put_part(1, b"x")
        disk.before = _fail_at(disk.calls + 1)
        for _ in range(2):
            with pytest.raises(UploadLostError):
                await upload.complete()
        assert await store.head(KEY) is None
        await upload.abort()

    asyncio.run(upload_parts())
    assert FileStoreFixture(folder).files() == set()


async def test_an_upload_whose_file_was_removed_is_lost(folder: Path) -> None:
    """For example by somebody who tidies up. No disk's space or health helps."""
    store = FileStore(folder)
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, b"x")
    (temporary,) = FileStoreFixture(folder).files()
    await asyncio.to_thread((folder / temporary).unlink)
    with pytest.raises(UploadLostError, match="was removed"):
        await upload.put_part(2, b"y")
    with pytest.raises(UploadLostError, match="was removed"):
        await upload.complete()


def test_a_redelivery_after_a_failed_sync_is_not_acknowledged(disk: Disk, folder: Path) -> None:
    """The object can be seen, and nobody knows whether its name is on the disk."""
    records = {"Records": [kinesis_record(str(number), b"%d" % number) for number in range(3)]}

    def fail(path: Path, _call: int) -> None:
        if path.is_dir() and path.name.startswith("hour="):
            disk.before = lambda _path, _call: None
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk.before = fail
    settings = Settings(bucket=f"file://{folder}", partial_response=True)
    handle = make_handler(settings)
    try:
        for _ in range(2):
            response = handle(records, None)
            assert response is not None
            assert len(response["batchItemFailures"]) == 1
    finally:
        handle.close()
    assert len(FileStoreFixture(folder).keys()) == 1


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
async def test_a_file_system_without_hard_links_is_rejected_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Such as FAT, which answers EPERM: nobody's permissions are at fault."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(RejectedError, match="no hard links"):
        await FileStore(folder).put(KEY, b"{}\n", ABOUT)
    assert FileStoreFixture(folder).files() == set()


async def test_a_file_system_that_cannot_sync_folders_is_rejected_by_name(
    disk: Disk, folder: Path
) -> None:
    """Nothing in it can be called durable."""

    def refuse(path: Path, _call: int) -> None:
        if path.is_dir():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    disk.before = refuse
    with pytest.raises(RejectedError, match="the file system cannot do it"):
        await FileStore(folder).put(KEY, b"{}\n", ABOUT)


@pytest.mark.parametrize("may_write", [True, False])
async def test_a_folder_that_may_not_be_read_matters_if_it_may_be_written(
    disk: Disk, folder: Path, monkeypatch: pytest.MonkeyPatch, *, may_write: bool
) -> None:
    """Only then a program of this user can have made names in it."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    above = folder.parent
    os_open, access = os.open, os.access

    def refuse_open(path: Path, flags: int, mode: int = 0o777) -> int:
        if Path(path) == above:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return os_open(path, flags, mode)

    def may(path: Path, mode: int) -> bool:
        return may_write if Path(path) == above else access(path, mode)

    monkeypatch.setattr(os, "open", refuse_open)
    monkeypatch.setattr(os, "access", may)
    put = FileStore(folder).put(KEY, b"{}\n", ABOUT)
    if may_write:
        with pytest.raises(RejectedError, match=r"Permission denied.*who may read"):
            await put
    else:
        await put
        assert set(disk.lost_on_return(folder)) == {folder}


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "loop"])
async def test_a_name_taken_by_what_is_no_file_is_rejected(folder: Path, kind: str) -> None:
    """It is neither an object nor free: nothing waits for it, and nobody takes it for ours."""
    path = folder / KEY
    path.parent.mkdir(parents=True)
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
    store = FileStore(folder)
    with pytest.raises(PreconditionFailedError):
        await store.put(KEY, b"{}\n", ABOUT)
    with pytest.raises(RejectedError, match=f"{KEY}.*not a regular file"):
        await store.head(KEY)
    with pytest.raises(BatcherError):
        await store.read_range(KEY, 0, 1)


async def test_attributes_that_are_no_file_are_none(folder: Path) -> None:
    """An object is found without them, and nothing waits for a FIFO."""
    store = FileStore(folder)
    await store.put(KEY, b"{}\n", ABOUT)
    attributes = meta_path(folder, KEY)
    attributes.unlink()
    os.mkfifo(attributes)
    found = await store.head(KEY)
    assert found is not None
    assert (found.metadata, found.size_bytes) == ({}, 3)
