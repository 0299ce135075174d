"""Dry runs: everything but the writing; the plan is what would have been written."""

from __future__ import annotations

from dataclasses import fields
from typing import TextIO

from batcher.settings import Settings
from batcher.stores.base import About, Stored
from batcher.tools.formatting import show_size

SHOWN_KEYS = 10


class DryStore:
    """Notes what would be stored, and forgets the bodies."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.keys: list[str] = []
        """The first few keys."""
        self.objects = 0
        self.size_bytes = 0

    async def put(
        self, key: str, body: bytes, about: About, *, replaces: str | None = None
    ) -> Stored:
        """Note one object; see `ObjectStore.put`."""
        del replaces
        return self.note(key, len(body), about)

    def note(self, key: str, size_bytes: int, about: About) -> Stored:
        """Count one object."""
        self.objects += 1
        self.size_bytes += size_bytes
        if len(self.keys) < SHOWN_KEYS:
            self.keys.append(f"{key}  {show_size(size_bytes)}")
        return Stored("dry", size_bytes, about.metadata)

    async def head(self, key: str) -> Stored | None:
        """Give None: nothing was stored."""

    async def create_upload(self, key: str, about: About, *, part_bytes: int) -> DryUpload:
        """Open an upload that forgets its parts; see `ObjectStore.create_upload`."""
        del part_bytes
        return DryUpload(self, key, about)

    async def aclose(self) -> None:
        """Do nothing."""


class DryUpload:
    """A multipart upload that forgets its parts."""

    def __init__(self, store: DryStore, key: str, about: About) -> None:
        """Note `key` with `store` when it is complete."""
        self._store = store
        self._key = key
        self._about = about
        self._size_bytes = 0

    async def put_part(self, number: int, body: bytes) -> None:
        """Count a part; see `Upload.put_part`."""
        del number
        self._size_bytes += len(body)

    async def complete(self, *, replaces: str | None = None) -> Stored:
        """Note the object; see `Upload.complete`."""
        del replaces
        return self._store.note(self._key, self._size_bytes, self._about)

    async def abort(self) -> None:
        """Do nothing."""


def show_plan(store: DryStore, settings: Settings, destination: str, file: TextIO) -> None:
    """Print to `file` the settings in force and the objects that would be there."""
    lines = ["settings in force:"]
    for spec in fields(settings):
        value = getattr(settings, spec.name)
        if value not in ("", None) and value != {}:
            lines.append(f"  {spec.name:<20} {value}")
    size = show_size(store.size_bytes)
    lines.append(f"{store.objects} objects, {size}, under {destination}, such as")
    lines += (f"  {key}" for key in store.keys)
    lines.append("nothing was written; the names, but not their form, will be others then")
    print(*lines, sep="\n", file=file)  # what a dry run is for
