"""Runs the command line in a process, as a shell does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def run_in_shell(
    arguments: list[str],
    redirection: str = "",
    *,
    environ: Mapping[str, str] | None = None,
    paths: tuple[Path, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a command and wait for its end.

    Args:
        arguments: what follows `batcher`.
        redirection: in the shell's syntax: `>&-`, `2>/dev/full`.
        environ: environment variables in addition to those of this process.
        paths: folders whose modules take precedence over installed ones.
    """
    return subprocess.run(  # noqa: S603  # our own command
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *command(arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        env=environ_of(environ, paths),
    )


def run_with_closed_pipe(arguments: list[str], stream: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose `stdout` or `stderr` is a pipe without a reader."""
    read_end, pipe = os.pipe()
    os.close(read_end)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: pipe}
    try:
        return subprocess.run(  # noqa: S603  # our own command
            command(arguments),
            stdout=streams["stdout"],
            stderr=streams["stderr"],
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            env=environ_of(),
        )
    finally:
        os.close(pipe)


def command(arguments: list[str]) -> list[str]:
    """Return the whole command with these arguments."""
    return [sys.executable, "-m", "batcher", *arguments]


def environ_of(
    more: Mapping[str, str] | None = None, paths: tuple[Path, ...] = ()
) -> dict[str, str]:
    """Return an environment in which `batcher` is imported from this repository."""
    path = os.pathsep.join(map(str, (*paths, REPOSITORY)))
    return {**os.environ, "PYTHONUNBUFFERED": "", "PYTHONPATH": path, **(more or {})}
