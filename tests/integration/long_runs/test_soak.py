"""The short soak: some seconds of what `make soak` does for ten minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from long.run_info import environment

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2]
LIMIT_S = 220


def test_a_short_soak_loses_doubles_and_leaves_nothing(tmp_path: Path) -> None:
    """Every record is found as promised, though requests of each kind of writer went wrong."""
    figures = tmp_path / "soak.json"
    command = [sys.executable, "-P", "-m", "long.soak.run", "--seconds", "5", "--seed", "1"]
    ended = subprocess.run(  # noqa: S603  # our own module
        [*command, "--json", str(figures)],
        cwd=TESTS,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(figures.read_text())
    assert sum(found["faults"].values()) > 0
    for writer in found["writers"].values():
        assert writer["landed"] >= writer["sent"] > 0
        assert writer["lost"] == writer["open_uploads"] - writer["tolerated_uploads"] == 0
        assert writer["quarantined"] > 0
    assert found["writers"]["kinesis"]["doubled"] == 0
