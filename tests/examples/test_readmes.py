"""The commands of each example's README, run as they are, print what the README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest

from e2e.emulator import free_port
from support.scripts import run_shell

if TYPE_CHECKING:
    from support.s3_servers import Moto

EXAMPLES = Path(__file__).parents[2] / "examples"
RUN_HERE = [
    "backfill_cli",
    "fastapi_ingest",
    "lambda_kinesis_transform",
    "lambda_sqs",
    "library_quickstart",
    "read_with_duckdb",
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DEADLINE_S = 120


def run_script(script: str, folder: Path, environ: dict[str, str]) -> str:
    """Run a block of shell commands, and return its standard output.

    Everything that it started is ended.
    """
    ran = run_shell(
        ["-euo", "pipefail", "-c", script],
        folder,
        environ,
        stderr=subprocess.PIPE,
        deadline_s=DEADLINE_S,
    )
    assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def pattern_of(output: str) -> str:
    """Return a pattern for an output in which `…` is any text, and as a whole line any lines."""
    lines = (
        "(?:.*\n)*" if line == "…\n" else ".*".join(map(re.escape, line.split("…")))
        for line in output.splitlines(keepends=True)
    )
    return "".join(lines)


@pytest.fixture
def environ(moto: Moto) -> dict[str, str]:
    """Return the environment of a user who has installed batcher, and has a bucket."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **moto.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("name", RUN_HERE)
def test_an_example_does_what_its_readme_says(
    name: str, tmp_path: Path, environ: dict[str, str], moto: Moto
) -> None:
    """Only the name of the bucket and the port are replaced, because tests share both."""
    folder = Path(shutil.copytree(EXAMPLES / name, tmp_path / name))
    bucket = f"example-{token_hex(4)}"
    moto.create_bucket(bucket)
    text = (folder / "README.md").read_text(encoding="utf-8")
    text = text.replace("my-bucket", bucket).replace("8000", str(free_port()))
    blocks = BLOCK.findall(text)
    assert {kind for kind, _ in blocks} == {"sh", "text"}
    printed = ""
    for kind, block in blocks:
        if kind == "sh":
            printed = run_script(block, folder, environ)
        else:
            assert re.fullmatch(pattern_of(block), printed), printed
    if name == "read_with_duckdb":
        opened, objects = map(int, re.findall(r"\d+", printed)[-2:])
        assert 0 < opened < objects / 10


@pytest.mark.parametrize("name", RUN_HERE)
def test_a_readme_is_short(name: str) -> None:
    """It is read before the code, so it has at most 150 words."""
    assert len((EXAMPLES / name / "README.md").read_text(encoding="utf-8").split()) <= 150


def test_templates_deploy_what_their_examples_have() -> None:
    """cfn-lint accepts them, and the handlers that they name exist."""
    templates = sorted(EXAMPLES.glob("lambda_*/template.yaml"))
    assert len(templates) == 2
    checker = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(  # noqa: S603  # our own templates
        [checker, *templates], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    for template in templates:
        text = template.read_text(encoding="utf-8")
        found = re.search(r"Handler: (\w+)\.handler$", text, re.MULTILINE)
        assert found is not None
        module = template.with_name(f"{found[1]}.py").read_text(encoding="utf-8")
        assert re.search(r"^handler = ", module, re.MULTILINE)
