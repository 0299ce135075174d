"""Scripts: a shell that runs what a document says, and everything that it started is ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def run_shell(
    arguments: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    *,
    stderr: int,
    deadline_s: float,
) -> subprocess.CompletedProcess[str]:
    """Run bash with these arguments in a folder, without standard input.

    Args:
        arguments: flags, `-c` and the script.
        folder: where it runs.
        environ: all variables.
        stderr: as `subprocess.Popen` takes it.
        deadline_s: seconds until `subprocess.TimeoutExpired` is raised.
    """
    process = subprocess.Popen(  # noqa: S603  # what a document says
        ["/bin/bash", *arguments],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=deadline_s)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
