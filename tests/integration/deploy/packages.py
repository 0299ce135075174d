"""Built: packages, made by the command that users run, and a handler that runs from one alone."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "package.py"
ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}
BUILD_S, INVOKE_S = 240, 60
NO_NETWORK = ("Retrying (Retry", "No matching distribution found for")
INVOKE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from batcher.handler import handler
answer = handler(json.loads(sys.argv[2]), None)
files = [getattr(module, "__file__", None) for module in sys.modules.values()]
print(json.dumps({"answer": answer, "imported": [file for file in files if file]}), flush=True)
os._exit(0)
"""
"""What Lambda does: the package first on the path, besides it only the standard library."""


@dataclass(frozen=True)
class Package:
    """A package that was made, and unpacked as Lambda does it."""

    zip_file: Path
    description: Mapping[str, Any]
    printed: str

    @cached_property
    def folder(self) -> Path:
        """Return the folder that it is unpacked into."""
        folder = self.zip_file.parent / "task"
        with zipfile.ZipFile(self.zip_file) as packed:
            packed.extractall(folder)
        return folder

    @cached_property
    def names(self) -> list[str]:
        """Return the names of its files, in their order."""
        with zipfile.ZipFile(self.zip_file) as packed:
            return packed.namelist()

    def invoke(self, event: object, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Call the handler in a fresh process that sees nothing but the package."""
        return subprocess.run(  # noqa: S603  # this Python, and our own package
            [sys.executable, "-I", "-S", "-c", INVOKE, str(self.folder), json.dumps(event)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.zip_file.parent), **environ},
            capture_output=True,
            text=True,
            timeout=INVOKE_S,
            check=False,
        )


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(  # noqa: S603  # our own script
        [sys.executable, str(SCRIPT), *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )


def build(engine: str, to: Path, *arguments: str, **environ: str) -> Package:
    """Make a package for this machine; skip the test where no index of packages is reached."""
    machine = ARCHITECTURES[platform.machine()]
    ran = run("--engine", engine, "--arch", machine, "--to", str(to), *arguments, **environ)
    if ran.returncode and all(said in ran.stderr for said in NO_NETWORK):
        pytest.skip("pip reaches no index")
    assert ran.returncode == 0, ran.stderr
    (zip_file,) = to.glob("*.zip")
    return Package(zip_file, json.loads((to / "deployment.json").read_text()), ran.stdout)
