"""A class name means one thing: no two modules of the package define the same one."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import batcher

PACKAGE = Path(batcher.__file__).parent


def shared_class_names(package: Path) -> dict[str, list[str]]:
    """Return the class names that several files of a package define, each with these files.

    Enums, protocols, private classes and classes within others count.
    """
    files: dict[str, set[str]] = defaultdict(set)
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                files[node.name].add(path.relative_to(package).as_posix())
    return {name: sorted(where) for name, where in sorted(files.items()) if len(where) > 1}


def test_a_class_name_is_unique_in_the_package() -> None:
    """Rename what the message lists, so that each name says what it is."""
    shared = shared_class_names(PACKAGE)
    assert not shared, "\n".join(f"{name}: {', '.join(files)}" for name, files in shared.items())


def test_a_name_that_two_modules_define_is_found(tmp_path: Path) -> None:
    """A subclass of another name, a use and an import do not count."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "one.py").write_text("class Table:\n    class Row: ...\nclass Once: ...\n")
    (tmp_path / "inner" / "two.py").write_text("from enum import Enum\nclass Row(Enum): ...\n")
    (tmp_path / "three.py").write_text("from one import Once\nclass Twice(Once): ...\nOnce()\n")
    assert shared_class_names(tmp_path) == {"Row": ["inner/two.py", "one.py"]}
