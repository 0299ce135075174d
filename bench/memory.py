"""Memory: the peak of `batcher write` by the size of its input, its budget, its open partitions.

The input's size must not show. Each is a process of its own, run to its end; VmHWM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from isal import isal_zlib

from line_files import MIB, Lines, write_lines, write_partitioned
from measured_command import run
from report import Ratio, Result, Table, finish, make_parser, parse_options, ratio, start
from sink_environment import SinkEnvironment, sink_environment
from stream import MEMORY_TARGET_MB, proven_bytes
from stream_commands import ENGINES, batcher_write

SIZES_MIB, SHORT_SIZES_MIB = (16, 64, 256, 1024), (16, 96, 192)
BUDGETS_MIB, SHORT_BUDGETS_MIB = (8, 16, 64, 256), (16, 64)
PARTITIONS, SHORT_PARTITIONS = (1, 100, 1_000, 10_000), (1, 1_000)
DEFAULT_BUDGET_MIB = 256
PARTITION_RECORDS = 4
"""The least records of a partition, so that all are open at once."""
RECORDS = 40_000
FLAT_BUDGET_MIB = 32
FLAT = 1.1
FLAT_FROM_MIB = 2 * FLAT_BUDGET_MIB
"""An input that fits the budget takes less; from here on its size must not show."""
NOTES = (
    "peak: VmHWM of the process, interpreter and libraries included; NDJSON, gzip-1.",
    f"by input: with a budget of {FLAT_BUDGET_MIB} MiB, which all but the smallest go beyond.",
    "beyond budget: the peak less budget_bytes; what the libraries take is in it.",
    "by partitions: 40,000 records of 200 bytes, all partitions open until the end of the input.",
    (
        "every run's decoded text was held against its input, object by object where it has"
        " partitions: by CRC-32 and length."
    ),
)


@dataclass
class Case:
    """One input with its settings, and the peak of each round."""

    lines: Lines
    settings: dict[str, object]
    label: int
    peaks: list[float] = field(default_factory=list)
    objects: int = 0
    wall_s: float = 0.0

    def round(self, where: SinkEnvironment) -> None:
        """Write the input once.

        Raises:
            RuntimeError: what was written is not the input.
        """
        bucket = "memory"
        where.prove(bucket)
        took = run(batcher_write(self.lines, bucket, **self.settings), where.env)
        found = where.objects(bucket)
        if "partition_by" in self.settings:
            self._prove_partitions(found)
        else:
            proven_bytes(found, self.lines)
        if (records := orjson.loads(took.output)["records"]) != self.lines.records:
            msg = f"{records} records reported, {self.lines.records} given"
            raise RuntimeError(msg)
        self.objects, self.wall_s = len(found), took.wall_s
        self.peaks.append(took.peak_bytes / 1e6)

    def _prove_partitions(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Hold each partition's one object against its lines."""
        lines = self.lines.file.read_bytes().splitlines(keepends=True)
        texts = [b"".join(lines[first :: self.label]) for first in range(self.label)]
        expected = sorted((isal_zlib.crc32(text), len(text)) for text in texts)
        if sorted((one["text_crc32"], one["text_bytes"]) for one in found.values()) != expected:
            msg = f"{len(found)} objects are not the {self.label} partitions"
            raise RuntimeError(msg)


def cases(
    folder: Path, engine: str, most_mib: int | None, *, is_short: bool
) -> dict[str, list[Case]]:
    """Make all inputs; give the cases of each table."""
    sizes: tuple[int, ...] = SHORT_SIZES_MIB if is_short else SIZES_MIB
    if most_mib is not None:
        sizes = (*(mib for mib in sizes if mib < most_mib), most_mib)
    inputs = {mib: write_lines(folder / f"{mib}.ndjson", mib * MIB) for mib in sizes}
    largest = inputs[sizes[-1]]
    by_partitions = []
    for count in SHORT_PARTITIONS if is_short else PARTITIONS:
        file = folder / f"partitions-{count}.ndjson"
        lines = write_partitioned(file, max(RECORDS, count * PARTITION_RECORDS), count)
        settings = {"engine": engine, "partition_by": "tenant={field:tenant}", "linger_s": 3600}
        by_partitions.append(Case(lines, settings, count))
    budgets = SHORT_BUDGETS_MIB if is_short else BUDGETS_MIB
    return {
        "input, MiB": [
            Case(lines, {"engine": engine, "budget_bytes": FLAT_BUDGET_MIB * MIB}, mib)
            for mib, lines in inputs.items()
        ],
        "budget, MiB": [
            Case(largest, {"engine": engine, "budget_bytes": mib * MIB}, mib) for mib in budgets
        ],
        "partitions open": by_partitions,
    }


def table(what: str, engine: str, found: Sequence[Case]) -> Table:
    """Return the peaks of one series."""
    rows = []
    for case in found:
        budget_bytes = case.settings.get("budget_bytes", DEFAULT_BUDGET_MIB * MIB)
        beyond_mb = max(case.peaks) - float(str(budget_bytes)) / 1e6
        rows.append(
            (
                case.label,
                max(case.peaks),
                min(case.peaks),
                beyond_mb,
                case.lines.size_bytes / 1e6,
                case.objects,
                case.wall_s,
            )
        )
    columns = (what, "peak MB", "lowest round", "beyond budget", "input MB", "objects", "s")
    return Table(f"Peak memory of `batcher write` by {what}, engine {engine}", columns, rows)


def ratios(engine: str, found: Mapping[str, Sequence[Case]]) -> list[Ratio]:
    """Hold the peaks of one engine against each other, and against the budget."""
    results = []
    by_size = found["input, MiB"]
    base = next((case for case in by_size if case.label >= FLAT_FROM_MIB), by_size[0])
    for case in by_size:
        if case.label > base.label:
            name = f"{engine}: peak of {case.label} MiB over that of {base.label} MiB"
            results.append(ratio(name, case.peaks, base.peaks, at_most=FLAT))
    for case in found["budget, MiB"]:
        budget_mb = case.label * MIB / 1e6
        beyond = [peak - budget_mb for peak in case.peaks]
        name = f"{engine}: MB beyond a budget of {case.label} MiB"
        results.append(ratio(name, beyond, [1.0] * len(beyond), at_most=MEMORY_TARGET_MB))
    return results


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__, rounds=3, short_rounds=2)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="default: both")
    parser.add_argument("--most-mib", type=int, help="no larger input than this")
    options = parse_options(parser)
    setting = start()
    engines = options.engine or [name for name in ENGINES if find_spec(name) is not None]
    result = Result("memory", notes=list(NOTES))
    with sink_environment() as where:
        for engine in engines:
            found = cases(where.folder, engine, options.most_mib, is_short=options.short)
            for group in found.values():
                for _ in range(options.rounds):
                    for case in group:
                        case.round(where)
            result.tables += [table(what, engine, group) for what, group in found.items()]
            result.ratios += ratios(engine, found)
    finish(result, setting, options.json)


if __name__ == "__main__":
    main()
