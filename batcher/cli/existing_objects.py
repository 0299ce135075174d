"""Existing objects: which suffixes the objects in a folder have, and the compression they say."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from batcher.keys.object_format import COMPRESSION_SUFFIXES, Format, data_suffix
from batcher.keys.parse import KeyParseError, parse_key
from batcher.stores.file import META_FOLDER
from batcher.tools.ddl.table import TableDefinition


def count_suffixes(folder: Path) -> Counter[str]:
    """Return how many objects of data there are per suffix. What cannot be listed has none."""
    counts: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder):
        if META_FOLDER in folders and Path(parent) != folder:  # another root
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(("_", "."))]
        start = Path(parent).relative_to(folder)
        for name in names:
            try:
                counts[parse_key((start / name).as_posix(), "").suffix] += 1
            except KeyParseError:
                continue
    return counts


def choose_compression(table: TableDefinition, counts: Mapping[str, int]) -> TableDefinition:
    """Return the table with the compression of most objects, unless some have that of the table."""
    record_format = Format.NDJSON if table.is_json else Format.LINES
    suffixes = {name: data_suffix(record_format, name) for name in COMPRESSION_SUFFIXES}
    if counts.get(table.extension):
        return table
    found = [name for name, suffix in suffixes.items() if counts.get(suffix)]
    if not found:
        return table
    compression = max(found, key=lambda name: counts[suffixes[name]])
    return replace(table, compression=compression, extension=suffixes[compression])
