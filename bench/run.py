"""Run all questions of the bench in turn; write their figures to one file, and their charts.

Writes `bench/results/<date>-<commit>.json`, and a folder of that name with the charts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charts import draw
from report import commit

QUESTIONS = (
    "throughput", "coldstart", "stream", "fanout", "memory", "scaling", "cost", "pacing",
)  # fmt: skip
HERE = Path(__file__).parent
RESULTS = HERE / "results"
LONGEST_S = {True: 600, False: 7200}
"""Timeout of one question, in its short form and in full."""


def run_question(
    question: str, folder: Path, *, is_short: bool, rounds: int | None
) -> dict[str, Any] | None:
    """Run one question's script. Return None if it failed; its output has the reason."""
    file = folder / f"{question}.json"
    options = ["--json", str(file)]
    if is_short:
        options.append("--short")
    if rounds is not None:
        options += ["--rounds", str(rounds)]
    command = [sys.executable, str(HERE / f"{question}.py"), *options]
    try:
        ran = subprocess.run(command, check=False, timeout=LONGEST_S[is_short])  # noqa: S603
    except subprocess.TimeoutExpired as slow:
        print(f"{question}: stopped after {slow.timeout:.0f} s", flush=True)
        return None
    if ran.returncode or not file.exists():
        print(f"{question}: failed with exit code {ran.returncode}", flush=True)
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def summary(results: list[dict[str, Any]]) -> str:
    """Return a line per ratio with a target: whether it was met."""
    lines = []
    for result in results:
        for ratio in result["ratios"]:
            if ratio["target"]:
                verdict = "met   " if ratio["met"] else "MISSED"
                spread = f"[{ratio['low']:,.2f}..{ratio['high']:,.2f}]"
                target = f"target {ratio['target']}"
                lines.append(
                    f"{verdict} {ratio['value']:>9,.2f} {spread}, {target}: {ratio['name']}"
                )
    return "\n".join(lines)


def main() -> int:
    """Run all questions. The exit code is 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all cases and rounds; takes an hour")
    parser.add_argument("--rounds", type=int, help="of every question, in place of its own")
    parser.add_argument("--only", choices=QUESTIONS, action="append", help="again for more")
    parser.add_argument("--into", type=Path, default=RESULTS, help="a folder; default %(default)s")
    options = parser.parse_args()
    started_s = time.monotonic()
    stem = f"{datetime.now(UTC):%Y-%m-%d}-{commit()}"
    results, failed = [], []
    with tempfile.TemporaryDirectory(prefix="batcher-bench-results-") as name:
        for question in options.only or QUESTIONS:
            print(f"\n=== {question}\n", flush=True)
            found = run_question(
                question, Path(name), is_short=not options.full, rounds=options.rounds
            )
            if found is None:
                failed.append(question)
            else:
                results.append(found)
    options.into.mkdir(parents=True, exist_ok=True)
    file = options.into / f"{stem}.json"
    written = {"is_full": options.full, "failed": failed, "results": results}
    file.write_text(json.dumps(written, indent=1) + "\n")
    print(f"\n=== targets\n\n{summary(results)}\n\nfigures: {file}")
    try:
        folder = options.into / stem
        print(f"charts: {len(draw(results, folder))} files in {folder}")
    except ModuleNotFoundError as missing:
        print(f"no charts: {missing.name} is not installed: make bench installs it")
    print(f"took {time.monotonic() - started_s:.0f} s")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
