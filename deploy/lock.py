"""Lock: every distribution that a package installs, with version and hashes, by engine.

`make lock` writes `requirements-ENGINE.txt` from `pyproject.toml`, for all platforms and Pythons
at once. What is locked already stays, unless `--upgrade` is said.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from target import ENGINES, HERE

LONGEST_S = 600
OLDEST_PYTHON = "3.11"
COMMAND_LINE_ONLY = ("click",)
"""Dependencies of `batcher.cli`, which the package leaves out (`slim.py`)."""


def requirements(engine: str) -> list[str]:
    """Return what the handler needs with this engine, as `pyproject.toml` says it."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    needed: list[str] = [
        requirement
        for requirement in project["dependencies"]
        if not requirement.startswith(COMMAND_LINE_ONLY)
    ]
    if engine == "obstore":
        return needed
    without = [requirement for requirement in needed if not requirement.startswith("obstore")]
    return [*without, *project["optional-dependencies"][engine]]


def lock(engine: str, *, upgrade: bool) -> None:
    """Write the lock of an engine, by uv, which resolves for all platforms at once."""
    file = HERE / f"requirements-{engine}.txt"
    command = [
        *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal"),
        *("--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-annotate"),
        *(["--upgrade"] if upgrade else []),
        *("--output-file", str(file), "-"),
    ]
    subprocess.run(  # noqa: S603  # uv, with our own requirements
        command,
        input="\n".join(requirements(engine)).encode(),
        env={**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "make lock"},
        timeout=LONGEST_S,
        check=True,
    )


def main() -> None:
    """Write both locks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    for engine in ENGINES:
        lock(engine, upgrade=upgrade)


if __name__ == "__main__":
    main()
