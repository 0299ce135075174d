"""Docstrings begin with a verb such as Return, Raise or Write, and document real parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("batcher", "tests", "bench", "deploy", "research")
REFUSED = {"Give", "Say", "Tell", "Hear"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
ARGS_SECTION = re.compile(r"^Args:\n((?: +.*\n|\n)*)", re.MULTILINE)
ARGS_ENTRY = re.compile(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*):", re.MULTILINE)


def refused_docstrings(source: str) -> list[str]:
    """Return the first lines of the docstrings that begin with a refused verb."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, DOCUMENTED))
    docstrings = (ast.get_docstring(node) or "" for node in nodes)
    first_lines = (docstring.partition("\n")[0] for docstring in docstrings)
    return [line for line in first_lines if line.partition(" ")[0].rstrip(",.:;") in REFUSED]


def parameter_names(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the names that `Args:` may document: parameters, or a class's and its fields."""
    if isinstance(node, ast.ClassDef):
        fields = {each.target for each in node.body if isinstance(each, ast.AnnAssign)}
        names = {field.id for field in fields if isinstance(field, ast.Name)}
        for each in node.body:
            if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                names |= parameter_names(each)
        return names
    arguments = node.args
    named = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    rest = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return {each.arg for each in named + rest}


def unknown_parameters(source: str) -> list[str]:
    """Return `function: name` for each name below `Args:` that is no parameter."""
    unknown = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        section = ARGS_SECTION.search((ast.get_docstring(node) or "") + "\n")
        for entry in ARGS_ENTRY.findall(section[1]) if section else ():
            documented = [name.lstrip("*") for name in entry.split(", ")]
            known = parameter_names(node)
            unknown += [f"{node.name}: {name}" for name in documented if name not in known]
    return unknown


def findings(folder: str, check: Callable[[str], list[str]]) -> list[str]:
    """Return what `check` finds in the Python files below a folder, each after its file's path."""
    return [
        f"{path.relative_to(ROOT)}: {line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts
        for line in check(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_docstring_begins_with_a_refused_verb(folder: str) -> None:
    """Return instead of Give, Count or Record instead of Tell, and so on."""
    found = findings(folder, refused_docstrings)
    assert not found, "\n".join([f"{len(found)} docstrings", *found])


@pytest.mark.parametrize("folder", FOLDERS)
def test_args_sections_name_parameters_that_exist(folder: str) -> None:
    """A renamed parameter is renamed in its docstring, too."""
    found = findings(folder, unknown_parameters)
    assert not found, "\n".join([f"{len(found)} unknown parameters", *found])


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


def test_a_documented_parameter_that_does_not_exist_is_found(tmp_path: Path) -> None:
    """In functions, methods and classes; not in text that continues an entry."""
    module = tmp_path / "planted.py"
    module.write_text('''
class Reader:
    """Reads.

    Args:
        path: of the file.
        size: a field.
        mode: renamed.
    """
    size: int
    def __init__(self, path): ...
    async def read(self, start, *rest, **options):
        """Read.

        Args:
            start, stop: the range, in bytes. An age is written as follows:
                age: `30s`, `2h`.
            *rest: more.
            **options: even more.
            offset: renamed.

        Raises:
            ValueError: `start` is negative.
        """
def open_file(*, name):
    """Open.

    Args:
        name: of the file.
    """
''')
    assert unknown_parameters(module.read_text()) == [
        "Reader: mode",
        "read: stop",
        "read: offset",
    ]
