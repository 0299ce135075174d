"""FileReader: lists and reads the objects that `FileStore` has written."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from batcher.concurrency import shielded
from batcher.errors import NotFoundError, RejectedError, RetryableError
from batcher.stores.base import CommonPrefix, ListEntry, ObjectBody, ObjectInfo, OpenUpload
from batcher.stores.file import META_FOLDER, read_meta

PIECE_BYTES = 1024**2


PAGE_FILES = 1_000
"""Files that are listed per call in a thread."""


_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")  # as `FileStore` names them


class FileReader:
    """Lists and reads the files under a folder, except dot-files and `.meta/`.

    Temporary files that a killed process has left count as open uploads.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is under `folder`, which need not exist."""
        self.folder = folder

    def __repr__(self) -> str:
        return f"FileReader({str(self.folder)!r})"

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return objects folder by folder; see `ObjectReader.list_objects`."""
        async for key, stat in self._iter_files(prefix):
            if not _is_hidden(key):
                yield await self._make_entry(key, stat)

    async def _make_entry(self, key: str, stat: os.stat_result) -> ListEntry:
        etag = await asyncio.to_thread(self._etag, key)
        return ListEntry(key, stat.st_size, etag, stat.st_mtime)

    def _etag(self, key: str) -> str:
        with _translate_errors(key):
            return str(read_meta(self.folder, key).get("etag", ""))

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return objects and folders by name; see `ObjectReader.list_folder`."""
        entries = self._scan(prefix.rpartition("/")[0], prefix)
        for key, stat in await asyncio.to_thread(lambda: list(entries)):
            if stat is None:
                yield CommonPrefix(f"{key}/")
            elif not _is_hidden(key):
                yield await self._make_entry(key, stat)

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return temporary files with their modification times; see `ObjectReader.list_uploads`."""
        async for key, stat in self._iter_files(prefix):
            if _TEMPORARY.fullmatch(key.rpartition("/")[2]):
                yield OpenUpload(key, stat.st_mtime)

    async def _iter_files(self, prefix: str) -> AsyncIterator[tuple[str, os.stat_result]]:
        files = self._walk(prefix)
        while page := await asyncio.to_thread(lambda: list(islice(files, PAGE_FILES))):
            for file in page:
                yield file

    def _walk(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Return the key and the stat of every file whose key starts with `prefix`."""
        pending_folders = [prefix.rpartition("/")[0]]
        while pending_folders:
            folders = []
            for key, stat in self._scan(pending_folders.pop(), prefix):
                if stat is None:
                    folders.append(key)
                else:
                    yield key, stat
            pending_folders += reversed(folders)

    def _scan(self, folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result | None]]:
        """Return files (key, stat) and folders (key, None) in `folder` that match `prefix`."""
        with _translate_errors(folder or str(self.folder)):
            try:
                entries = sorted(os.scandir(self.folder / folder), key=lambda e: e.name)
            except (FileNotFoundError, NotADirectoryError):
                return
            for entry in entries:
                key = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if key != META_FOLDER and f"{key}/".startswith(prefix):
                        yield key, None
                elif key.startswith(prefix):
                    try:
                        yield key, entry.stat()
                    except FileNotFoundError:
                        continue  # removed since the scan, such as a temporary file

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Open one object; see `ObjectReader.open_object`."""
        with ExitStack() as files:  # closes the file even if the wait for it is cancelled
            yield await shielded(asyncio.to_thread(self._open, key, files))

    def _open(self, key: str, files: ExitStack) -> ObjectBody:
        with _translate_errors(key):
            file = files.enter_context((self.folder / key).open("rb", buffering=0))
            size_bytes = os.fstat(file.fileno()).st_size
            meta = read_meta(self.folder, key)
        info = ObjectInfo(meta.get("etag", ""), size_bytes, meta.get("metadata", {}))
        return ObjectBody(info, meta.get("content_type", ""), _iter_pieces(key, file))

    async def aclose(self) -> None:
        """Do nothing."""


def _is_hidden(key: str) -> bool:
    return key.rpartition("/")[2].startswith(".")


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
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"{key}: there is no such object"
        raise NotFoundError(msg) from error
    except PermissionError as error:
        msg = f"cannot read {key}: {error.strerror}; check who may read the folder"
        raise RejectedError(msg) from error
    except OSError as error:
        msg = f"cannot read {key}: {error.strerror or error}; check the disk's health"
        raise RetryableError(msg) from error
