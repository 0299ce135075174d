"""Osls: the template that `serverless.yml` comes to, by the tool that deploys it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from integration.deploy.cloudformation import Template
from support.lock import exclusive_lock

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
OSLS = DEPLOY / "node_modules" / ".bin" / "osls"
INSTALL_S, PACKAGE_S = 240, 60
TEMPLATE = "cloudformation-template-update-stack.json"


@functools.cache
def find_osls() -> Path:
    """Return osls, installed as `make deploy` does it; skip the test where it cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("osls needs node and npm, which are not on the PATH")
    with exclusive_lock(DEPLOY):
        if not OSLS.exists():
            _install()
    return OSLS


def _install() -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(DEPLOY)]
    try:
        ran = subprocess.run(  # noqa: S603  # npm, by our own lock
            command, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm ci took more than {INSTALL_S} s: no network?")
    if ran.returncode:
        pytest.skip(f"npm ci failed, so there is no osls: {ran.stderr[-500:]}")


class Packager:
    """Runs `osls package` on a copy of the service, once for each set of parameters."""

    def __init__(self, folder: Path, engine: str = "obstore") -> None:
        """Copy what osls reads into `folder`, with a package that is empty."""
        self._folder = folder
        shutil.copy(ROOT / "serverless.yml", folder)
        (folder / "deploy").mkdir()
        for file in (*DEPLOY.glob("*.yml"), *DEPLOY.glob("*.js")):
            shutil.copy(file, folder / "deploy")
        (folder / "dist").mkdir()
        with zipfile.ZipFile(folder / "dist" / "empty.zip", "w"):
            pass
        description = {
            "artifact": "dist/empty.zip",
            "engine": engine,
            "architecture": "arm64",
            "runtime": "python3.13",
        }
        (folder / "dist" / "deployment.json").write_text(json.dumps(description))
        self._made: dict[str, Path] = {}

    def template(self, **parameters: str) -> Template:
        """Return the template with these parameters, and a bucket."""
        name = json.dumps(parameters, sort_keys=True)
        if name not in self._made:
            to = self._folder / f"made-{len(self._made)}"
            ran = self.run(to, bucket="my-bucket", **parameters)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            self._made[name] = to / TEMPLATE
        return Template(self._made[name])

    def refusal(self, **parameters: str) -> str:
        """Return what osls says where it makes no template."""
        ran = self.run(self._folder / "refused", **parameters)
        assert ran.returncode != 0
        return ran.stdout + ran.stderr

    def run(self, to: Path, **parameters: str) -> subprocess.CompletedProcess[str]:
        """Run `osls package`, which asks no network."""
        given = [flag for pair in parameters.items() for flag in ("--param", "=".join(pair))]
        return subprocess.run(  # noqa: S603  # osls, as found above
            [str(find_osls()), "package", "--package", str(to), *given],
            cwd=self._folder,
            env={**os.environ, "SLS_TELEMETRY_DISABLED": "1"},
            capture_output=True,
            text=True,
            timeout=PACKAGE_S,
            check=False,
        )
