"""The Makefile: it checks Python before it does anything, and lists its targets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration.deploy.serverless import ROOT

HARMLESS = {"help", "clean"}
"""Targets that run without Python."""
MAKE_S = 30


def make(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run make in this checkout."""
    return subprocess.run(  # noqa: S603  # our own Makefile
        ["make", "--no-print-directory", *arguments],  # noqa: S607  # of the system
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        timeout=MAKE_S,
        check=False,
    )


def targets() -> list[str]:
    """Return the targets that have a text."""
    text = (ROOT / "Makefile").read_text()
    return sorted(set(re.findall(r"^([a-z0-9-]+):.*  ## ", text, re.MULTILINE)) - HARMLESS)


def stub(folder: Path, script: str) -> str:
    """Create a `python3` in a folder, and return a PATH that begins with it."""
    program = folder / "python3"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"


def faults(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what was printed, without make's own last line."""
    assert ran.returncode
    printed = (ran.stdout + ran.stderr).splitlines()
    assert printed[-1].startswith("make: *** ")
    return printed[:-1]


@pytest.mark.parametrize("target", targets())
def test_every_target_checks_python_before_anything_is_created(tmp_path: Path, target: str) -> None:
    """Pip of an older Python would try old versions of everything for hours."""
    path = stub(tmp_path, 'echo "Python 3.10.12"')
    venv = tmp_path / "venv"
    newer = ["-W", "deploy/package-lock.json"]  # as if osls were to be installed first
    ran = make(
        target, *newer, f"VENV={venv}", f"CHECKS={venv}-checks", "BUCKET=my-bucket", PATH=path
    )
    (line,) = faults(ran)
    assert re.match(r"Python 3\.11 or newer is needed: python3 is 3\.10\.12; \S+", line)
    assert [each.name for each in tmp_path.iterdir()] == ["python3"]


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ('echo "Python 3.9.2"', "3.9.2"),
        ('echo "Python 2.7.18" >&2', "2.7.18"),
        ('case "$*" in *version_info*) echo 3.10;; *) echo "Python 3.12.1";; esac', "3.10"),
        ('echo "python3: command not found" >&2; exit 127', "not installed, or does not run"),
        ("exit 1", "not installed, or does not run"),
    ],
)
def test_an_old_python_is_named(tmp_path: Path, script: str, found: str) -> None:
    """Whichever way it shows its version; a shim without a Python behind it, too."""
    ran = make("demo", f"VENV={tmp_path / 'venv'}", PATH=stub(tmp_path, script))
    (line,) = faults(ran)
    assert line.startswith(f"Python 3.11 or newer is needed: python3 is {found}; ")


def test_a_missing_python_is_named(tmp_path: Path) -> None:
    ran = make("demo", f"VENV={tmp_path / 'venv'}", "PYTHON=python-of-nobody")
    (line,) = faults(ran)
    assert line.startswith("Python 3.11 or newer is needed: python-of-nobody is not installed")


@pytest.mark.parametrize("version", ["3.11.0", "3.12.1", "3.13.0rc1", "3.14.0", "4.0.0"])
def test_a_new_python_is_taken(tmp_path: Path, version: str) -> None:
    stub(tmp_path, f'echo "Python {version}"')
    script = str(ROOT / "deploy" / "need-python.sh")
    ran = subprocess.run(  # noqa: S603  # our own script
        ["/bin/sh", script, str(tmp_path / "python3")],
        capture_output=True,
        text=True,
        timeout=MAKE_S,
        check=False,
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.parametrize("target", ["deploy", "remove", "e2e"])
@pytest.mark.parametrize("version", ["v18.20.8", "v20.18.3", "v20.2.0", "v22.12.0", "v23.11.0", ""])
def test_an_old_node_is_named(tmp_path: Path, target: str, version: str) -> None:
    """Before anything is installed or packaged, and also when osls is installed already."""
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version or '; exit 1'}\n")
        program.chmod(0o755)
    installed = [
        part
        for file in (
            f"{sys.prefix}/.deploy",
            f"{sys.prefix}/.ready",
            "deploy/node_modules/.bin/osls",
        )
        for part in ("-o", file)
    ]
    ran = make(
        target, *installed, f"VENV={sys.prefix}", "BUCKET=my-bucket",
        PATH=f"{tmp_path}:/usr/bin:/bin",
    )  # fmt: skip
    (line,) = faults(ran)
    found = version or "not installed, or does not run"
    assert line.startswith("node 20.19, 22.13, 24 or newer is needed, with npm: ")
    assert f"node is {found}; https://" in line


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.1", "v22.13.0", "v22.20.0", "v24.0.0"])
def test_a_new_node_is_taken(tmp_path: Path, version: str) -> None:
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    ran = make("node", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_targets_are_listed(arguments: list[str]) -> None:
    """Also by `make` alone, and without Python."""
    listed = re.findall(r"^  ([a-z0-9-]+) +\S", make(*arguments).stdout, re.MULTILINE)
    assert listed == sorted([*targets(), *HARMLESS])


def test_what_is_installed_has_a_size() -> None:
    """Before each installation that takes long."""
    rules = re.split(r"\n(?=\S)", (ROOT / "Makefile").read_text())
    large = [
        rule
        for rule in rules
        if rule.startswith("$(") and re.search("--group|npm ci --|checkov|--editable", rule)
    ]
    assert len(large) >= 7
    for rule in large:
        assert re.search(r"@echo 'Installing [^']+ some [\d,]+ MB, once'", rule), rule
