"""Witness: what a killed program has left, and whether it is as promised."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from long.kill.destinations import Destination, Leftovers
from long.kill.killed_writer import WriterExit
from long.numbered_records import PROGRAM
from long.read_back import read_object

TESTS = Path(__file__).parents[2]
LIMIT_S = 60.0


@dataclass(slots=True)
class AfterKill:
    """What is there after one run."""

    left: Leftovers
    whole: int = 0
    partial: int = 0
    without_metadata: int = 0
    """Complete objects whose file of metadata is missing after the kill."""
    records: int = 0
    reported: int = 0
    missing: int = 0
    """Objects, or whole runs, that were reported and are not there as reported."""
    violations: list[str] = field(default_factory=list)


def judge(place: Destination, ended: WriterExit, records: int) -> AfterKill:
    """Look at every object: whole, in order, in no other one, and there if it was reported."""
    seen = AfterKill(place.left(), reported=len(ended.receipts))
    if ended.fault:
        seen.violations.append(ended.fault)
    there: dict[str, tuple[int, int]] = {}
    numbers: set[int] = set()
    for key, body, metadata in place.objects():
        read = read_object(key, body, metadata, 0, PROGRAM)
        faults = list(read.faults)
        if read.numbers != sorted(set(read.numbers)):
            faults.append(f"{key}: its lines are out of order")
        if not numbers.isdisjoint(read.numbers):
            faults.append(f"{key}: lines of it are in another object too")
        if any(number >= records for number in read.numbers):
            faults.append(f"{key}: lines that are not of the input")
        numbers.update(read.numbers)
        there[key] = (len(read.numbers), len(body))
        seen.partial += bool(faults)
        seen.whole += not faults
        seen.without_metadata += not metadata
        seen.violations += faults
    seen.records = len(numbers)
    for key, receipt in ended.receipts.items():
        if there.get(key) != receipt:
            seen.missing += 1
            seen.violations.append(f"{key}: reported as {receipt}, and there as {there.get(key)}")
    _judge_end(seen, ended, records)
    return seen


def _judge_end(seen: AfterKill, ended: WriterExit, records: int) -> None:
    """Of a run that came to its end everything is there, and nothing is left open."""
    if not ended.is_finished:
        return
    summary = ended.summary
    if summary is not None:
        seen.reported += 1
        if (summary["records"] + summary["quarantined"], summary["failed"]) != (records, 0):
            seen.violations.append(f"it has ended with success, but its summary is {summary}")
    if seen.records != records:
        seen.missing += 1
        seen.violations.append(f"it has ended well, and {seen.records} of {records} are there")
    if seen.left != Leftovers():
        seen.violations.append(f"it has ended well, and left {seen.left}")


def verified(place: Destination, env: Mapping[str, str]) -> list[str]:
    """Ask `batcher verify`: it must find what is left open; bare objects, and nothing else.

    Temporary files are as young as those of a running writer: they are counted.
    """
    left = place.left()
    command = [sys.executable, "-P", "-m", "batcher", "verify", place.destination, "--json"]
    answer = subprocess.run(  # noqa: S603  # our own program
        command, env=env, cwd=TESTS, capture_output=True, timeout=LIMIT_S, check=False
    )
    try:
        report = json.loads(answer.stdout)
        counts, recent = (
            {kind: count for kind, count in report["counts"].items() if count},
            report["recent_temporary_files"],
        )
    except (ValueError, KeyError):
        return [f"verify: exit code {answer.returncode}: {answer.stderr[-300:]!r}"]
    counts.pop("no_metadata", None)
    wanted = {"open_upload": left.open_uploads} if left.open_uploads else {}
    if (counts, recent) != (wanted, left.dot_files):
        return [f"verify: {counts}, {recent} temporary files, and there is {left}"]
    return []
