"""Tools: what an end to end run needs beside the project, kept in `.e2e` from run to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from support.lock import exclusive_lock

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".e2e"
LONGEST_S = 300.0
"""The most that one step takes; none is waited for so long."""
SHOWN = 2_000

RUNTIME_CLIENT = "awslambdaric==4.2.2"
MINISTACK = "ministack==1.5.33"
LOCALSTACK = (
    "localstack-core[runtime]==2026.3.0",
    "cbor2<5.8",  # with newer ones of these it says "No component plugins found", and ends
    "pyopenssl<25.2",
    "cryptography<46",
    "service_identity",
    RUNTIME_CLIENT,
)
KINESIS = "kinesis-local@0.5.2"
LOCALSTACK_FILES = CACHE / "localstack-files"


def run(command: Sequence[str | Path], folder: Path, **environ: str) -> str:
    """Run a program to its end, and give what it printed.

    Raises:
        AssertionError: it failed; the message has the end of what it said.
    """
    ran = subprocess.run(  # noqa: S603  # the tools of this file
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    said = ran.stdout[-SHOWN:]
    assert not ran.returncode, f"{command[0]} failed ({ran.returncode}):\n{said}"
    return ran.stdout


OSLS = ROOT / "deploy" / "node_modules" / ".bin" / "osls"


def osls() -> Path:
    """Return the Serverless Framework's open continuation, which `make e2e` has installed."""
    assert OSLS.exists(), f"{OSLS} is missing: `make e2e` installs it, and runs this"
    return OSLS


def runtime_client() -> Path:
    """Return a folder with Lambda's runtime client alone, for the Python that runs."""
    folder = CACHE / RUNTIME_CLIENT
    with exclusive_lock(CACHE):
        if not _is_ready(folder):
            _install(sys.executable, "--target", folder, RUNTIME_CLIENT)
            _ready(folder)
    return folder


def ministack() -> Path:
    """Return the emulator's Python, in an environment of its own: it pins a botocore."""
    return _environment(CACHE / MINISTACK, sys.executable, MINISTACK)


def python_of_localstack() -> str:
    """Find a Python 3.13, for LocalStack runs on no other; empty where there is none."""
    python = os.environ.get("PYTHON313") or shutil.which("python3.13")
    if not python or subprocess.run([python, "-V"], capture_output=True, check=False).returncode:  # noqa: S603  # a shim may have none behind it
        return ""
    return python


def localstack() -> Path:
    """Return LocalStack's Python."""
    stream = LOCALSTACK_FILES / "var/lib/localstack/lib/kinesis-local" / KINESIS.partition("@")[2]
    with exclusive_lock(CACHE):
        if not _is_ready(stream):  # else it would do so itself, at the first stream
            run(["npm", "install", "--no-audit", "--no-fund", "--prefix", stream, KINESIS], CACHE)
            _ready(stream)
    return _environment(CACHE / "localstack", python_of_localstack(), *LOCALSTACK)


def _environment(folder: Path, python: str, *requirements: str) -> Path:
    inside = folder / "bin" / "python"
    with exclusive_lock(CACHE):
        if not _is_ready(folder):
            run([python, "-m", "venv", folder], CACHE)
            _install(inside, *requirements)
            _ready(folder)
    return inside


def _install(python: str | Path, *what: str | Path) -> None:
    flags = ["--quiet", "--disable-pip-version-check"]
    run([python, "-m", "pip", "install", *flags, *what], CACHE)


def _is_ready(folder: Path) -> bool:
    """Return whether a folder is whole; one that was begun is thrown away, and there, empty."""
    if (folder / ".ready").exists():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return False


def _ready(folder: Path) -> None:
    (folder / ".ready").touch()
