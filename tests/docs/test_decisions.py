"""The index of decisions lists every decision, with its title."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((\d{4}-.+\.md)\) \| (.+) \|$", re.MULTILINE)


def test_the_index_lists_every_decision_by_its_title() -> None:
    rows = [row[:3] for row in ROW.findall((FOLDER / "index.md").read_text("utf-8"))]
    expected = []
    for path in sorted(FOLDER.glob("0*.md")):
        first, _, _ = path.read_text("utf-8").partition("\n")
        number, _, title = first.removeprefix("# ").partition(". ")
        expected.append((number, title, path.name))
    assert rows == expected


def test_the_index_says_what_was_replaced() -> None:
    """A decision that says in its first lines that another one replaces it."""
    statuses = {
        name: status for _, _, name, status in ROW.findall((FOLDER / "index.md").read_text("utf-8"))
    }
    for path in sorted(FOLDER.glob("0*.md")):
        start = path.read_text("utf-8")[:300]
        is_replaced = re.search(r"replaced by \[decision", start, re.IGNORECASE) is not None
        assert statuses[path.name].startswith("replaced") == is_replaced, path.name
