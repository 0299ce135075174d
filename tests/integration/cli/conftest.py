"""Fixtures: a working folder with a user's module, and a folder with written objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from batcher.cli import main
from integration.cli.replay_inputs import FIX


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Change to a folder with a user's module, and return its name, which is unique."""
    name = f"fixes_{token_hex(4)}"
    (tmp_path / f"{name}.py").write_text(FIX)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def written(folder: Path, tmp_path: Path) -> Path:
    """Return a folder that `batcher write` has filled."""
    source = tmp_path / "in.ndjson"
    source.write_text("".join(f'{{"n":{n}}}\n' for n in range(1_000)) + "not json\n\n")
    assert main(["write", str(source), f"file://{folder}", "--max-records", "300"]) == 0
    return folder
