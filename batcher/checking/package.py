"""Package: what a function's zip file has in it, from its last bytes alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection
from typing import TYPE_CHECKING

from batcher.checking.findings import Finding, error, not_checked, ok, warning

if TYPE_CHECKING:
    from batcher.settings import Settings

TAIL_BYTES = 4 * 1024**2
"""A zip file's list of names stands at its end, some 100 bytes a file."""
_CHECK = "function.package"
_PACKED = ".requirements.zip"


def names_of(tail: bytes) -> list[str] | None:
    """Read the names in a zip file from its end; None: the list does not lie whole in there."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as file:
            return file.namelist()
    except (zipfile.BadZipFile, ValueError):
        return None


def judge_package(
    names: Collection[str], settings: Settings, handler: str, *, has_layers: bool
) -> list[Finding]:
    """See that batcher, and the engine that the settings choose, are in the package.

    Args:
        names: of all files in it.
        settings: choose the engine.
        handler: `module.function`, as the function is configured.
        has_layers: whether more may lie in layers, which are not looked into.
    """
    if any(name.endswith(_PACKED) for name in names):
        return [not_checked(_CHECK, f"its libraries are in a zip file of their own, {_PACKED}")]
    folders = {name.partition("/")[0] for name in names}
    wanted = {"batcher", settings.engine} if handler.startswith("batcher.") else {settings.engine}
    missing = sorted(wanted - folders)
    if missing and has_layers:
        return [not_checked(_CHECK, f"{' and '.join(missing)} may be in a layer")]
    if missing:
        found = f"{' and '.join(missing)} not in the package (engine={settings.engine})"
        return [error(_CHECK, found, "each event fails at its import: package it, with its engine")]
    if not any(name.startswith(f"{settings.engine}/") and name.endswith(".pyc") for name in names):
        do = "a cold start compiles everything, a second of it: package .pyc files"
        return [warning(_CHECK, f"{settings.engine} is there, without .pyc files", do)]
    return [ok(_CHECK, f"{settings.engine} is there, with .pyc files")]
