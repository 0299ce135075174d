"""References in the package and in the documents name modules, objects and files that exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "batcher"
TEXTS = [*sorted(PACKAGE.rglob("*.py")), ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

DOTTED_NAME = re.compile(r"`(batcher(?:\.\w+)+)`")
FILE = re.compile(r"`((?:\w+/)*\w+\.py)`")
MADE_ELSEWHERE = {"bench/packaged.py"}
"""Files of an earlier commit, which a document names along with the commit."""

RECORDED = set(
    re.findall(r'"(batcher(?:\.\w+)+)"', (PACKAGE / "writing/instruments.py").read_text("utf-8"))
)
"""Metrics and attributes of OpenTelemetry, which look like modules."""


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, or an attribute or annotated field of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part) and part not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, part, None)
        return True
    return False


def is_file(name: str) -> bool:
    """Return whether a file has this path from the root or the package, or ends with it."""
    return (ROOT / name).is_file() or any(
        path.as_posix().endswith(f"/{name}") for path in PACKAGE.rglob("*.py")
    )


def broken_references(text: str) -> list[str]:
    """Return the dotted names and the Python files in backticks that do not exist.

    A file that a page shows, and saves by a title, exists there.
    """
    saved = set(re.findall(r'^```python title="([^"]+)"', text, re.MULTILINE))
    names = [name for name in DOTTED_NAME.findall(text) if not name.endswith(".py")]
    files = [name for name in FILE.findall(text) if name not in MADE_ELSEWHERE | saved]
    return [
        *(name for name in names if name not in RECORDED and not exists(name)),
        *(name for name in files if not is_file(name)),
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_references_name_what_exists(path: Path) -> None:
    """A module or a function that is renamed is renamed in all texts."""
    assert broken_references(path.read_text(encoding="utf-8")) == []


def test_references_to_missing_names_and_files_are_found() -> None:
    """A name without backticks may be a variable, and is ignored."""
    text = (
        "`batcher.keys.partition.PartitionTemplate` `batcher.keys.partition.Template` "
        "`batcher.none` `batcher.py` `keys/names.py` `names.py` `keys/nothing.py` batcher.submit "
        '`shown.py`\n```python title="shown.py"\n```\n'
    )
    assert broken_references(text) == [
        "batcher.keys.partition.Template",
        "batcher.none",
        "keys/nothing.py",
    ]
