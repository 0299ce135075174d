"""Every deployment that a document shows has right parameters."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with cfn-lint; it has no types
from parameters import Parameters, find_faults, read

from integration.deploy.serverless import ROOT
from support.doc_pages import all_documents, blocks_of, commands, name_of

STARTS = ("make deploy", "make remove")


def deployments(page: Path) -> list[str]:
    """Return the commands of a page that deploy or remove."""
    blocks = [block for block in blocks_of(page) if block.language == "sh"]
    found = [command for block in blocks for command in commands(block.text)]
    return [command for command in found if command.startswith(STARTS)]


PAGES = [page for page in all_documents() if deployments(page)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_the_documents_have_no_fault(page: Path) -> None:
    """As the program sees them: through make, its shell, and the flags of DEPLOY."""
    for command in deployments(page):
        given = dict(word.split("=", 1) for word in shlex.split(command)[2:])
        flags = shlex.split(given.get("DEPLOY", ""))
        pairs = dict(
            flags[at + 1].split("=", 1) for at, flag in enumerate(flags) if flag == "--param"
        )
        region = flags[flags.index("--region") + 1] if "--region" in flags else "us-east-1"
        stage = given.get("STAGE", "dev")
        found = read(ROOT / "serverless.yml", stage, {"bucket": given["BUCKET"], **pairs})
        assert not find_faults(Parameters(**found, stage=stage, region=region)), command


def test_the_guide_shows_deployments() -> None:
    assert ROOT / "docs" / "how-to" / "deploy.md" in PAGES


def test_parameters_per_stage_have_no_fault(tmp_path: Path) -> None:
    """Those of the page about environments, in place of the ones that are in the file."""
    page = ROOT / "docs" / "how-to" / "environments.md"
    (shown,) = [block.text for block in blocks_of(page) if block.title == "serverless.yml"]
    stages = yaml.safe_load(shown)["params"]
    written = yaml.safe_load((ROOT / "serverless.yml").read_text())
    written["params"] |= {name: values for name, values in stages.items() if name != "default"}
    file = tmp_path / "serverless.yml"
    file.write_text(yaml.safe_dump(written))
    for stage in ("dev", "prod"):
        found = read(file, stage, {})
        assert not find_faults(Parameters(**found, stage=stage)), stage
        assert found["values"]["bucket"] == f"my-events-{stage}"
