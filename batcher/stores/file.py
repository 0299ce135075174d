"""FileStore: objects as files in a folder, with the same keys and bytes as in S3."""

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
from batcher.stores.base import EngineStore, ObjectInfo
from batcher.stores.request import Request, UploadPart

T = TypeVar("T")


META_FOLDER = ".meta"


def parse_folder_url(url: str) -> Path:
    """Return the folder of `file:///absolute` or `file://relative/folder`."""
    return Path(unquote(url.removeprefix("file:").removeprefix("//")))


class FileStore(EngineStore):
    """Writes a temporary dot-file, syncs it, and links it to its name: whole or not at all.

    An object's attributes are in `.meta/{key}.json`. Creating is safe against other processes.
    Replacing, which only a replay's marks do, is safe against other threads of this process. The
    id of a multipart upload is the path of its temporary file.
    """

    def __init__(self, folder: Path) -> None:
        """Write under `folder`, which is created if it does not exist."""
        self.folder = folder
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
                return self._publish(temporary, request)
            finally:
                temporary.unlink(missing_ok=True)

    async def _head(self, request: Request) -> ObjectInfo | None:
        return await _run_in_thread(self._look, request.key)

    def _look(self, key: str) -> ObjectInfo | None:
        with translate_errors(key):
            try:
                size_bytes = self._path(key).stat().st_size
            except FileNotFoundError:
                return None
            meta = read_meta(self.folder, key)
            return ObjectInfo(meta.get("etag", ""), size_bytes, meta.get("metadata", {}))

    async def _read(self, request: Request) -> bytes | None:
        def read() -> bytes | None:
            with translate_errors(request.key):
                try:
                    with self._path(request.key).open("rb") as file:
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
            with translate_errors(request.key), Path(request.upload_id).open("r+b") as file:
                file.seek((request.part_number - 1) * request.part_bytes)
                file.write(request.body)

        await _run_in_thread(write)
        return UploadPart(request.part_number, len(request.body))

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        def publish() -> ObjectInfo:
            temporary = Path(request.upload_id)
            with translate_errors(request.key):
                info = self._publish(temporary, request)
                temporary.unlink(missing_ok=True)
                return info

        return await _run_in_thread(publish)

    async def _abort_upload(self, request: Request) -> None:
        await _run_in_thread(_remove, Path(request.upload_id), request.key)

    def _publish(self, temporary: Path, request: Request) -> ObjectInfo:
        """Sync a finished temporary file and give it its name, under the request's condition."""
        key, attributes = request.key, request.attributes
        path, attributes_path = self._path(key), meta_path(self.folder, key)
        info = ObjectInfo(
            secrets.token_hex(16), temporary.stat().st_size, dict(attributes.metadata)
        )
        attributes_path.parent.mkdir(parents=True, exist_ok=True)
        meta_temporary = _make_temporary_path(attributes_path)
        meta = {
            "etag": info.etag,
            "content_type": attributes.content_type,
            "metadata": info.metadata,
        }
        try:
            meta_temporary.write_bytes(orjson.dumps(meta))
            _sync(meta_temporary)
            _sync(temporary)
            if request.if_match is None:
                os.link(temporary, path)  # atomic, and fails if the name is taken
                meta_temporary.replace(attributes_path)
            else:
                with self._replace_lock:
                    existing = self._look(key)
                    if existing is None or existing.etag != request.if_match:
                        msg = f"{key}: the file is not the one to be replaced"
                        raise PreconditionFailedError(msg)
                    _clear_meta(attributes_path)
                    temporary.replace(path)
                    _sync(path.parent)
                    meta_temporary.replace(attributes_path)
        except FileExistsError:
            msg = f"{key}: the file exists already"
            raise PreconditionFailedError(msg) from None
        finally:
            meta_temporary.unlink(missing_ok=True)
        _sync(path.parent)
        _sync(attributes_path.parent)
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
    return path.with_name(f".{secrets.token_hex(8)}.tmp")


def _clear_meta(path: Path) -> None:
    """Empty the attributes of a body that is about to be replaced.

    A crash then leaves the new body without a digest, never with the old body's digest. A retry
    replaces it.
    """
    empty = _make_temporary_path(path)
    empty.write_bytes(b"{}")
    _sync(empty)
    empty.replace(path)
    _sync(path.parent)


def read_meta(folder: Path, key: str) -> dict[str, Any]:
    """Read an object's attributes. They are empty after a crash, or in a copy without `.meta`.

    An object that was written as `root/key` has its `.meta` above `folder` if that is the root.
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
    """Turn errors of the operating system into those of `ObjectStore.send`."""
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"cannot write {key}: {error.strerror}; check the folder and who may write to it"
        raise RejectedError(msg) from error
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            msg = f"cannot write {key}: the name is too long for this file system"
            raise RejectedError(msg) from error
        msg = f"cannot write {key}: {error.strerror or error}; check the disk's space and health"
        raise RetryableError(msg) from error


async def _run_in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Run blocking work in a thread, and wait for its end even when cancelled."""
    return await shielded(asyncio.to_thread(work, *arguments))


def _sync(path: Path) -> None:
    """Write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
