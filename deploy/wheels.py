"""Install the locked distributions for Lambda's platform into a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from refused import RefusedError

if TYPE_CHECKING:
    from target import Target

TIMEOUT_S = 600


def install(target: Target, interpreter: str, folder: Path) -> None:
    """Unpack the distributions of the lock. Hashes are checked, and nothing is built.

    pip runs with the target's interpreter, because the running Python evaluates markers such as
    `python_version < "3.13"`, and ignores `--python-version` for them.

    Raises:
        RefusedError: pip failed. The message has its output.
    """
    platforms = [flag for name in target.platforms() for flag in ("--platform", name)]
    command = [
        *(sys.executable, "-m", "pip", "--python", interpreter, "install", "--quiet"),
        *("--disable-pip-version-check", "--no-compile", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", target.python),
        *(*platforms, "--target", str(folder), "--requirement", str(target.lock)),
    ]
    ran = subprocess.run(  # noqa: S603  # pip, with a lock of this project
        command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if ran.returncode:
        msg = f"pip could not install {target.lock.name} for {target.name}:\n{ran.stderr}"
        raise RefusedError(msg)
