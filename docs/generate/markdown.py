"""Markdown of generated pages: tables and wrapped text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

COLUMNS = 100
ITEM = re.compile(r"[-*] |\d+\. ")


def make_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. Bars within cells are escaped."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(map(_to_cell, line))} |" for line in lines) + "\n"


def _to_cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def wrap(text: str, indent: str = "", hanging: str | None = None) -> str:
    """Return a paragraph in lines of at most 100 columns. Code with blanks is not broken."""
    unbroken = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), " ".join(text.split()))
    filled = textwrap.fill(
        unbroken,
        COLUMNS,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace("\0", " ")


def wrap_text(text: str) -> str:
    """Return paragraphs, with lists, blocks and tables as they are."""
    return "\n\n".join(map(_wrap_part, re.split(r"\n\s*\n", text.strip())))


def _wrap_part(part: str) -> str:
    if ITEM.match(part) or "```" in part or part.startswith("|"):
        return part
    head, *items = re.split(r"\n {4}(?=\S)", part)
    if not items:
        return wrap(part)
    lines = [re.sub(r"^(\w+):", r"`\1`:", item) for item in items]
    return f"{wrap(head)}\n\n" + "\n".join(wrap(line, "- ", "  ") for line in lines)


def escape(text: str) -> str:
    """Return plain text as Markdown."""
    return re.sub(r"([*<\[])|(?<!\w)(_)", r"\\\1\2", text)
