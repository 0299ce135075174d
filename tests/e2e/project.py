"""Project: a copy of this one, in which `osls package` and `osls deploy` are seen working.

It is packaged for this machine's Python and processor, so the real `dist/` is left alone.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from e2e.emulator import NOBODY
from e2e.template import Spec, read
from e2e.tools import CACHE, ROOT, osls, run

COPIED = (
    "batcher",
    "deploy",
    "serverless.yml",
    "Makefile",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
BUCKET = "e2e"
ENGINES = ("obstore", "aioboto3")
"""The default engine, and the other one."""
PACKAGED = "packaged"
QUIET = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}


class Project:
    """The copy, packaged."""

    def __init__(self, folder: Path, engine: str) -> None:
        """Copy the project to `folder`, and make its package with an engine."""
        self._osls = osls()
        self.folder = folder
        self.engine = engine
        self._specs: dict[str, dict[str, Spec]] = {}
        folder.mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=_installed_or_compiled)
            else:
                shutil.copyfile(ROOT / name, folder / name)
        processor = ARCHITECTURES[platform.machine()]
        flags = ("--engine", engine, "--arch", processor)
        run([sys.executable, "deploy/package.py", *flags], folder, **_no_pythonpath())
        self._described: dict[str, Any] = json.loads((folder / "dist/deployment.json").read_text())
        self.task_root = folder / "task"
        """The zip's files, as Lambda unpacks them."""
        with ZipFile(folder / self._described["artifact"]) as packed:
            packed.extractall(self.task_root)

    def __str__(self) -> str:
        told = self._described
        return (
            f"{Path(told['artifact']).name}: {told['zipped_bytes'] / 1e6:.1f} MB, "
            f"unzipped {told['unzipped_bytes'] / 1e6:.1f} MB"
        )

    @property
    def architecture(self) -> str:
        """The processor that it is packaged for."""
        return str(self._described["architecture"])

    @property
    def zip_file(self) -> Path:
        """The package."""
        return self.folder / str(self._described["artifact"])

    def package(self, parameters: Mapping[str, object]) -> dict[str, Spec]:
        """Return what `osls package` makes of these parameters, by `sqs` and `kinesis`."""
        known = repr(sorted(parameters.items()))
        if known not in self._specs:
            self._run("package", parameters)
            file = self.folder / PACKAGED / "cloudformation-template-update-stack.json"
            self._specs[known] = read(json.loads(file.read_text()))
        return self._specs[known]

    def deploy(self, parameters: Mapping[str, object], endpoint: str) -> None:
        """Deploy what `osls package` makes of these parameters to an AWS at `endpoint`."""
        self._run("package", parameters)
        self._run("deploy", parameters, **NOBODY, AWS_ENDPOINT_URL=endpoint)

    def _run(self, what: str, parameters: Mapping[str, object], **environ: str) -> None:
        named = {"bucket": BUCKET, **parameters}
        flags = [part for name, value in named.items() for part in ("--param", f"{name}={value}")]
        run([self._osls, what, "--package", PACKAGED, *flags], self.folder, **QUIET, **environ)


class Projects:
    """The project, packaged once for each engine that is asked for."""

    def __init__(self, folder: Path) -> None:
        """Package into folders in `folder`."""
        self._folder = folder
        self.made: dict[str, Project] = {}
        """The packaged projects, by engine."""

    def get(self, engine: str) -> Project:
        """Return the project packaged with an engine."""
        if engine not in self.made:
            self.made[engine] = Project(self._folder / engine, engine)
        return self.made[engine]


def _installed_or_compiled(folder: str, names: list[str]) -> list[str]:
    del folder
    return [name for name in names if name in {"__pycache__", "node_modules"}]


def _no_pythonpath() -> dict[str, str]:
    """Let nothing but the copy decide what is packaged."""
    return {"PYTHONPATH": "", "HOME": os.environ.get("HOME", str(CACHE))}
