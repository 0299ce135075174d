"""FileReader: lists and reads the objects that `FileStore` has written."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from msgspec import Struct

from batcher.concurrency import shielded
from batcher.errors import BatcherError, NotFoundError, RejectedError, RetryableError
from batcher.keys.parse import is_object_name
from batcher.stores.base import CommonPrefix, ListEntry, ObjectBody, ObjectInfo, OpenUpload
from batcher.stores.file import META_FOLDER, TEMPORARY_DIGITS, read_meta
from batcher.stores.location import find_folder_fault
from batcher.stores.regular_file import NotRegularFileError, not_regular_reason, open_regular

PIECE_BYTES = 1024**2


PAGE_FILES = 1_000
"""Files that are listed per call in a thread."""


_CHECK_ACCESS = "check who may read the folder"

_INNER_ROOT = "it is another root, in a folder of this one; read it by itself: batcher ls {place}"

_TEMPORARY = re.compile(rf"\.[0-9a-f]{{{TEMPORARY_DIGITS}}}\.tmp")


class FileReader:
    """Lists and reads the regular files under a folder, except dot-files and `.meta/`.

    A folder below it that has a `.meta/` is another root: listed with a fault, and not read.

    Everything else is listed with a fault, neither followed nor opened: links, FIFOs, devices.
    Only the folder itself, and the folders of a prefix, may be links.

    Temporary files that a killed process has left count as open uploads.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is under `folder`, which need not exist."""
        self.folder = folder

    def __repr__(self) -> str:
        return f"FileReader({str(self.folder)!r})"

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return objects folder by folder; see `ObjectReader.list_objects`."""
        async for entry in self._iter_files(prefix):
            if not entry.is_hidden:
                yield await self._make_entry(entry)

    async def _make_entry(self, entry: _DirectoryEntry) -> ListEntry:
        size_bytes = entry.status.st_size if entry.status else 0
        modified_s = entry.status.st_mtime if entry.status else 0.0
        if entry.fault:
            return ListEntry(entry.key, 0, "", modified_s, entry.fault)
        etag = await asyncio.to_thread(self._etag, entry.key)
        return ListEntry(entry.key, size_bytes, etag, modified_s)

    def _etag(self, key: str) -> str:
        """Return the ETag. Empty if it cannot be read, which opening the object reports."""
        try:
            return read_meta(self.folder, key).etag
        except OSError:
            return ""

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return objects and folders by name; see `ObjectReader.list_folder`."""
        entries = self._scan(prefix.rpartition("/")[0], prefix)
        for entry in await asyncio.to_thread(lambda: list(entries)):
            if entry.is_folder:
                yield CommonPrefix(f"{entry.key}/")
            elif not entry.is_hidden:
                yield await self._make_entry(entry)

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return temporary files with their modification times; see `ObjectReader.list_uploads`.

        Those of attributes, in `.meta/`, are returned, too.
        """
        for start in (prefix, f"{META_FOLDER}/{prefix}"):
            async for entry in self._iter_files(start):
                if entry.status and _TEMPORARY.fullmatch(entry.key.rpartition("/")[2]):
                    yield OpenUpload(entry.key, entry.status.st_mtime, is_file=True)

    async def _iter_files(self, prefix: str) -> AsyncIterator[_DirectoryEntry]:
        files = self._walk(prefix)
        while page := await asyncio.to_thread(lambda: list(islice(files, PAGE_FILES))):
            for file in page:
                yield file

    def _walk(self, prefix: str) -> Iterator[_DirectoryEntry]:
        """Return everything whose key starts with `prefix`, except folders."""
        pending_folders = [prefix.rpartition("/")[0]]
        while pending_folders:
            folders = []
            for entry in self._scan(pending_folders.pop(), prefix):
                if entry.is_folder:
                    folders.append(entry.key)
                else:
                    yield entry
            pending_folders += reversed(folders)

    def _scan(self, folder: str, prefix: str) -> Iterator[_DirectoryEntry]:
        """Return what is in `folder` and matches `prefix`. Links are not followed.

        A folder that has the name of an object is returned as a folder, and with a fault. A folder
        below the root that cannot be listed is returned with a fault.
        """
        try:
            with _translate_errors(folder or str(self.folder)):
                try:
                    entries = sorted(os.scandir(self.folder / folder), key=lambda e: e.name)
                except FileNotFoundError:
                    return
                except NotADirectoryError:
                    if fault := find_folder_fault(self.folder):
                        raise RejectedError(fault) from None
                    return
        except BatcherError as error:
            if not folder or find_folder_fault(self.folder):
                raise
            yield _DirectoryEntry(folder, fault=f"{error}; nothing below it is read")
            return
        for entry in entries:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name == META_FOLDER or not f"{key}/".startswith(prefix):
                continue
            is_data = key.partition("/")[0] != META_FOLDER and not entry.is_symlink()
            if is_data and os.path.isdir(f"{entry.path}/{META_FOLDER}"):  # noqa: PTH112  # faster
                yield _DirectoryEntry(key, fault=_INNER_ROOT.format(place=shlex.quote(entry.path)))
            else:
                yield from _describe(key, entry, prefix)

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Open one object; see `ObjectReader.open_object`."""
        with ExitStack() as files:  # closes the file even if the wait for it is cancelled
            yield await shielded(asyncio.to_thread(self._open, key, files))

    def _open(self, key: str, files: ExitStack) -> ObjectBody:
        with _translate_errors(key):
            file = files.enter_context(open_regular(self.folder / key))
            size_bytes = os.fstat(file.fileno()).st_size
            meta = read_meta(self.folder, key)
        info = ObjectInfo(meta.etag, size_bytes, meta.metadata)
        return ObjectBody(info, meta.content_type, _iter_pieces(key, file))

    async def aclose(self) -> None:
        """Do nothing."""


class _DirectoryEntry(Struct, frozen=True):
    """A name in a folder."""

    key: str
    status: os.stat_result | None = None
    fault: str = ""
    """Why it cannot be an object. Empty for a regular file, and for a folder."""
    is_folder: bool = False

    @property
    def is_hidden(self) -> bool:
        """Whether its name starts with a dot."""
        return self.key.rpartition("/")[2].startswith(".")


def _describe(key: str, entry: os.DirEntry[str], prefix: str) -> Iterator[_DirectoryEntry]:
    """Return one name of a folder; see `FileReader._scan`."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return  # removed since the scan, such as a temporary file
    except OSError as error:
        yield _DirectoryEntry(key, fault=f"cannot be read: {error.strerror}; {_CHECK_ACCESS}")
        return
    is_folder = stat.S_ISDIR(status.st_mode)
    if is_folder:
        yield _DirectoryEntry(key, is_folder=True)
    if is_object_name(entry.name) if is_folder else key.startswith(prefix):
        yield _DirectoryEntry(key, status, not_regular_reason(status.st_mode))


async def _iter_pieces(key: str, file: IO[bytes]) -> AsyncIterator[bytes]:
    def read() -> bytes:
        with _translate_errors(key):
            return file.read(PIECE_BYTES)

    while piece := await shielded(asyncio.to_thread(read)):
        yield piece


@contextmanager
def _translate_errors(key: str) -> Iterator[None]:
    """Turn errors of the operating system into those of `ObjectReader.open_object`."""
    try:
        yield
    except NotRegularFileError as error:
        msg = f"{key}: {error}"
        raise RejectedError(msg) from error
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"{key}: there is no such object"
        raise NotFoundError(msg) from error
    except PermissionError as error:
        msg = f"cannot read {key}: {error.strerror}; {_CHECK_ACCESS}"
        raise RejectedError(msg) from error
    except OSError as error:
        msg = f"cannot read {key}: {error.strerror or error}; check the disk's health"
        raise RetryableError(msg) from error
