"""The tutorial deploys by the commands that the tests of `make deploy` run."""

from __future__ import annotations

from support.doc_pages import DOCS, blocks_of


def test_the_tutorial_deploys_as_the_page_about_deploying_does() -> None:
    """Its block is one of that page, which `tests/e2e/test_make_deploy.py` runs as a whole."""
    (block,) = [
        block.text
        for block in blocks_of(DOCS / "tutorial.md")
        if block.text.startswith("make deploy")
    ]
    assert block in [block.text for block in blocks_of(DOCS / "how-to" / "deploy.md")]
    assert "send-message" in block
