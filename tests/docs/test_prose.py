"""Documents are in plain English, in lines of at most 100 columns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.doc_pages import CODE, ROOT, all_documents, name_of, read_page, split_blocks

MAX_COLUMNS = 100

BANNED = [
    "anew",
    "beside",
    "hears?",
    "lies",
    "nobody",
    "sends? again",
    r"stands?(?! for)",
    "tells?",
    "told",
    "whoever",
    "so many",
]
"""Words of the old dialect, as patterns, see `CONTRIBUTING.md`."""

WORDS = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
UNBREAKABLE = re.compile(r"\]\([^)]*\)|<?https?://\S+|^ *`[^`]*`[.,;]?$")


def prose_faults(lines: list[tuple[int, str]]) -> list[str]:
    """Return the lines that are too long, and the words that are banned."""
    faults = []
    for number, line in lines:
        plain = UNBREAKABLE.sub("]()", line)
        if len(plain) > MAX_COLUMNS and not line.lstrip().startswith("|"):
            faults.append(f"line {number}: {len(plain)} columns")
        faults += [f"line {number}: {word!r}" for word in WORDS.findall(CODE.sub("``", plain))]
    return faults


def documents() -> list[Path]:
    """Return all documents but the list of changes, and what describes the tests."""
    tests = ROOT / "tests"
    found = [page for page in all_documents() if not page.is_relative_to(tests)]
    return [page for page in found if name_of(page) != "CHANGELOG.md"]


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_pages_are_plain_and_narrow(page: Path) -> None:
    assert prose_faults(read_page(page)[1]) == []


def test_long_lines_and_banned_words_are_found() -> None:
    text = (
        f"{'x ' * 51}\n| {'x ' * 60}|\n[a](https://{'x' * 120})\n`nobody` It Tells you.\n"
        "standing, 2 records a second\n\n```text\nnobody\n```\n"
    )
    assert prose_faults(split_blocks(text)[1]) == ["line 1: 102 columns", "line 4: 'Tells'"]
