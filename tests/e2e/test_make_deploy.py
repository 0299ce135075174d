"""`make deploy` and `make remove`, as the page about deploying has them, with a local AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.emulator import NOBODY, Emulator
from e2e.ministack import open_ministack
from e2e.project import ENGINES, Project, Projects
from e2e.tools import OSLS, ROOT
from support.doc_pages import DOCS, blocks_of, commands, pages

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("make-deploy")]
PAGE = DOCS / "how-to" / "deploy.md"
STEP_S = 200
BASH = """
set -euo pipefail
make() {{ command make -o {venv}/.deploy VENV={venv} ARCH={architecture} "$@"; }}
sleep() {{ command sleep 5; }}
aws() {{ command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }}
"""
"""The installation of the tests, this machine's processor, and no wait for a window of 20 s. The
first version of the CLI ignores AWS_ENDPOINT_URL for SQS."""


@pytest.fixture(scope="module")
def project(projects: Projects) -> Project:
    """Return a copy of the project, with osls."""
    found = projects.get(ENGINES[0])
    modules = found.folder / "deploy" / "node_modules"
    if not modules.exists():
        modules.symlink_to(OSLS.parents[1])
        scripts = found.folder / ".venv"
        scripts.symlink_to(sys.prefix)
    return found


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator."""
    with open_ministack(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


def run(script: str, project: Project, aws: Emulator) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in the project."""
    bash = BASH.format(venv=sys.prefix, architecture=project.architecture)
    own = str(Path(sys.executable).parent)
    return subprocess.run(  # noqa: S603  # what our own page says
        ["/bin/bash", "-c", bash + script],
        cwd=project.folder,
        env={
            **NOBODY,
            **aws.environ,
            "AWS_DEFAULT_REGION": NOBODY["AWS_REGION"],
            "AWS_PAGER": "",
            "PATH": f"{own}:{os.environ['PATH']}",
            "HOME": str(project.folder),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STEP_S,
        check=False,
    )


def test_the_page_leads_to_the_first_object_and_back(project: Project, aws: Emulator) -> None:
    """Deploy, send a message, read it, correct a mistake, remove. The records stay.

    All pages that go this way have the same commands.
    """
    blocks = [block.text for page in pages() for block in blocks_of(page)]
    (first,) = {text for text in blocks if "make deploy" in text and "send-message" in text}
    ran = run(first, project, aws)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {"n": 1}
    assert "batcher check --function batcher-dev-sqs\n" in ran.stdout
    assert "The stack batcher-dev is deployed, and its check found no errors.\n" in ran.stdout
    assert "QueueUrl: http" in ran.stdout

    wrong = "python deploy/deploy.py deploy --param bucket=my-bucket --param handler=my.handler"
    ran = run(wrong, project, aws)
    assert (ran.returncode, ran.stdout) == (2, "")
    nothing, fault = ran.stderr.splitlines()
    assert nothing == "Nothing was created:"
    assert fault.startswith("  handler: the package has no my.py for my.handler; ")

    (remove,) = [
        command
        for block in blocks_of(PAGE)
        for command in commands(block.text)
        if command.startswith("make remove")
    ]
    ran = run(remove, project, aws)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not aws.client("lambda").list_functions()["Functions"]
    assert aws.client("s3").list_objects_v2(Bucket="my-bucket")["KeyCount"] == 1
    assert ROOT not in project.folder.parents


def test_a_failed_check_says_that_the_stack_is_deployed(project: Project, aws: Emulator) -> None:
    """And make fails: the functions of this stack are not there."""
    check = (
        "PYTHONPATH=deploy python -c 'import deploy, parameters; from pathlib import Path; "
        'found = parameters.read(Path("serverless.yml"), "dev", {"name": "other"}); '
        "raise SystemExit(deploy.check_functions(parameters.Parameters(**found)))'"
    )
    ran = run(check, project, aws)
    assert ran.returncode == 1
    assert "error " in ran.stdout
    assert ran.stderr.startswith("\nThe stack other-dev is deployed, but the check failed for ")
