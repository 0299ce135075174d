"""The generated parts of pages. The text around them is written by hand.

A part begins with `<!-- generated: NAME -->` and ends with `<!-- end of NAME -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from generate import api, command_line, errors, metrics, settings

DOCS = Path(__file__).resolve().parents[1]
PART = re.compile(r"<!-- generated: (\S+) -->\n(.*?)<!-- end of \1 -->\n", re.DOTALL)

PARTS: Mapping[str, Callable[[], str]] = {
    **api.PARTS,
    **command_line.PARTS,
    **errors.PARTS,
    **metrics.PARTS,
    **settings.PARTS,
}
"""What makes the text of each part."""


def generate(text: str) -> str:
    """Return a page with its parts as they are to be."""
    return PART.sub(
        lambda found: (
            f"<!-- generated: {found[1]} -->\n\n{PARTS[found[1]]().strip()}\n\n"
            f"<!-- end of {found[1]} -->\n"
        ),
        text,
    )


def pages_with_parts() -> dict[Path, str]:
    """Return each page that has generated parts, with the text that it is to have."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
    return {path: generate(text) for path, text in texts.items() if PART.search(text)}
