"""Each question of the bench, in the smallest form it has: it prints, and writes what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[3] / "bench"
ENGINES = ("obstore", "aioboto3")
LONGEST_S = 220
KEYS = {"question", "about", "tables", "ratios", "charts", "notes"}
RATIO_KEYS = {"name", "value", "low", "high", "target", "met"}


def run(command: list[str]) -> str:
    """Run a script of ours to its end; give what it printed."""
    ran = subprocess.run(  # noqa: S603  # our own script
        command, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def asked(question: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    """Run a question's script for one round; give the JSON it wrote, held against its form."""
    file = tmp_path / f"{question}.json"
    command = [sys.executable, str(BENCH / f"{question}.py"), "--rounds", "1", "--short"]
    output = run([*command, "--json", str(file), *options])
    found: dict[str, Any] = json.loads(file.read_text())
    check(question, found, output)
    return found


def check(question: str, found: dict[str, Any], output: str) -> None:
    """Hold a result against its form, and against what was printed."""
    assert set(found) == KEYS
    assert found["question"] == question
    assert {"command", "date", "commit", "python"} <= set(found["about"])
    assert found["tables"]
    for table in found["tables"]:
        assert table["title"] in output
        assert table["rows"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    assert found["ratios"]
    for ratio in found["ratios"]:
        assert set(ratio) == RATIO_KEYS
        assert ratio["name"] in output
        assert ratio["low"] <= ratio["value"] <= ratio["high"]
        assert (ratio["met"] is None) == (ratio["target"] == "")


def test_throughput_names_every_contender_and_who_does_less(tmp_path: Path) -> None:
    """Eight records suffice to run each contender and to hold its objects against them."""
    found = asked("throughput", tmp_path, "--only", "sqs", "--records", "8", "--codec", "zstd")
    took, less = found["tables"]
    contenders = {row[1] for row in took["rows"]}
    assert {"minimal handler, zstd-1", "boto3, one PUT per record"} <= contenders
    assert {label for label in contenders if not label.startswith("batcher")} == {
        row[0] for row in less["rows"]
    }
    assert [len(chart["bars"]) for chart in found["charts"]] == [len(contenders)]


def test_pacing_reports_both_writers_shares_of_the_limit(tmp_path: Path) -> None:
    """Ten seconds prove no target, but every figure is there."""
    found = asked("pacing", tmp_path, "--minutes", "0.15")
    (table,) = found["tables"]
    assert [tuple(row[:2]) for row in table["rows"]] == [
        (engine, how) for engine in ENGINES for how in ("default rate", "rate set")
    ]
    assert all(row[6] > 0 for row in table["rows"])


def test_run_writes_figures_and_charts_of_a_cold_start(tmp_path: Path) -> None:
    """`make bench` is this for all questions; a round of this one is one start of each handler."""
    command = [sys.executable, str(BENCH / "run.py"), "--only", "coldstart", "--rounds", "1"]
    output = run([*command, "--into", str(tmp_path)])
    (file,) = tmp_path.glob("*.json")
    written = json.loads(file.read_text())
    assert not written["failed"]
    (found,) = written["results"]
    check("coldstart", found, output)
    titles = [table["title"] for table in found["tables"]]
    assert titles[:2] == [
        "From import to the first durable object",
        "What must be in the deployment",
    ]
    imported = {row[0] for table in found["tables"][2:] for row in table["rows"]}
    assert "batcher" in imported
    if find_spec("matplotlib") is None:
        assert "make bench installs it" in output
        pytest.skip("no charts: matplotlib, of the extra `bench`, is not installed")
    charts = {chart.name for chart in (tmp_path / file.stem).iterdir()}
    assert {"coldstart.png", "coldstart.svg", "coldstart-targets.svg"} <= charts
