"""The files below a folder, or those that match a pattern, in sorted order."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from stat import S_ISDIR, S_ISREG

from batcher.cli.inputs.input import STDIN
from batcher.cli.inputs.name_pattern import NamePattern, has_wildcard
from batcher.stores.regular_file import file_kind


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file."""

    name: str
    size_bytes: int
    identity: tuple[int, int]
    """Device and inode: the same for all names of a file."""
    is_link: bool


@dataclass(slots=True)
class FolderListing:
    """What was found in a folder."""

    files: list[FoundFile] = field(default_factory=list)
    """Sorted by name."""
    hidden: int = 0
    """Names that start with `.` or `_` and were left out, with all that is below them."""
    skipped: list[str] = field(default_factory=list)
    """Names that are no regular files, each with the reason."""
    errors: list[str] = field(default_factory=list)
    """Folders that cannot be listed and files without a status, each with the reason."""


def split_pattern(path: str) -> tuple[str, NamePattern]:
    """Split the path of a pattern into the folder before its first wildcard, and the rest."""
    parts = path.split("/")
    first = next(index for index, part in enumerate(parts) if has_wildcard(part))
    folder = "/".join(parts[:first])
    if path.startswith("/"):
        folder = folder or "/"
    return folder, NamePattern([part for part in parts[first:] if part not in {"", "."}])


def list_files(folder: str, pattern: NamePattern, excluded: os.stat_result | None) -> FolderListing:
    """List the regular files below a folder that match. Blocks.

    Links to files are followed. So are links to folders where the pattern has a name for them, but
    not at any depth, where they could be loops or second names.

    Args:
        folder: an empty text for the current one, whose files are then listed by their bare names.
        pattern: of their paths below `folder`.
        excluded: the status of a folder that is left out.
    """
    walk = _Walk(pattern, excluded)
    walk.pending.append((folder, pattern.start))
    while walk.pending:
        walk.list_next()
    listing = walk.listing
    listing.files.sort(key=lambda file: os.fsencode(file.name))
    listing.skipped.sort()
    listing.errors.sort()
    return listing


class _Walk:
    """A walk through folders, those that are still to be listed in `pending`."""

    def __init__(self, pattern: NamePattern, excluded: os.stat_result | None) -> None:
        self.listing = FolderListing()
        self.pending: list[tuple[str, frozenset[int]]] = []
        """Path of a folder, and the state of the pattern there."""
        self._pattern = pattern
        self._excluded = excluded

    def list_next(self) -> None:
        """List one folder."""
        folder, state = self.pending.pop()
        try:
            entries = list(os.scandir(folder or "."))
        except OSError as error:
            self.listing.errors.append(f"{folder or '.'}: cannot be listed: {error.strerror}")
            return
        for entry in entries:
            below, is_hidden = self._pattern.step(state, entry.name)
            self.listing.hidden += is_hidden
            if below:
                name = os.path.join(folder, entry.name)  # noqa: PTH118  # keeps `./` and `//`
                if name == STDIN:
                    name = f"./{STDIN}"
                self._add(name, entry, below, is_any_depth=self._pattern.is_any_depth(state))

    def _add(
        self, name: str, entry: os.DirEntry[str], below: frozenset[int], *, is_any_depth: bool
    ) -> None:
        is_match, is_link = self._pattern.is_match(below), entry.is_symlink()
        try:
            status = entry.stat()
        except OSError as error:
            if is_match:
                kind = "a broken link" if is_link else error.strerror
                self.listing.errors.append(f"{name}: cannot be read: {kind}")
            return
        if S_ISDIR(status.st_mode):
            if self._excluded is not None and os.path.samestat(status, self._excluded):
                self.listing.skipped.append(f"{name}: the destination")
            elif is_link and is_any_depth:
                self.listing.skipped.append(f"{name}: a link to a folder; name it to read it")
            else:
                self.pending.append((name, below))
        elif is_match and S_ISREG(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            self.listing.files.append(FoundFile(name, status.st_size, identity, is_link))
        elif is_match:
            self.listing.skipped.append(f"{name}: {file_kind(status.st_mode)}")
