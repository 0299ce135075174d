"""Dry runs: everything except the writing, and a summary of the objects."""

from __future__ import annotations

from dataclasses import fields

from batcher.settings import Settings
from batcher.stores.base import EngineStore, ObjectInfo
from batcher.stores.request import Request, UploadPart
from batcher.tools.formatting import format_count, format_size

MAX_SHOWN_KEYS = 10


class DryRunStore(EngineStore):
    """Counts the objects that would be written, and drops their bodies."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.keys: list[str] = []
        """The first few keys."""
        self.objects = 0
        self.size_bytes = 0

    async def aclose(self) -> None:
        """Do nothing."""

    async def _put(self, request: Request) -> ObjectInfo:
        return self._count_object(request, len(request.body))

    async def _head(self, request: Request) -> ObjectInfo | None:
        """Return None: nothing is stored."""

    async def _create_upload(self, request: Request) -> str:
        return request.key

    async def _put_part(self, request: Request) -> UploadPart:
        return UploadPart(request.part_number, len(request.body))

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        return self._count_object(request, sum(part.size_bytes for part in request.parts))

    async def _abort_upload(self, request: Request) -> None:
        """Do nothing."""

    def _count_object(self, request: Request, size_bytes: int) -> ObjectInfo:
        self.objects += 1
        self.size_bytes += size_bytes
        if len(self.keys) < MAX_SHOWN_KEYS:
            self.keys.append(f"{request.key}  {format_size(size_bytes)}")
        return ObjectInfo("dry", size_bytes, request.attributes.metadata)


def describe_dry_run(store: DryRunStore, settings: Settings, destination: str) -> str:
    """Return lines with the settings and the objects that would be written."""
    lines = ["settings in force:"]
    for spec in fields(settings):
        value = getattr(settings, spec.name)
        if value not in ("", None) and value != {}:
            lines.append(f"  {spec.name:<20} {value}")
    size = format_size(store.size_bytes)
    lines.append(f"{format_count(store.objects, 'object')}, {size}, under {destination}, such as")
    lines += (f"  {key}" for key in store.keys)
    lines.append("nothing was written; a real run makes other names of the same form")
    return "\n".join(lines)
