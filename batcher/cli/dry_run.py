"""Dry runs: everything but the writing; the plan is what would have been written."""

from __future__ import annotations

from dataclasses import fields
from typing import TextIO

from batcher.settings import Settings
from batcher.stores.base import ObjectAttributes, ObjectInfo
from batcher.tools.formatting import format_size

MAX_SHOWN_KEYS = 10


class DryRunStore:
    """Notes what would be stored, and forgets the bodies."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.keys: list[str] = []
        """The first few keys."""
        self.objects = 0
        self.size_bytes = 0

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Note one object; see `ObjectStore.put`."""
        del if_match
        return self.count_object(key, len(body), attributes)

    def count_object(self, key: str, size_bytes: int, attributes: ObjectAttributes) -> ObjectInfo:
        """Count one object."""
        self.objects += 1
        self.size_bytes += size_bytes
        if len(self.keys) < MAX_SHOWN_KEYS:
            self.keys.append(f"{key}  {format_size(size_bytes)}")
        return ObjectInfo("dry", size_bytes, attributes.metadata)

    async def head(self, key: str) -> ObjectInfo | None:
        """Return None: nothing was stored."""

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> DryRunUpload:
        """Open an upload that forgets its parts; see `ObjectStore.create_upload`."""
        del part_bytes
        return DryRunUpload(self, key, attributes)

    async def aclose(self) -> None:
        """Do nothing."""


class DryRunUpload:
    """A multipart upload that forgets its parts."""

    def __init__(self, store: DryRunStore, key: str, attributes: ObjectAttributes) -> None:
        """Note `key` with `store` when it is complete."""
        self._store = store
        self._key = key
        self._attributes = attributes
        self._size_bytes = 0

    async def put_part(self, number: int, body: bytes) -> None:
        """Count a part; see `Upload.put_part`."""
        del number
        self._size_bytes += len(body)

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Note the object; see `Upload.complete`."""
        del if_match
        return self._store.count_object(self._key, self._size_bytes, self._attributes)

    async def abort(self) -> None:
        """Do nothing."""


def print_dry_run(store: DryRunStore, settings: Settings, destination: str, file: TextIO) -> None:
    """Print to `file` the settings in force and the objects that would be there."""
    lines = ["settings in force:"]
    for spec in fields(settings):
        value = getattr(settings, spec.name)
        if value not in ("", None) and value != {}:
            lines.append(f"  {spec.name:<20} {value}")
    size = format_size(store.size_bytes)
    lines.append(f"{store.objects} objects, {size}, under {destination}, such as")
    lines += (f"  {key}" for key in store.keys)
    lines.append("nothing was written; the names, but not their form, will be others then")
    print(*lines, sep="\n", file=file)  # what a dry run is for
