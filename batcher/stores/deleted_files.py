"""Deleted files: objects in a folder whose attributes in `.meta/` are still there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from batcher.stores.file import META_FOLDER, meta_path, read_meta

_ENDING = ".json"


def find_deleted(folder: Path, prefix: str) -> Iterator[tuple[str, Mapping[str, str], Path]]:
    """Yield the key of each object that was deleted, its metadata, and the file that has this.

    Args:
        folder: a root, or a folder above it.
        prefix: what the keys start with.
    """
    root = folder.absolute()
    found: set[str] = set()  # replay may have written attributes nearer than the first writer
    for above in (root, *root.parents):
        inner = "" if above == root else f"{root.relative_to(above)}/"
        start = above / META_FOLDER / inner / prefix
        for parent, _, names in os.walk(start):
            for name in sorted(names):
                if name.startswith(".") or not name.endswith(_ENDING):
                    continue
                file = Path(parent, name).relative_to(above / META_FOLDER / inner)
                key = str(file).removesuffix(_ENDING)
                if key not in found and _is_missing(root / key):
                    found.add(key)
                    yield key, read_meta(root, key).metadata, meta_path(above, f"{inner}{key}")


def _is_missing(file: Path) -> bool:
    """Return whether nothing has this name. What may not be looked at is not missing."""
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False
