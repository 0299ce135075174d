"""Relative links of the documents lead to files and headings that exist."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.doc_pages import ROOT, all_documents, anchors_of, links_of, name_of, slug_of


def dead_links(page: Path) -> list[str]:
    """Return the links of a page whose file or heading does not exist."""
    dead = []
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / path)) if path else page
        is_dead = not target.exists() or not target.is_relative_to(ROOT)
        if not is_dead and anchor and target.suffix == ".md":
            is_dead = anchor not in anchors_of(target)
        if is_dead:
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", all_documents(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_dead_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("# A `b` & C\n\n## Twice\n\n## Twice\n")
    page.write_text(
        "[fine](other.md#a-b--c) [fine](other.md#twice-1) `[code](nothing.md)` [x](https://a.b/c)\n"
        "[dead](nothing.md) [dead](other.md#nope) ![dead](img/x.png)\n[dead](#nope)\n"
        "\n```text\n[output](nothing.md)\n```\n\n[ref]: gone.md\n"
    )
    monkeypatch.setitem(dead_links.__globals__, "ROOT", tmp_path)
    expected = ["nothing.md", "other.md#nope", "img/x.png", "#nope", "gone.md"]
    assert dead_links(page) == expected


def test_anchors_are_those_of_the_site() -> None:
    assert slug_of("`a_b`: [link](x.md), and -- more!") == "a_b-link-and----more"
