"""Fixtures: a working folder with a user's module, and a folder with written objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from batcher.cli import main
from batcher.stores.obstore import reader as obstore_reader
from batcher.stores.s3 import reader as s3_reader
from integration.cli.replay_inputs import FIX
from support.store_fixtures import READERS


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Change to a folder with a user's module, and return its name, which is unique."""
    name = f"fixes_{token_hex(4)}"
    (tmp_path / f"{name}.py").write_text(FIX)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


@pytest.fixture(params=READERS)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an engine that commands use. Unreachable servers are tried twice, without a wait."""
    name: str = request.param
    monkeypatch.setenv("BATCHER_ENGINE", name)
    monkeypatch.setitem(s3_reader.RETRIES, "total_max_attempts", 2)  # five take ten seconds
    monkeypatch.setitem(obstore_reader.RETRIES, "max_retries", 1)
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def written(folder: Path, tmp_path: Path) -> Path:
    """Return a folder that `batcher write` has filled."""
    source = tmp_path / "in.ndjson"
    source.write_text(
        "".join(f'{{"n":{n}}}\n' for n in range(1_000)) + f"not json\n{'[' * 1_100 + ']' * 1_100}\n"
    )
    assert main(["write", str(source), f"file://{folder}", "--max-records", "300"]) == 0
    return folder
