"""Wheels: every locked distribution, for Lambda's platform, into a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from refused import RefusedError

if TYPE_CHECKING:
    from target import Target

LONGEST_S = 600


def install(target: Target, interpreter: str, folder: Path) -> None:
    """Unpack what the lock names; hashes are checked, and nothing is built.

    pip runs by the target's interpreter, for markers (`python_version < "3.13"`) are read by the
    Python that runs, whatever `--python-version` says.

    Raises:
        RefusedError: pip failed; the message has what it said.
    """
    platforms = [flag for name in target.platforms() for flag in ("--platform", name)]
    command = [
        *(sys.executable, "-m", "pip", "--python", interpreter, "install", "--quiet"),
        *("--disable-pip-version-check", "--no-compile", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", target.python),
        *(*platforms, "--target", str(folder), "--requirement", str(target.lock)),
    ]
    ran = subprocess.run(  # noqa: S603  # pip, with our own lock
        command, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    if ran.returncode:
        msg = f"pip could not install {target.lock.name} for {target.name}:\n{ran.stderr}"
        raise RefusedError(msg)
