"""Files for GitHub and for contributors are valid, and name what exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with cfn-lint; it has no types

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONFIG = GITHUB / "ISSUE_TEMPLATE" / "config.yml"
FORMS = sorted({*(GITHUB / "ISSUE_TEMPLATE").iterdir()} - {CONFIG})
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())

FOR_CONTRIBUTORS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "RELEASING.md",
    ROOT / "SECURITY.md",
    *sorted(GITHUB.rglob("*.md")),
]
MAKE_TARGET = re.compile(r"(?:`|^)make ([a-z][a-z0-9-]*)", re.MULTILINE)
INPUTS = {"textarea", "input", "dropdown", "checkboxes"}
"""Elements of an issue form, besides `markdown`.

Source: GitHub Docs, "Syntax for GitHub's form schema".
"""


def load(path: Path) -> dict[Any, Any]:
    """Return what a YAML file holds."""
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def form_faults(form: dict[str, Any]) -> list[str]:
    """Return why GitHub would refuse an issue form."""
    known = {"name", "description", "body", "labels", "title", "assignees", "projects", "type"}
    faults = [f"unknown key {key}" for key in form.keys() - known]
    faults += [f"no {key}" for key in ("name", "description", "body") if not form.get(key)]
    inputs = [element for element in form.get("body", []) if element.get("type") != "markdown"]
    if not inputs:
        faults.append("nothing to fill in")
    faults += [
        f"text without a value: {element}"
        for element in form.get("body", [])
        if element.get("type") == "markdown" and not element.get("attributes", {}).get("value")
    ]
    for element in inputs:
        name, attributes = element.get("id", "?"), element.get("attributes", {})
        if element.get("type") not in INPUTS:
            faults.append(f"{name}: unknown type")
        if not attributes.get("label"):
            faults.append(f"{name}: no label")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            faults.append(f"{name}: not an id")
        if element.get("type") in {"dropdown", "checkboxes"}:
            options = attributes.get("options", [])
            if not options or len({str(option) for option in options}) < len(options):
                faults.append(f"{name}: no options, or one twice")
            if any(str(option).lower() == "none" for option in options):
                faults.append(f"{name}: 'none' is GitHub's own option")
    for key in ("id", "label"):
        values = [str(each.get(key, each.get("attributes", {}).get(key))) for each in inputs]
        faults += [f"{key} twice: {each}" for each in sorted(set(values)) if values.count(each) > 1]
    return faults


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_what_github_accepts(path: Path) -> None:
    assert path.suffix == ".yml"
    assert form_faults(load(path)) == []


def test_faults_of_issue_forms_are_found() -> None:
    body = [
        {"type": "markdown", "attributes": {"vale": "text"}},
        {"type": "text", "id": "a b", "attributes": {"label": "A"}},
        {
            "type": "dropdown",
            "id": "c",
            "attributes": {"label": "A", "options": ["x", "x", "None"]},
        },
        {"type": "input", "id": "c", "atributes": {"label": "B"}},
    ]
    assert sorted(form_faults({"name": "x", "about": "y", "body": body})) == [
        "a b: not an id",
        "a b: unknown type",
        "c: 'none' is GitHub's own option",
        "c: no label",
        "c: no options, or one twice",
        "id twice: c",
        "label twice: A",
        "no description",
        "text without a value: {'type': 'markdown', 'attributes': {'vale': 'text'}}",
        "unknown key about",
    ]
    assert form_faults({"name": "x", "description": "y", "body": []}) == [
        "no body",
        "nothing to fill in",
    ]


def test_links_beside_issue_forms_lead_into_this_repository() -> None:
    """Issue forms need addresses. They differ from the relative links of the documents."""
    config, source = load(CONFIG), PROJECT["urls"]["Source"]
    assert config.keys() == {"blank_issues_enabled", "contact_links"}
    assert config["contact_links"]
    for link in config["contact_links"]:
        assert link.keys() == {"name", "url", "about"}
        assert link["url"].startswith(f"{source}/")
        path = link["url"].removeprefix(f"{source}/blob/main/")
        assert path == link["url"] or (ROOT / path).is_file()


def steps_of(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_read_only_and_pin_what_they_use(path: Path) -> None:
    workflow, text = load(path), path.read_text()
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    used = [step["uses"] for step in steps_of(workflow) if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
        assert re.search(rf"{action} # v\d+\.\d+\.\d+$", text, re.MULTILINE), action


def test_the_hosted_ci_is_that_of_the_repository() -> None:
    workflow = load(GITHUB / "workflows" / "ci.yml")
    triggers = workflow[True]  # `on` is a boolean of YAML 1.1
    assert triggers == {"push": {"branches": ["main"]}, "pull_request": None}
    runs = [step["run"] for step in steps_of(workflow) if "run" in step]
    assert runs == [".ci/run", "make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_hosted_ci_tests_every_python_that_is_supported() -> None:
    workflow = load(GITHUB / "workflows" / "ci.yml")
    prefix = "Programming Language :: Python :: 3."
    versions = [name.removeprefix(prefix[:-2]) for name in PROJECT["classifiers"] if prefix in name]
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == versions
    lowest = workflow["jobs"]["all"]["steps"][1]["with"]["python-version"]
    assert f">={lowest}" == PROJECT["requires-python"]


def test_hooks_run_what_make_lint_runs() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    for hook in repository["hooks"]:
        assert hook.keys() >= {"id", "name", "entry", "language"}
        tool, *subcommand = hook["entry"].removesuffix(" --force-exclude").split()
        assert " ".join([tool.replace(".venv/bin", "$(BIN)"), *subcommand]) in recipe


def missing_targets(text: str, makefile: str) -> list[str]:
    """Return the targets of make that a text names and the Makefile does not have."""
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))
    return sorted(set(MAKE_TARGET.findall(text)) - targets)


@pytest.mark.parametrize("path", FOR_CONTRIBUTORS, ids=lambda path: path.name)
def test_every_make_target_exists(path: Path) -> None:
    assert missing_targets(path.read_text(), (ROOT / "Makefile").read_text()) == []


def test_missing_make_targets_are_found() -> None:
    text = "make test\n`make demos`, and we make sure\nmake check-all X=1\n"
    assert missing_targets(text, "test: lint\ncheck:\n") == ["check-all", "demos"]


def test_contributors_know_all_that_ci_runs() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for target in re.findall(r"^make ([a-z-]+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE):
        assert f"`make {target}`" in contributing, target
