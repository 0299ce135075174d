"""`kill -9` at random moments of a write; visible objects must be complete, receipts durable.

Programs that write (the command line, and a small one with a `Batcher`) are killed while they
write to a folder and to SeaweedFS, objects in one request and in parts, from plain and gzip input.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from long.kill.after_kill import judge, verified
from long.kill.destinations import Destination, Folder, Root
from long.kill.killed_writer import MEASURED, Case, KilledWriters, WriterExit
from long.numbered_records import PROGRAM, payload
from long.run_info import about, environment, print_now, table, titles
from support.s3_servers import SeaweedFS

RECORDS = 2_400
VERIFIED = 8
"""Every n-th run is also checked by `batcher verify`, which takes a second to start."""
SHOWN, PROGRESS = 20, 20
EARLY = 0.07
"""The share of kills before the writing has begun."""


@dataclass
class Killed:
    """What happened so far."""

    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {"file": Counter(), "s3": Counter()}
    )
    violations: list[str] = field(default_factory=list)


def run(times: int, seed: int) -> Killed:
    """Kill this many times. All processes have ended when it returns."""
    killed = Killed()
    chance = random.Random(seed)  # noqa: S311  # no secret
    with tempfile.TemporaryDirectory(prefix="batcher-kill-") as name, SeaweedFS() as server:
        folder = Path(name)
        bucket = f"kill-{token_hex(8)}"
        server.create_bucket(bucket)
        env = environment(server.environ)
        victims = KilledWriters(env, _inputs(folder), RECORDS)
        cases = [*MEASURED, *(Case.draw(number, chance) for number in range(times))]
        for number, case in enumerate(cases):
            place = _place(case, server, bucket, folder, number)
            is_early = chance.random() < EARLY
            ended = victims.run(case, place.destination, chance.random(), is_early=is_early)
            seen = _look(killed, number, place, case, ended)
            if seen and killed.counts[case.target]["verified"] < VERIFIED // 2:
                killed.counts[case.target]["verified"] += 1
                for fault in verified(place, env):
                    killed.violations.append(f"run {number} ({case}): {fault}")
            place.clear()
            if (number + 1) % PROGRESS == 0:
                print_now(f"{number + 1} runs, {len(killed.violations)} violations")
    return killed


def _place(case: Case, server: SeaweedFS, bucket: str, folder: Path, number: int) -> Destination:
    if case.target == "file":
        return Folder(folder / f"run-{number}")
    return Root(server.client, bucket, f"run-{number}")


def _inputs(folder: Path) -> dict[str, Path]:
    """Write the records as lines, plain and compressed."""
    text = b"".join(payload(0, number, PROGRAM) + b"\n" for number in range(RECORDS))
    plain, packed = folder / "lines.ndjson", folder / "lines.ndjson.gz"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text, 1, mtime=0))
    return {"plain": plain, "gzip": packed}


def _look(killed: Killed, number: int, place: Destination, case: Case, ended: WriterExit) -> bool:
    """Judge what one run has left, and count. Return whether an upload is left open."""
    counts = killed.counts[case.target]
    seen = judge(place, ended, RECORDS)
    killed.violations += [f"run {number} ({case}): {fault}" for fault in seen.violations]
    counts["runs"] += 1
    counts[ended.when] += 1
    counts["objects whole"] += seen.whole
    counts["objects without metadata"] += seen.without_metadata
    counts["objects partial"] += seen.partial
    counts["records visible"] += seen.records
    counts["reported"] += seen.reported
    counts["reported and missing"] += seen.missing
    counts["open uploads left"] += seen.left.open_uploads
    counts["dot-files left"] += seen.left.dot_files
    counts["of them in .meta"] += seen.left.meta_files
    return bool(seen.left.open_uploads or seen.left.dot_files)


def tables(killed: Killed) -> str:
    """Return the table of what was counted."""
    names = (
        "runs", "killed before writing", "killed while writing", "finished before the kill",
        "measured", "objects whole", "objects without metadata", "objects partial",
        "records visible", "reported", "reported and missing", "open uploads left",
        "dot-files left", "of them in .meta", "verified",
    )  # fmt: skip
    total = sum(killed.counts.values(), Counter())
    columns = [*killed.counts.values(), total]
    rows = [(name, *(column[name] for column in columns)) for name in names]
    return table(("", *killed.counts, "total"), rows)


def _end(number: int, frame: object) -> None:
    """End as by an error, so that servers and programs end too."""
    del frame
    sys.exit(128 + number)


def main() -> int:
    """Kill and print; give the exit code."""
    parser = argparse.ArgumentParser(prog="long.kill.run", description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="how often (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    setting = about(chosen.seed)
    print_now(titles(setting))
    killed = run(chosen.times, chosen.seed)
    print_now(f"\n{tables(killed)}\n")
    for text in killed.violations[:SHOWN]:
        print_now(f"VIOLATION: {text}")
    print_now(f"{len(killed.violations)} VIOLATIONS" if killed.violations else "all is as promised")
    if chosen.json:
        figures: dict[str, Any] = {"about": setting, "counts": killed.counts}
        figures["violations"] = killed.violations
        chosen.json.write_text(json.dumps(figures, indent=1))
    return 1 if killed.violations else 0


if __name__ == "__main__":
    sys.exit(main())
