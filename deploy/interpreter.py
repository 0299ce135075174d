"""Interpreter: the Python that compiles for a runtime; byte code is good for one minor version."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from refused import RefusedError

TASK_ROOT = "/var/task"
"""Where Lambda unpacks a package; tracebacks name files by it."""
ASK = "import sys; print('%d.%d' % sys.version_info[:2])"
LONGEST_S = 300


def find(python: str) -> str:
    """Find an interpreter of this minor version: the one that runs, or `python3.x` on the PATH.

    Raises:
        RefusedError: there is none.
    """
    for candidate in (sys.executable, shutil.which(f"python{python}")):
        if candidate and _version(candidate) == python:
            return candidate
    running = "{}.{}".format(*sys.version_info[:2])
    msg = (
        f"python{python} is not on the PATH, and only it makes the .pyc files that Lambda's "
        f"python{python} reads: install it, or package for this one with --python {running}"
    )
    raise RefusedError(msg)


def _version(executable: str) -> str:
    """Ask an interpreter for its version; what cannot be run (a shim without one) has none."""
    try:
        ran = subprocess.run(  # noqa: S603  # an interpreter, found by its name
            [executable, "-I", "-c", ASK],
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except OSError:
        return ""
    return ran.stdout.strip()


def compile_all(executable: str, folder: Path) -> None:
    """Put a `.pyc` beside every source, good whatever the source's time, the same at every build.

    Raises:
        RefusedError: a source cannot be compiled.
    """
    flags = ["-q", "-j", "1", "--invalidation-mode", "unchecked-hash"]
    places = ["-s", str(folder), "-p", TASK_ROOT]
    ran = subprocess.run(  # noqa: S603  # as above
        [executable, "-m", "compileall", *flags, *places, str(folder)],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if ran.returncode:
        msg = f"python -m compileall failed:\n{ran.stdout}{ran.stderr}"
        raise RefusedError(msg)
