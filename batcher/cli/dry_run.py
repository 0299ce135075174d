"""Dry runs: everything except the writing, and a summary of the objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from batcher.cli.options import SETTINGS
from batcher.settings import ENV_PREFIX, Settings, parse_size
from batcher.stores.base import EngineStore, ObjectInfo
from batcher.stores.request import Request, UploadPart
from batcher.tools.formatting import format_count, format_size

MAX_SHOWN_KEYS = 10


ALWAYS_SHOWN = ("max_bytes", "linger_s", "format", "compression", "partition_by", "on_bad_record")
"""Settings on which it depends what is written."""


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


def env_names(environ: Mapping[str, str]) -> set[str]:
    """Return the names of the settings that an environment sets."""
    return {name for name in SETTINGS if environ.get(f"{ENV_PREFIX}{name.upper()}")}


def describe_dry_run(store: DryRunStore, settings: Settings, given: Collection[str]) -> str:
    """Return lines with the settings and the objects that would be written.

    Args:
        store: has the objects.
        settings: in force.
        given: names of the settings that the user has set.
    """
    lines = ["settings, as set or by default:"]
    for name, spec in SETTINGS.items():
        if name in {"bucket", "root"} or name not in {*given, *ALWAYS_SHOWN}:
            continue
        value = getattr(settings, name)
        text = format_binary(value) if spec.metadata["parse"] is parse_size else str(value)
        lines.append(f"  {name:<20} {text}")
    if store.keys:
        lines.append("objects such as these; a real run makes other names of the same form:")
    lines += (f"  {key}" for key in store.keys)
    objects = f"{format_count(store.objects, 'object')}, {format_size(store.size_bytes)}"
    lines.append(f"dry run: would write {objects}; nothing was written")
    return "\n".join(lines)


def format_binary(size_bytes: int) -> str:
    """Return a size as settings have it: `64MiB`, or a number of bytes."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size_bytes and size_bytes % 1024**power == 0:
            return f"{size_bytes // 1024**power}{unit}"
    return str(size_bytes)
