"""Folder sync: makes the name of a file, and of every folder above it, survive a power failure.

`fsync` of a file writes its bytes. Its name is in its folder, and the name of that folder in the
folder above. A folder that exists may have been created a moment ago by another process, which has
not synced it yet, or by one that was killed. So each folder up to the mount point is synced unless
its names are unchanged since this process synced it.
"""

from __future__ import annotations

import os
import time
from errno import EACCES, EBADF, EINVAL, ENOTSUP
from pathlib import Path

from batcher.errors import RejectedError

TIMESTAMP_S = 0.1
"""Two changes of a folder within this time may leave the same modification time. Linux takes it
from a clock that advances by up to 10 ms."""

COARSE_TIMESTAMP_S = 2.5
"""The same for file systems that store whole seconds."""

MAX_FOLDERS = 10_000
"""Synced folders that are remembered. Then all are forgotten, and each is synced once more."""


class FolderSync:
    """Syncs folders, in any thread. Remembers those whose names are on the disk."""

    def __init__(self) -> None:
        """Start with no folder known to be synced."""
        self._synced: dict[Path, tuple[int, int, int]] = {}
        self._failed: dict[Path, str] = {}

    def sync_names(self, path: Path) -> None:
        """Return when the name of `path`, and of all folders above it, are on the disk.

        After a failed sync of a folder the kernel may forget the names, and report success the next
        time. So nothing below that folder counts as durable until the process is started again.

        Raises:
            RejectedError: a folder could not be synced, now or earlier.
            OSError: a folder does not exist.
        """
        folder = path.parent.resolve()
        status = folder.stat()
        while True:
            self._sync_if_changed(folder, status)
            status_above = folder.parent.stat()
            # A mount point is not created by a program that writes files
            if folder.parent == folder or status_above.st_dev != status.st_dev:
                return
            folder, status = folder.parent, status_above

    def _sync_if_changed(self, folder: Path, status: os.stat_result) -> None:
        if reason := self._failed.get(folder):
            raise _sync_error(folder, reason)
        state = (status.st_dev, status.st_ino, status.st_mtime_ns)
        if self._synced.get(folder) == state:
            return
        started_s = time.time()
        try:
            sync(folder)
        except OSError as error:
            if error.errno == EACCES and not os.access(folder, os.W_OK):
                return  # a folder above the root whose names no program of this user has made
            cannot = error.errno in {EINVAL, EBADF, ENOTSUP}
            reason = "the file system cannot do it" if cannot else error.strerror or str(error)
            self._failed[folder] = reason
            raise _sync_error(folder, reason) from error
        if len(self._synced) >= MAX_FOLDERS:
            self._synced.clear()
        is_coarse = status.st_mtime_ns % 10**9 == 0
        if started_s - status.st_mtime > (COARSE_TIMESTAMP_S if is_coarse else TIMESTAMP_S):
            self._synced[folder] = state


def sync(path: Path) -> None:
    """Write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_error(folder: Path, reason: str) -> RejectedError:
    return RejectedError(
        f"cannot sync the folder {folder}: {reason}; nothing below it is known to be durable: "
        "check the disk and who may read the folder, then start again"
    )
