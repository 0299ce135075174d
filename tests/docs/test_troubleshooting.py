"""Every message that docs/troubleshooting.md quotes is in the code, and what must be there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from batcher.reading.findings import FindingKind
from batcher.records.bad_record import BadRecordReason

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"

FROM_AWS = "Lambda: what AWS says"
"""The section whose messages are not ours."""

CODE = re.compile(r"``(.+?)``|`([^`]+)`")
VARIES = "…"
LOG_TEMPLATE = re.compile(r"([a-z]+(?:_[a-z]+)*)(?: \w+=%\S+)+")


def quoted_messages(page: str) -> Iterator[str]:
    """Yield the code in the first cell of each row, except of the section `FROM_AWS`."""
    section = ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and section != FROM_AWS:
            for found in CODE.finditer(line.split(" | ")[0]):
                yield found[1] or found[2]


def templates_of(source: str) -> Iterator[str]:
    """Yield the strings of a module that are no docstrings, with `…` for what is filled in."""
    tree = ast.parse(source)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else VARIES
                for part in node.values
            )
            continue
        value = getattr(node, "value", None)
        if isinstance(node, ast.Constant) and isinstance(value, str) and id(node) not in left_out:
            yield re.sub(r"%[\d.]*[a-z]", VARIES, value)


@cache
def templates() -> frozenset[str]:
    """Return the templates of the whole package, and of what deploys it."""
    paths = [*(ROOT / "batcher").rglob("*.py"), *(ROOT / "deploy").glob("*.py")]
    return frozenset(text for path in paths for text in templates_of(path.read_text("utf-8")))


@cache
def log_lines() -> frozenset[str]:
    """Return the names of all log lines with fields."""
    found = set()
    for path in (ROOT / "batcher").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                match = LOG_TEMPLATE.fullmatch(node.value)
                if match:
                    found.add(match[1])
    return frozenset(found)


def is_in(message: str, known: frozenset[str]) -> bool:
    """Return whether a template contains a message. A single word must be all of it."""
    if re.fullmatch(r"[\w.]+", message):
        return message in known or message in log_lines()
    return any(message in template for template in known)


def test_every_quoted_message_exists() -> None:
    """Write `…` exactly where the code fills something in."""
    messages = list(quoted_messages(PAGE.read_text("utf-8")))
    assert [message for message in messages if not is_in(message, templates())] == []


def test_what_has_a_fixed_list_is_complete() -> None:
    messages = set(quoted_messages(PAGE.read_text("utf-8")))
    assert {*BadRecordReason, *FindingKind, *log_lines()} <= messages


def test_messages_of_rows_are_found() -> None:
    page = (
        "## Ours\n\n| message | do |\n| --- | --- |\n| `one …`, `two` | `three` |\n"
        "| ``a `b` c`` | d |\n\n## Lambda: what AWS says\n\n| `not ours` | x |\n"
    )
    assert list(quoted_messages(page)) == ["one …", "two", "a `b` c"]


def test_messages_that_do_not_exist_are_missed() -> None:
    known = frozenset(
        templates_of('"""say no"""\nf(f"{x}: no such {y}" "thing", "busy", "a %.0f")')
    )
    assert known == {"…: no such …thing", "busy", "a …"}
    assert [is_in(text, known) for text in ("no such …", "busy", "a …")] == [True] * 3
    assert [is_in(text, known) for text in ("say no", "no such thing", "bus")] == [False] * 3
