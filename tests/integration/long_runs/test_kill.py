"""Some of the kills that `make kill` does 200 times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from long.run_info import environment

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2]
TIMES = 8
LIMIT_S = 220


def test_what_a_killed_program_leaves_is_whole_and_what_it_told_is_there(tmp_path: Path) -> None:
    """No object that can be seen is partial, and none that was reported is missing."""
    figures = tmp_path / "kill.json"
    command = [sys.executable, "-P", "-m", "long.kill.run", "--times", str(TIMES), "--seed", "2"]
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
    counts = json.loads(figures.read_text())["counts"]
    assert sum(of["killed while writing"] for of in counts.values()) > 0
    for of in counts.values():
        assert of["objects whole"] > 0
        assert of.get("objects partial", 0) == of.get("reported and missing", 0) == 0
