"""Find the Python that compiles for a runtime: byte code works with one minor version only."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from refused import RefusedError

TPRINT_VERSION_ROOT = "/var/task"
"""The folder that Lambda unpacks a package into. Tracebacks show it."""
PRINT_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
TIMEOUT_S = 300


def find(python: str) -> str:
    """Return an interpreter of this minor version: the running one, or `python3.x` on the PATH.

    Raises:
        RefusedError: neither has this version.
    """
    for candidate in (sys.executable, shutil.which(f"python{python}")):
        if candidate and _version(candidate) == python:
            return candidate
    running = "{}.{}".format(*sys.version_info[:2])
    msg = (
        f"python{python} is not on the PATH, but is needed to compile for Lambda's "
        f"python{python}; install it, or package for this version with --python {running}"
    )
    raise RefusedError(msg)


def _version(executable: str) -> str:
    """Return the version of an interpreter, or empty text if it cannot run (a shim may not)."""
    try:
        ran = subprocess.run(  # noqa: S603  # an interpreter, found by name
            [executable, "-I", "-c", PRINT_VERSION],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except OSError:
        return ""
    return ran.stdout.strip()


def compile_all(executable: str, folder: Path) -> None:
    """Write a `.pyc` file for every source. The bytes do not depend on times of sources.

    Raises:
        RefusedError: a source cannot be compiled.
    """
    flags = ["-q", "-j", "1", "--invalidation-mode", "unchecked-hash"]
    paths = ["-s", str(folder), "-p", TPRINT_VERSION_ROOT]
    ran = subprocess.run(  # noqa: S603  # as above
        [executable, "-m", "compileall", *flags, *paths, str(folder)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if ran.returncode:
        msg = f"python -m compileall failed:\n{ran.stdout}{ran.stderr}"
        raise RefusedError(msg)
