"""Regular files: opens them, and names everything else that a folder can have."""

from __future__ import annotations

import os
import stat
from errno import EISDIR
from pathlib import Path
from typing import IO

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
}


class NotRegularFileError(Exception):
    """A name is not that of a regular file. The message says what it is, and what to do."""


def file_kind(mode: int) -> str:
    """Return what a file with this `st_mode` is, if it is not a regular file."""
    return _KINDS.get(stat.S_IFMT(mode), "a special file")


def not_regular_reason(mode: int) -> str:
    """Return why a file with this `st_mode` is not read, and the fix. Empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return f"{file_kind(mode)}, not a regular file; it is not read: move it out of the root"


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading, without a buffer. Never waits for a FIFO or a device.

    A symbolic link is not followed, unless it is one of the folders of the path.

    Raises:
        NotRegularFileError: it is something else.
        IsADirectoryError: it is a folder.
        OSError: it does not exist, or may not be read.
    """
    _require_regular(os.lstat(path).st_mode)  # opening a device can have an effect on it
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        _require_regular(os.fstat(descriptor).st_mode)  # it may have been replaced meanwhile
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _require_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    if reason := not_regular_reason(mode):
        raise NotRegularFileError(reason)
