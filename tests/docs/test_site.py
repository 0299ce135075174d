"""The site has every page, and its source can be prepared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from generate import site

if TYPE_CHECKING:
    import pytest


def test_the_navigation_has_every_page_once_and_no_link_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "SITE", tmp_path)
    assert site.prepare() == []
    assert (tmp_path / "docs/index.md").is_file()


def test_pages_that_are_missing_unlisted_or_listed_twice_are_faults() -> None:
    config = "nav:\n  - index.md\n  - Group:\n      - Title: gone.md\n      - index.md\n"
    pages = [Path("index.md"), Path("more.md"), Path("decisions/0001-a.md")]
    assert site.navigation_faults(config, pages) == [
        "mkdocs.yml: nav: gone.md does not exist; remove it",
        "mkdocs.yml: nav: index.md is listed twice",
        "docs/more.md: not in the navigation; add it to nav in mkdocs.yml",
    ]


def test_links_that_leave_the_documents_are_addresses() -> None:
    text = (
        "[a](../x.py#L1) [b](y.md) [c](https://d) [e](#f) `[g](h)`\n```text\n[i](j)\n```\n[k](l)\n"
    )
    changed = site.map_links(text, lambda path, anchor: f"<{path}{anchor}>")
    assert changed == (
        "[a](<../x.py#L1>) [b](<y.md>) [c](https://d) [e](<#f>) `[g](<h>)`\n```text\n[i](j)\n```\n"
        "[k](<l>)\n"
    )


def test_a_page_of_the_site_links_to_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "DOCS", tmp_path / "docs")
    (tmp_path / "docs/how-to").mkdir(parents=True)
    (tmp_path / "docs/decisions").mkdir()
    (tmp_path / "a.py").touch()
    page = Path("how-to/page.md")
    (tmp_path / "docs" / page).write_text("[a](../../a.py#L3) [b](../decisions/) [c](gone.md)\n")
    faults: list[str] = []
    assert site.site_page(page, "https://x", faults) == (
        "[a](https://x/blob/main/a.py#L3) [b](../decisions/index.md) [c](gone.md)\n"
    )
    assert faults == ["docs/how-to/page.md: gone.md does not exist; correct the link"]
