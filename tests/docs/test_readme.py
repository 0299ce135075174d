"""The README is short, has its sections in their order, and shows commands that are tested."""

from __future__ import annotations

import re
import tomllib

from support.doc_pages import DOCS, ROOT, blocks_of, prose

README = ROOT / "README.md"
MIN_WORDS, MAX_WORDS = 600, 800
SECTIONS = [
    "Try it",
    "Install",
    "In AWS Lambda",
    "On the command line",
    "When to use it, and when not",
    "Guarantees",
    "Measured",
    "Documentation",
    "Contribute",
]


def test_the_readme_is_short() -> None:
    """As `wc -w` counts: code and markup, too."""
    assert MIN_WORDS <= len(README.read_text("utf-8").split()) <= MAX_WORDS


def test_the_readme_has_its_sections_in_their_order() -> None:
    assert re.findall(r"^## (.+)$", prose(README), re.MULTILINE) == SECTIONS
    first, *_ = blocks_of(README)
    assert first.language == "mermaid"


def test_the_promise_is_one_sentence() -> None:
    (promise,) = re.findall(r"^\*\*(.+?)\*\*$", prose(README), re.MULTILINE | re.DOTALL)
    assert promise.count(".") == 1
    assert promise.endswith(".")


def test_the_commands_for_lambda_are_those_of_the_page_that_is_deployed() -> None:
    """`tests/e2e/test_make_deploy.py` runs the block of that page against a local AWS."""
    deployed = [block.text for block in blocks_of(README) if "send-message" in block.text]
    page = blocks_of(DOCS / "how-to" / "deploy.md")
    assert deployed == [block.text for block in page if "send-message" in block.text]


def test_the_chart_is_that_of_the_alternatives() -> None:
    """One chart, with the figures that `docs/alternatives.md` has in its table."""
    (chart,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", prose(README))
    assert chart.removeprefix("docs/") in prose(DOCS / "alternatives.md")


def test_the_address_of_the_clone_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = README.read_text("utf-8")
    assert f"git clone {project['urls']['Source']}\n" in text
    assert f"cd {project['name']}\n" in text
