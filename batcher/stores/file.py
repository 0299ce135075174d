"""FileStore: objects as files under a folder, with the same keys and bytes as in S3."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENAMETOOLONG
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import orjson

from batcher.concurrency import shielded
from batcher.errors import PreconditionFailedError, RejectedError, RetryableError
from batcher.stores.base import ObjectAttributes, ObjectInfo

T = TypeVar("T")


META_FOLDER = ".meta"


def parse_folder_url(url: str) -> Path:
    """Return the folder of `file:///absolute` or `file://relative/folder`."""
    return Path(unquote(url.removeprefix("file:").removeprefix("//")))


class FileStore:
    """Writes a temporary dot-file, syncs it, and links it to its name: whole or not at all.

    What an object carries beside its body stands in `.meta/{key}.json`. Creating is safe against
    other processes; replacing, which only event sources do, against other threads of this one.
    """

    def __init__(self, folder: Path) -> None:
        """Write under `folder`, which is made when it is not there."""
        self.folder = folder
        self._replace_lock = threading.Lock()  # a look and a replacement are two steps

    def __repr__(self) -> str:
        return f"FileStore({str(self.folder)!r})"

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object; see `ObjectStore.put`."""
        return await _run_in_thread(self._put, key, body, attributes, if_match)

    def _put(
        self, key: str, body: bytes, attributes: ObjectAttributes, if_match: str | None
    ) -> ObjectInfo:
        with translate_errors(key):
            temporary = self._temporary_path(key)
            temporary.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    file.write(body)
                return self.publish(temporary, key, attributes, if_match)
            finally:
                temporary.unlink(missing_ok=True)

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object; see `ObjectStore.head`."""
        return await _run_in_thread(self._head, key)

    def _head(self, key: str) -> ObjectInfo | None:
        with translate_errors(key):
            try:
                size_bytes = self._path(key).stat().st_size
            except FileNotFoundError:
                return None
            meta = read_meta(self.folder, key)
            return ObjectInfo(meta.get("etag", ""), size_bytes, meta.get("metadata", {}))

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> FileUpload:
        """Open a file that parts are written into; see `ObjectStore.create_upload`."""
        temporary = self._temporary_path(key)
        upload = FileUpload(self, key, attributes, part_bytes, temporary)

        def create() -> None:
            with translate_errors(key):
                temporary.parent.mkdir(parents=True, exist_ok=True)
                temporary.touch(exist_ok=False)

        try:
            await _run_in_thread(create)
        except asyncio.CancelledError:
            await upload.abort()  # nobody else has it yet
            raise
        return upload

    async def aclose(self) -> None:
        """Do nothing: the files stay."""

    def publish(
        self, temporary: Path, key: str, attributes: ObjectAttributes, if_match: str | None
    ) -> ObjectInfo:
        """Sync a finished temporary file and give it its name.

        Raises:
            PreconditionFailedError: as `ObjectStore.put`; the file that is there is untouched.
        """
        path, beside = self._path(key), meta_path(self.folder, key)
        stored = ObjectInfo(
            secrets.token_hex(16), temporary.stat().st_size, dict(attributes.metadata)
        )
        beside.parent.mkdir(parents=True, exist_ok=True)
        meta_temporary = _make_temporary_path(beside)
        meta = {
            "etag": stored.etag,
            "content_type": attributes.content_type,
            "metadata": stored.metadata,
        }
        try:
            meta_temporary.write_bytes(orjson.dumps(meta))
            _sync(meta_temporary)
            _sync(temporary)
            if if_match is None:
                os.link(temporary, path)  # fails where the name is taken, in one step
                meta_temporary.replace(beside)
            else:
                with self._replace_lock:
                    there = self._head(key)
                    if there is None or there.etag != if_match:
                        msg = f"{key}: the file is not the one to be replaced"
                        raise PreconditionFailedError(msg)
                    _clear_meta(beside)
                    temporary.replace(path)
                    _sync(path.parent)
                    meta_temporary.replace(beside)
        except FileExistsError:
            msg = f"{key}: the file is there already"
            raise PreconditionFailedError(msg) from None
        finally:
            meta_temporary.unlink(missing_ok=True)
        _sync(path.parent)
        _sync(beside.parent)
        return stored

    def _path(self, key: str) -> Path:
        return self.folder / key

    def _temporary_path(self, key: str) -> Path:
        return _make_temporary_path(self._path(key))


class FileUpload:
    """Parts written into one temporary file, each at its own place."""

    def __init__(
        self,
        store: FileStore,
        key: str,
        attributes: ObjectAttributes,
        part_bytes: int,
        temporary: Path,
    ) -> None:
        """Take parts for `key` into `temporary`."""
        self._store = store
        self._key = key
        self._attributes = attributes
        self._part_bytes = part_bytes
        self._temporary = temporary

    async def put_part(self, number: int, body: bytes) -> None:
        """Write part `number` at its place; see `Upload.put_part`."""

        def write() -> None:
            with translate_errors(self._key), self._temporary.open("r+b") as file:
                file.seek((number - 1) * self._part_bytes)
                file.write(body)

        await _run_in_thread(write)

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Sync the file and give it its name; see `Upload.complete`."""

        def publish() -> ObjectInfo:
            with translate_errors(self._key):
                stored = self._store.publish(self._temporary, self._key, self._attributes, if_match)
                self._temporary.unlink(missing_ok=True)
                return stored

        return await _run_in_thread(publish)

    async def abort(self) -> None:
        """Remove the file; see `Upload.abort`."""

        def remove() -> None:
            with translate_errors(self._key):
                self._temporary.unlink(missing_ok=True)

        await _run_in_thread(remove)


def meta_path(folder: Path, key: str) -> Path:
    """Return the file that has what an object carries beside its body."""
    return folder / META_FOLDER / f"{key}.json"


def _make_temporary_path(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}.tmp")


def _clear_meta(path: Path) -> None:
    """Empty what stands beside a body that is about to be replaced.

    A crash then leaves the new body without a digest, never with the old one's; a retry of either
    set replaces it.
    """
    empty = _make_temporary_path(path)
    empty.write_bytes(b"{}")
    _sync(empty)
    empty.replace(path)
    _sync(path.parent)


def read_meta(folder: Path, key: str) -> dict[str, Any]:
    """Read what an object carries; nothing, where a crash or a copy has left it without.

    What was written as `root/key` carries it in a `.meta` above `folder`, if that is the root.
    """
    path = folder.absolute() / key
    for above in path.parents[key.count("/") :]:
        try:
            meta = orjson.loads(meta_path(above, str(path.relative_to(above))).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except orjson.JSONDecodeError:
            return {}
        return meta if isinstance(meta, dict) else {}
    return {}


@contextmanager
def translate_errors(key: str) -> Iterator[None]:
    """Turn what the operating system says about `key` into what a caller can act on."""
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"cannot write {key}: {error.strerror}: check the folder and who may write to it"
        raise RejectedError(msg) from error
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            msg = f"cannot write {key}: the name is longer than this file system takes"
            raise RejectedError(msg) from error
        msg = f"cannot write {key}: {error.strerror or error}: check the disk's space and health"
        raise RetryableError(msg) from error


async def _run_in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Run blocking work in a thread; it is never left to go on by itself, not even cancelled."""
    return await shielded(asyncio.to_thread(work, *arguments))


def _sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
