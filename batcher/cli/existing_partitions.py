"""Existing partitions: whether those under a root have the form of the setting `partition_by`."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING

from batcher.keys.names import root_prefix
from batcher.keys.parse import KeyParseError, is_salt, parse_key
from batcher.reading.sanitize import sanitize
from batcher.stores.base import CommonPrefix
from batcher.tools.ddl.folders import parse_folders

if TYPE_CHECKING:
    from batcher.stores.base import ObjectReader

MAX_FOLDERS = 4
"""Folders directly under the root that are looked into: salts, or else partitions."""

MAX_OBJECTS = 1_000
"""Objects of each folder that are looked at, which are one request."""

MAX_NAMED = 2
"""Partitions that a warning names."""


async def find_other_partitions(reader: ObjectReader, root: str, partition_by: str) -> list[str]:
    """Return a few partitions that objects have and that this template does not make.

    It looks at a sample of the objects only, with a few requests.

    Raises:
        BatcherError: the objects cannot be listed.
    """
    pattern = re.compile("/".join(folder.pattern for folder in parse_folders(partition_by)))
    others: dict[str, None] = {}
    for prefix in await _top_folders(reader, root):
        count = 0
        async for entry in reader.list_objects(prefix):
            count += 1
            if count > MAX_OBJECTS:
                break
            try:
                partition = parse_key(entry.key, root).partition
            except KeyParseError:
                continue
            if not pattern.fullmatch(partition):
                others[partition] = None
                break  # the others of this folder are most likely alike
    return sorted(others)[:MAX_NAMED]


async def _top_folders(reader: ObjectReader, root: str) -> list[str]:
    """Return the keys of a few folders under the root that may have data."""
    top = root_prefix(root)
    found: set[str] = set()
    async with aclosing(reader.list_folder(top)) as items:
        async for item in items:
            if isinstance(item, CommonPrefix):
                found.add(item.prefix.removeprefix(top).rstrip("/"))
    names = sorted(name for name in found if not name.startswith(("_", ".")))
    by_form: dict[str, str] = {}
    for name in names:  # of partitions one of each name
        form = name if is_salt(name) else name.partition("=")[0]
        by_form.setdefault(form, name)
    return [f"{top}{name}/" for name in list(by_form.values())[:MAX_FOLDERS]]


def describe_partitions(partitions: list[str]) -> str:
    """Return the partitions of objects for a message, without what a terminal would obey."""
    return ", ".join(sanitize(partition) or "(no folders)" for partition in partitions)
