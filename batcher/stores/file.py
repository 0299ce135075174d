"""FileStore: objects as files in a folder, with the same keys and bytes as in S3."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENAMETOOLONG, ENOSPC, ENOSYS, ENOTSUP, EPERM, EROFS
from pathlib import Path
from typing import TypeVar

import msgspec

from batcher.concurrency import shielded
from batcher.errors import (
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    UploadLostError,
)
from batcher.stores.base import EngineStore, ObjectInfo
from batcher.stores.folder_sync import FolderSync, sync
from batcher.stores.regular_file import NotRegularFileError, not_regular_reason, open_regular
from batcher.stores.request import Request, UploadPart

T = TypeVar("T")


META_FOLDER = ".meta"

_REFUSALS = PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError

TEMPORARY_DIGITS = 16
"""Hexadecimal digits in the name of a temporary file: `.0123456789abcdef.tmp`."""


class FileStore(EngineStore):
    """Writes a temporary dot-file, syncs it, and links it to its name: whole or not at all.

    An object is reported as written, or as existing, when its name and those of the folders above
    it are synced, too. Then it survives a power failure.

    An object's attributes are in `.meta/{key}.json`. Creating is safe against other processes.
    Replacing, which only a replay's marks do, is safe against other threads of this process. The
    id of a multipart upload is the path of its temporary file.
    """

    def __init__(self, folder: Path) -> None:
        """Write under `folder`, which is created if it does not exist."""
        self.folder = folder
        self._folder_sync = FolderSync()
        self._replace_lock = threading.Lock()  # comparing the ETag and replacing are two steps

    def __repr__(self) -> str:
        return f"FileStore({str(self.folder)!r})"

    async def aclose(self) -> None:
        """Do nothing. The files stay."""

    async def _put(self, request: Request) -> ObjectInfo:
        return await _run_in_thread(self._write, request)

    def _write(self, request: Request) -> ObjectInfo:
        with translate_errors(request.key):
            temporary = self._temporary_path(request.key)
            temporary.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    file.write(request.body)
                sync(temporary)
                return self._publish(temporary, request)
            finally:
                temporary.unlink(missing_ok=True)

    async def _head(self, request: Request) -> ObjectInfo | None:
        return await _run_in_thread(self._look, request.key)

    def _look(self, key: str) -> ObjectInfo | None:
        with translate_errors(key):
            path = self._path(key)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                return None
            if reason := not_regular_reason(status.st_mode):
                raise NotRegularFileError(reason)
            meta = read_meta(self.folder, key)
            # Another writer may have created it, and not synced it yet
            self._folder_sync.sync_names(path)
            attributes_path = meta_path(self.folder, key)
            if attributes_path.parent.is_dir():
                self._folder_sync.sync_names(attributes_path)
            return ObjectInfo(meta.etag, status.st_size, meta.metadata)

    async def _read(self, request: Request) -> bytes | None:
        def read() -> bytes | None:
            with translate_errors(request.key):
                try:
                    with open_regular(self._path(request.key)) as file:
                        file.seek(request.start)
                        return file.read(request.stop - request.start)
                except FileNotFoundError:
                    return None

        return await _run_in_thread(read)

    async def _create_upload(self, request: Request) -> str:
        temporary = self._temporary_path(request.key)

        def create() -> None:
            with translate_errors(request.key):
                temporary.parent.mkdir(parents=True, exist_ok=True)
                temporary.touch(exist_ok=False)

        try:
            await _run_in_thread(create)
        except asyncio.CancelledError:
            await _run_in_thread(_remove, temporary, request.key)  # the caller has no id of it
            raise
        return str(temporary)

    async def _put_part(self, request: Request) -> UploadPart:
        """Write a part at its offset in the temporary file."""

        def write() -> None:
            with (
                translate_errors(request.key),
                _lost_if_removed(request.key),
                Path(request.upload_id).open("r+b") as file,
            ):
                file.seek((request.part_number - 1) * request.part_bytes)
                file.write(request.body)

        await _run_in_thread(write)
        return UploadPart(request.part_number, len(request.body))

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        def publish() -> ObjectInfo:
            temporary = Path(request.upload_id)
            with translate_errors(request.key), _lost_if_removed(request.key):
                try:
                    sync(temporary)
                except FileNotFoundError:
                    raise
                except OSError as error:
                    # The kernel may have dropped some parts, and report success the next time
                    temporary.unlink(missing_ok=True)
                    msg = f"{request.key}: its temporary file cannot be synced: {error.strerror}"
                    raise UploadLostError(msg) from error
                info = self._publish(temporary, request)
                temporary.unlink(missing_ok=True)
                return info

        return await _run_in_thread(publish)

    async def _abort_upload(self, request: Request) -> None:
        await _run_in_thread(_remove, Path(request.upload_id), request.key)

    def _publish(self, temporary: Path, request: Request) -> ObjectInfo:
        """Link a synced temporary file to its name, under the request's condition."""
        key, attributes = request.key, request.attributes
        path, attributes_path = self._path(key), meta_path(self.folder, key)
        info = ObjectInfo(
            secrets.token_hex(16), temporary.stat().st_size, dict(attributes.metadata)
        )
        attributes_path.parent.mkdir(parents=True, exist_ok=True)
        meta_temporary = _make_temporary_path(attributes_path)
        meta = _Meta(info.etag, attributes.content_type, dict(info.metadata))
        try:
            meta_temporary.write_bytes(msgspec.json.encode(meta))
            sync(meta_temporary)
            if request.if_match is None:
                _link(temporary, path)
                meta_temporary.replace(attributes_path)
            else:
                with self._replace_lock:
                    existing = self._look(key)
                    if existing is None or existing.etag != request.if_match:
                        msg = f"{key}: the file is not the one to be replaced"
                        raise PreconditionFailedError(msg)
                    _clear_meta(attributes_path)
                    self._folder_sync.sync_names(attributes_path)
                    temporary.replace(path)
                    self._folder_sync.sync_names(path)
                    meta_temporary.replace(attributes_path)
        except FileExistsError:
            msg = f"{key}: the file exists already"
            raise PreconditionFailedError(msg) from None
        finally:
            meta_temporary.unlink(missing_ok=True)
        self._folder_sync.sync_names(path)
        self._folder_sync.sync_names(attributes_path)
        return info

    def _path(self, key: str) -> Path:
        return self.folder / key

    def _temporary_path(self, key: str) -> Path:
        return _make_temporary_path(self._path(key))


