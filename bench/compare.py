"""Compare two commits: CPU of the handler and of a cold start, in interleaved pairs.

`python bench/compare.py BEFORE [AFTER]` takes two commits (AFTER: the work tree) and reports, for
each case, the median of the paired ratios AFTER / BEFORE with its 95 % interval. A ratio whose
whole interval is above 1.02 is a regression; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from compileall import compile_dir
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import comb
from pathlib import Path
from statistics import median

import orjson

from child_process import Child
from coldstart_process import ENDS, STARTS
from events import make_event
from interleave import TimedContender
from sink_environment import SinkEnvironment, sink_environment

HERE = Path(__file__).parent
LIMIT = 1.02
"""A ratio above it is a regression."""
CONFIDENCE = 0.95
ENGINES = ("obstore", "aioboto3")
CASES = {
    "SQS, 1 KiB": ("sqs", 1024, 10_000),
    "SQS, 200 B": ("sqs", 200, 10_000),
    "SQS, 100 records of 1 KiB": ("sqs", 1024, 100),
    "Kinesis, 1 KiB": ("kinesis", 1024, 10_000),
    "DynamoDB, 1 KiB": ("dynamodb", 1024, 10_000),
}
"""Source, bytes per record, and the largest number of records of an event."""


@dataclass(frozen=True)
class Interval:
    """The median of paired ratios, and the interval that holds it with 95 % confidence."""

    value: float
    low: float
    high: float

    @property
    def is_regression(self) -> bool:
        """Whether all of the interval is above the limit."""
        return self.low > LIMIT


def interval(ratios: list[float]) -> Interval:
    """Return the median and its distribution-free interval, by ranks of the binomial law.

    Raises:
        ValueError: fewer than 6 ratios, for which no such interval exists.
    """
    ordered = sorted(ratios)
    count = len(ordered)
    tail, rank = 0.0, -1
    while tail + comb(count, rank + 1) / 2**count <= (1 - CONFIDENCE) / 2:
        rank += 1
        tail += comb(count, rank) / 2**count
    if rank < 0:
        msg = f"pairs: {count} are too few for a 95 % interval; use at least 6"
        raise ValueError(msg)
    return Interval(median(ordered), ordered[rank], ordered[count - 1 - rank])


@contextmanager
def checkout(commit: str | None) -> Iterator[Path]:
    """Provide a folder with the package of a commit; None: the work tree."""
    if commit is None:
        yield HERE.parent
        return
    with tempfile.TemporaryDirectory(prefix="batcher-compare-") as folder:
        archive = subprocess.run(  # noqa: S603  # our own repository
            ["git", "-C", str(HERE.parent), "archive", commit, "batcher"],  # noqa: S607
            capture_output=True,
            check=True,
        )
        unpack = ["tar", "x", "-C", folder]
        subprocess.run(unpack, input=archive.stdout, check=True)  # noqa: S603  # as above
        yield Path(folder)


def pairs(before: TimedContender, after: TimedContender, count: int) -> Iterator[float]:
    """Measure both in turn, each first in every second pair; yield the ratios of CPU time."""
    after.invocations = before.invocations
    for number in range(count):
        for contender in (before, after) if number % 2 else (after, before):
            contender.round()
        yield after.cpu_s[-1] / before.cpu_s[-1]


def compare_handlers(
    folders: tuple[Path, Path], case: str, engine: str, count: int, where: SinkEnvironment
) -> Interval:
    """Return the ratio of CPU time per event of two packages."""
    source, record_bytes, records = CASES[case]
    file = where.folder / "event.json"
    file.write_bytes(orjson.dumps(make_event(source, record_bytes, records)))
    with ExitStack() as stack:
        contenders = []
        for name, folder in zip(("before", "after"), folders, strict=True):
            bucket = f"{name}-{engine}"
            where.measure(bucket)
            env = {**where.env, "PYTHONPATH": str(folder)}
            child = Child("handler_process.py", bucket, str(file), engine, "2", env=env)
            stack.enter_context(child)
            child.greeting()
            contender = TimedContender(f"{case} {engine} {name}", child, bucket)
            contender.warm_up()
            contenders.append(contender)
        return interval(list(pairs(contenders[0], contenders[1], count)))


def cold_start(folder: Path, engine: str, where: SinkEnvironment) -> tuple[float, int]:
    """Return CPU seconds from import to the first durable object, and the modules imported."""
    file = where.folder / "small.json"
    file.write_bytes(orjson.dumps(make_event("sqs", 1024, 10)))
    variables = {
        "PYTHONPATH": str(folder),
        "BATCHER_BUCKET": f"cold-{engine}",
        "BATCHER_ROOT": "events",
        "BATCHER_ENGINE": engine,
        "BUCKET": f"cold-{engine}",
    }
    command = [sys.executable, str(HERE / "coldstart_process.py"), f"batcher-{engine}", str(file)]
    ran = subprocess.run(  # noqa: S603  # our own script
        command, env={**where.env, **variables}, capture_output=True, text=True, check=True
    )
    assert STARTS in ran.stderr and ENDS in ran.stderr, ran.stderr  # noqa: S101, PT018
    found = json.loads(ran.stdout)
    return found["import_cpu_s"] + found["event_cpu_s"], found["modules"]


def compare_cold_starts(
    folders: tuple[Path, Path], engine: str, count: int, where: SinkEnvironment
) -> tuple[Interval, int, int]:
    """Return the ratio of CPU time, and the modules that each package imports."""
    ratios = []
    modules = (0, 0)
    for folder in folders:
        # An installed package has its `.pyc` files; a checkout may not, by PYTHONDONTWRITEBYTECODE
        compile_dir(folder / "batcher", quiet=1)
        cold_start(folder, engine, where)  # warms the disk's cache
    for number in range(count):
        order = (0, 1) if number % 2 else (1, 0)
        found = {index: cold_start(folders[index], engine, where) for index in order}
        ratios.append(found[1][0] / found[0][0])
        modules = (found[0][1], found[1][1])
    return interval(ratios), *modules


def main() -> int:
    """Compare, print a line per case, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="a commit")
    parser.add_argument("after", nargs="?", help="a commit; default: the work tree")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--case", choices=[*CASES, "cold start"], action="append")
    asked = parser.parse_args()
    chosen = asked.case or [*CASES, "cold start"]
    failed = False
    print(f"{asked.after or 'work tree'} over {asked.before}, {asked.pairs} pairs, {os.uname()[4]}")
    with ExitStack() as stack:
        folders = (
            stack.enter_context(checkout(asked.before)),
            stack.enter_context(checkout(asked.after)),
        )
        where = stack.enter_context(sink_environment())
        for engine in asked.engine or ENGINES:
            for case in chosen:
                note = ""
                if case == "cold start":
                    found, old, new = compare_cold_starts(folders, engine, asked.pairs, where)
                    note = f"  modules {old} -> {new}"
                else:
                    found = compare_handlers(folders, case, engine, asked.pairs, where)
                failed |= found.is_regression
                verdict = "REGRESSION" if found.is_regression else "ok"
                figures = f"{found.value:.3f} [{found.low:.3f}..{found.high:.3f}]"
                print(f"{case:27} {engine:9} {figures}  {verdict}{note}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
