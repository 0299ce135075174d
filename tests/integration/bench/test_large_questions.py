"""Questions about much data, asked about little; what is written is still held against it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="the sink's certificate")

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[3] / "bench"
ENGINES = ("obstore", "aioboto3")
KEYS = {"question", "about", "tables", "ratios", "charts", "notes"}


def asked(question: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    """Run a question's script for one round, and give the JSON that it wrote."""
    file = tmp_path / f"{question}.json"
    script = [sys.executable, str(BENCH / f"{question}.py"), "--rounds", "1", "--short"]
    ran = subprocess.run(  # noqa: S603  # our own script
        [*script, "--json", str(file), *options],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, Any] = json.loads(file.read_text())
    assert set(found) == KEYS
    assert found["question"] == question
    return found


def test_stream_holds_batcher_against_the_floor(tmp_path: Path) -> None:
    """Four MiB suffice to prove both; the ratios mean nothing at this size."""
    found = asked("stream", tmp_path, "--mib", "4", "--codec", "zstd", "--only", "batcher lines")
    (table,) = found["tables"]
    names = {f"batcher lines {engine}" for engine in ENGINES}
    assert {row[1] for row in table["rows"]} == {"floor", *names}


def test_fanout_proves_every_contender(tmp_path: Path) -> None:
    """Three objects: a handler, a writer, and PUTs that are gathered or in threads."""
    found = asked("fanout", tmp_path, "--objects", "3")
    (table,) = found["tables"]
    names = {row[1] for row in table["rows"]}
    of_engines = {
        f"{what}-{engine}" for engine in ENGINES for what in ("handler", "writer", "gather")
    }
    assert {*of_engines, "threads-boto3"} <= names
    assert found["ratios"]


def test_memory_reports_peaks_for_each_series(tmp_path: Path) -> None:
    """Small inputs, one round: input, budget and partitions."""
    found = asked("memory", tmp_path, "--most-mib", "4")
    assert [
        (table["columns"][0], table["title"].rpartition(" ")[2]) for table in found["tables"]
    ] == [
        (series, engine)
        for engine in ENGINES
        for series in ("input, MiB", "budget, MiB", "partitions open")
    ]
    assert {ratio["name"].partition(":")[0] for ratio in found["ratios"]} == set(ENGINES)


def test_scaling_compares_small_events_with_large_ones(tmp_path: Path) -> None:
    """The events' part; the one about requests in flight takes its time."""
    found = asked("scaling", tmp_path, "--only", "events", "--cores", "1")
    assert {"<= 1"} == {ratio["target"] for ratio in found["ratios"]}


def test_cost_has_a_line_for_each_size_and_who(tmp_path: Path) -> None:
    """Dollars of batcher on both machines, and of Firehose."""
    found = asked("cost", tmp_path, "--record-bytes", "20480")
    rows, whole = (table["rows"] for table in found["tables"])
    firehose = [row for row in rows if row[1] == "Data Firehose"]
    assert [round(row[-1]) for row in firehose] == [555]  # 20 KiB of $0.029 a GiB
    assert len(whole) == len(firehose)
