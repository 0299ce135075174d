"""All generated pages."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]


def generated_pages() -> dict[str, str]:
    """Return the text of each page, by its path in `docs/`."""
    return {}
