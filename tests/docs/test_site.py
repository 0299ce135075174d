"""The site has every page, and its source can be prepared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from generate import site
from support.doc_pages import FENCE, name_of, pages

NESTED = 4
"""Columns by which Python-Markdown wants contents of list items indented."""


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
    (tmp_path / "docs/measured").mkdir()
    (tmp_path / "docs/measured/d.json").touch()
    links = "[a](../../a.py#L3) [b](../decisions/) [c](gone.md) [d](../measured/d.json)\n"
    (tmp_path / "docs" / page).write_text(links)
    faults: list[str] = []
    assert site.site_page(page, "https://x", faults) == (
        "[a](https://x/blob/main/a.py#L3) [b](../decisions/index.md) [c](gone.md) "
        "[d](https://x/blob/main/docs/measured/d.json)\n"
    )
    assert faults == ["docs/how-to/page.md: gone.md does not exist; correct the link"]


def broken_lists(text: str) -> list[str]:
    """Return the items that the site would number from 1, or not nest, unlike GitHub.

    What belongs to an item, code too, is indented by four columns there.
    """
    faults = []
    is_list = is_blank = is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        item = re.match(r"( *)(?:(\d+)\.|[-*]) ", line)
        indent = len(line) - len(line.lstrip())
        if FENCE.match(line):
            if not is_code and 0 < indent < NESTED:
                faults.append(f"line {number}: indent this block by {NESTED}")
            is_code = not is_code
            is_list = is_list and indent >= NESTED
        elif is_code:
            continue
        elif item and 0 < indent < NESTED:
            faults.append(f"line {number}: indent nested lists by {NESTED}")
        elif item and indent == 0:
            if not is_list and int(item[2] or 1) != 1:
                faults.append(f"line {number}: a list begins with {item[2]}; indent what is before")
            is_list = True
        elif line.strip() and is_blank and indent < NESTED:
            is_list = False
        is_blank = not line.strip()
    return faults


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_lists_are_those_of_github(page: Path) -> None:
    assert broken_lists(page.read_text(encoding="utf-8")) == []


def test_broken_lists_are_found() -> None:
    text = (
        "1. a\n   b\n2. c\n\n    ```sh\n1. x\n  - y\n    ```\n\n3. d\n\n```text\n```\n\n4. e\n"
        "\nf\n\n- g\n  - h\n- i\n    - j\n\n  ```text\n  ```\n"
    )
    assert [fault[:8] for fault in broken_lists(text)] == ["line 15:", "line 20:", "line 24:"]
