"""Docstrings begin with a verb that says what a caller gets: Return, Raise, Wait, Check, Write."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("batcher", "tests", "bench", "deploy", "research")
REFUSED = {"Give", "Say", "Tell", "Hear"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def refused_docstrings(source: str) -> list[str]:
    """Return the first lines of the docstrings that begin with a refused verb."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, DOCUMENTED))
    docstrings = (ast.get_docstring(node) or "" for node in nodes)
    first_lines = (docstring.partition("\n")[0] for docstring in docstrings)
    return [line for line in first_lines if line.partition(" ")[0].rstrip(",.:;") in REFUSED]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_docstring_begins_with_a_refused_verb(folder: str) -> None:
    """Return instead of Give, Count or Record instead of Tell, and so on."""
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts
        for line in refused_docstrings(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join([f"{len(found)} docstrings", *found])


def test_docstrings_of_modules_classes_and_functions_are_judged() -> None:
    """By their first word alone; an attribute's text and a comment are no docstrings."""
    source = '''"""Tell, if asked."""
class Reply:
    """Say yes."""
    name = ""
    """Give names."""
    async def hear(self):
        """
        Hear more.
        """
    def given(self):
        """Given names, which say and tell."""
    def returned(self):
        """Return what others give."""  # Give
'''
    assert refused_docstrings(source) == ["Tell, if asked.", "Say yes.", "Hear more."]
