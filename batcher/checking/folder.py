"""Folder: whether a `file://` destination can be written to, and has room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from batcher.checking.findings import Finding, error, ok, warning
from batcher.units import show_size

LITTLE_BYTES = 10**9


def check_folder(folder: Path, max_bytes: int) -> list[Finding]:
    """Look at a folder, and write nothing.

    Args:
        folder: where objects would go; it is made by the first of them.
        max_bytes: the most that a batch has.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    findings = [_writable(folder, there)]
    free_bytes = shutil.disk_usage(there).free
    shown = f"{show_size(free_bytes)} are free"
    if free_bytes < max_bytes:
        do = f"a batch of {show_size(max_bytes)} has no room: make some"
        findings.append(error("folder.space", shown, do))
    elif free_bytes < LITTLE_BYTES:
        findings.append(warning("folder.space", shown, "that is little: watch it"))
    else:
        findings.append(ok("folder.space", shown))
    return findings


def _writable(folder: Path, there: Path) -> Finding:
    if not there.is_dir():
        return error("folder", f"{there} is no folder", "choose another destination")
    if not os.access(there, os.W_OK | os.X_OK):
        return error("folder", f"{there} may not be written to", "change who may write there")
    if there == folder:
        return ok("folder", f"{folder} is there")
    return ok("folder", f"{folder} is not there yet, and can be made")
