"""The pipeline is assembled in one place, and one place decides how quarantine is stored."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import batcher
from batcher.keys.object_format import QUARANTINE_FORMAT
from batcher.writing.object import choose_format
from support.examples import make_batch, make_chunk, make_settings

PACKAGE = Path(batcher.__file__).parent
READERS = ("reading", "tools", "cli")
"""They tell quarantine from data by the keys of objects that exist."""


def modules() -> dict[str, ast.Module]:
    """Return the syntax trees of the package, by path."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text())
        for path in PACKAGE.rglob("*.py")
    }


@pytest.mark.parametrize("name", ["Writer", "Router", "Uuid7Generator"])
def test_only_the_pipeline_constructs(name: str) -> None:
    found = {
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    }
    assert found == {"writing/pipeline.py"}


def test_only_one_module_of_the_core_decides_by_quarantine() -> None:
    found = {
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.If | ast.IfExp)
        for part in ast.walk(node.test)
        if getattr(part, "attr", "") == "is_quarantine"
    }
    assert {path for path in found if not path.startswith(READERS)} == {"writing/object.py"}


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_quarantine_is_stored_alike_whatever_the_settings_say(compression: str) -> None:
    settings = make_settings(compression=compression, format="lines", content_type="text/csv")
    chunk = make_chunk(b"1")
    assert choose_format(make_batch(chunk, is_quarantine=True).route, settings) == QUARANTINE_FORMAT
    data = choose_format(make_batch(chunk).route, settings)
    assert (data.compression, data.content_type) == (compression, "text/csv")
    assert (data.folder, data.limited) == ("", True)