def meta_path(folder: Path, key: str) -> Path:
    """Return the file with an object's attributes."""
    return folder / META_FOLDER / f"{key}.json"


def _remove(path: Path, key: str) -> None:
    with translate_errors(key):
        path.unlink(missing_ok=True)


def _make_temporary_path(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(TEMPORARY_DIGITS // 2)}.tmp")


def _link(temporary: Path, path: Path) -> None:
    """Link a file to its name: atomic, and fails if the name is taken.

    Raises:
        FileExistsError: the name is taken.
        RejectedError: the file system has no hard links, such as FAT.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in {EPERM, ENOTSUP, ENOSYS}:
            raise
        msg = (
            f"cannot write {path}: this file system has no hard links ({error.strerror}), and "
            "without them a file can be replaced by accident; write to another file system"
        )
        raise RejectedError(msg) from error


def _clear_meta(path: Path) -> None:
    """Empty the attributes of a body that is about to be replaced. The caller syncs the name.

    A crash then leaves the new body without a digest, never with the old body's digest. A retry
    replaces it.
    """
    empty = _make_temporary_path(path)
    empty.write_bytes(b"{}")
    sync(empty)
    empty.replace(path)


class _Meta(msgspec.Struct):
    """An object's attributes, as `.meta` has them."""

    etag: str = ""
    content_type: str = ""
    metadata: dict[str, str] = {}  # msgspec copies it


_decode_meta = msgspec.json.Decoder(_Meta).decode


def read_meta(folder: Path, key: str) -> _Meta:
    """Read an object's attributes. They are empty after a crash, or in a copy without `.meta`.

    An object that was written as `root/key` has its `.meta` above `folder` if that is the root.
    """
    path = folder.absolute() / key
    for above in path.parents[key.count("/") :]:
        try:
            with open_regular(meta_path(above, str(path.relative_to(above)))) as file:
                return _decode_meta(file.read())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (NotRegularFileError, IsADirectoryError, msgspec.DecodeError, RecursionError):
            break
    return _Meta()


@contextmanager
def _lost_if_removed(key: str) -> Iterator[None]:
    """Turn a missing temporary file into the error for an upload that is gone."""
    try:
        yield
    except FileNotFoundError as error:
        msg = f"{key}: its temporary file was removed while it was written"
        raise UploadLostError(msg) from error


@contextmanager
def translate_errors(key: str) -> Iterator[None]:
    """Turn errors of the operating system into those of `ObjectStore.send`."""
    try:
        yield
    except NotRegularFileError as error:
        msg = f"{key}: {error}"
        raise RejectedError(msg) from error
    except OSError as error:
        what = f"cannot write {key}: {_describe(error)}"
        if error.errno == ENAMETOOLONG:
            msg = f"cannot write {key}: the name is too long for this file system"
            raise RejectedError(msg) from error
        if error.errno == EROFS or isinstance(error, _REFUSALS):
            msg = f"{what}; check the folder and who may write to it"
            raise RejectedError(msg) from error
        if isinstance(error, FileNotFoundError):  # folders are created before
            msg = f"{what}; check that nothing removes the folder, and that its disk is mounted"
            raise RetryableError(msg) from error
        if error.errno in (ENOSPC, EDQUOT):
            msg = f"{what}; free some space"
            raise RetryableError(msg) from error
        msg = f"{what}; check the disk's health"
        raise RetryableError(msg) from error


def _describe(error: OSError) -> str:
    """Return what the operating system says, and of which file."""
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{reason}: {os.fsdecode(error.filename)!r}"


async def _run_in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Run blocking work in a thread, and wait for its end even when cancelled."""
    return await shielded(asyncio.to_thread(work, *arguments))
