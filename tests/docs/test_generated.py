"""The generated parts of pages are up to date, complete, and have examples that work."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from batcher.handler.emf import NONZERO_UNITS, REQUIRED_UNITS
from generate import api, command_line, metrics, pages
from support.doc_pages import ROOT, name_of

PAGES = pages.pages_with_parts()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_generated_parts_of_a_page_are_up_to_date(page: Path) -> None:
    is_equal = page.read_text(encoding="utf-8") == PAGES[page]
    assert is_equal, f"{page.relative_to(ROOT)} has generated parts; run `make docs-reference`"


def test_every_part_is_in_a_page() -> None:
    used = [found[1] for text in PAGES.values() for found in pages.PART.finditer(text)]
    assert sorted(used) == sorted(pages.PARTS)


def test_a_stale_part_is_written_again() -> None:
    stale = "a\n<!-- generated: exit-codes -->\nold\n<!-- end of exit-codes -->\nb\n"
    text = pages.generate(stale)
    assert "old" not in text
    assert "| 130 | stopped by Ctrl-C |" in text
    assert text.startswith("a\n")
    assert text.endswith("\nb\n")


def test_choices_are_listed() -> None:
    """Those that only the metavar has, too."""
    parts = [command_line.make_commands(), command_line.make_common_options()]
    cells = [cell.strip() for part in parts for cell in part.replace("\n", "|").split("|")]
    assert [cell for cell in cells if cell.endswith("one of")] == []
    assert "processor of the function (default arm64); one of `arm64`, `x86_64`" in cells


def test_the_api_page_has_every_exported_name() -> None:
    assert api.missing_names() == set()


def test_every_metric_has_a_meaning() -> None:
    assert metrics.MEANINGS.keys() == REQUIRED_UNITS.keys() | NONZERO_UNITS.keys()
    rows = metrics.make_otel()
    assert all(f"`{name}`" in rows for name in metrics.ATTRIBUTES)


@pytest.mark.parametrize("name", command_line.all_commands())
def test_the_examples_of_a_command_are_correct_usage(name: str) -> None:
    command = command_line.all_commands()[name]
    for example in command.examples:
        lexer = shlex.shlex(example.replace("\\\n", " "), posix=True, punctuation_chars="|><;&")
        lexer.whitespace_split = True
        words = [word for word in lexer if word not in {"<", "(", ")", "<(", ">", ">>", "|"}]
        quoted = next((word for word in words if "batcher " in word), "")
        words = words if "batcher" in words else shlex.split(quoted.partition("$(")[2].rstrip(')"'))
        start = words.index("batcher")
        assert words[start + 1] == name
        context = click.Context(command, info_name=name)
        arguments = [word for word in words[start + 2 :] if not word.startswith("~/.config")]
        command.parse_args(context, arguments)
        assert context.meta["faults"] == [], example
