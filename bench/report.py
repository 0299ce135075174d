"""Report: what a question of the bench has found: tables, ratios, charts, and what was run.

Each question is a script with the flags of `make_parser`, and ends with `finish`.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from compileall import compile_dir
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import batcher

PACKAGES = (
    "s3-batcher", "aioboto3", "botocore", "boto3", "obstore", "aws-lambda-powertools", "orjson",
    "msgspec", "backports.zstd", "isal",
)  # fmt: skip

Cell = str | int | float
"""Of a table; numbers are shown with the digits they need."""


@dataclass(frozen=True)
class Table:
    """Rows under columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def text(self) -> str:
        """Return it aligned: columns of numbers to the right, all others to the left."""
        shown = [[_shown(cell) for cell in row] for row in self.rows]
        right = {
            index
            for index in range(len(self.columns))
            if self.rows and all(not isinstance(row[index], str) for row in self.rows)
        }
        return f"{self.title}\n{_aligned(self.columns, shown, right)}"


@dataclass(frozen=True)
class Ratio:
    """One figure over another of the same round: the median of all rounds, and their spread."""

    name: str
    value: float
    low: float
    high: float
    target: str = ""
    """As `<= 1.3` or `>= 18`; empty: there is none."""
    met: bool | None = None


@dataclass(frozen=True)
class Bar:
    """One bar of a chart."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """What `charts.py` draws: bars side by side, with their spread."""

    name: str
    """Of its files."""
    title: str
    unit: str
    bars: Sequence[Bar]
    is_log: bool = False


@dataclass(frozen=True)
class Curve:
    """One line of a `Curves`."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Curves:
    """What `charts.py` draws as lines over one axis."""

    name: str
    """Of its files."""
    title: str
    x_unit: str
    unit: str
    curves: Sequence[Curve]
    is_log: bool = False


@dataclass
class Result:
    """What a question has found."""

    question: str
    tables: list[Table] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    charts: list[Chart | Curves] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def make_parser(description: str | None, rounds: int, short_rounds: int) -> argparse.ArgumentParser:
    """Return a parser of the flags that every question has; see `parse_options`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(full_rounds=rounds, short_rounds=short_rounds)
    by_default = f"rounds (default {rounds}, with --short {short_rounds})"
    parser.add_argument("--rounds", type=int, help=by_default)
    parser.add_argument("--short", action="store_true", help="fewer cases and rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    return parser


def parse_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; `rounds` is filled in."""
    found = parser.parse_args()
    if found.rounds is None:
        found.rounds = found.short_rounds if found.short else found.full_rounds
    if found.rounds < 1:
        parser.error("--rounds: at least 1")
    return found


def start() -> dict[str, str]:
    """Print what is run, and return it for `finish`."""
    # An installed package has its `.pyc` files; a checkout may not, by PYTHONDONTWRITEBYTECODE
    compile_dir(Path(batcher.__file__).parent, quiet=1)
    setting = about()
    width = max(map(len, setting)) + 2
    print("\n".join(f"{name + ':':<{width}}{value}" for name, value in setting.items()), flush=True)
    return setting


def finish(result: Result, setting: dict[str, str], file: Path | None) -> None:
    """Print what was found, and write it as JSON where a file is given."""
    blocks = [table.text() for table in result.tables]
    if result.ratios:
        blocks.append(ratio_table(result.ratios).text())
    if result.notes:
        blocks.append("\n".join(f"- {note}" for note in result.notes))
    print("\n" + "\n\n".join(blocks), flush=True)
    if file is not None:
        found = asdict(result)
        written = {"question": found.pop("question"), "about": setting, **found}
        file.write_text(json.dumps(written, indent=1) + "\n")


def ratio(
    name: str,
    over: Iterable[float],
    under: Iterable[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Ratio:
    """Divide figures of the same rounds, and hold the median against a target, if there is one."""
    rounds = list(map(operator.truediv, over, under))
    value, low, high = median(rounds), min(rounds), max(rounds)
    if at_most is not None:
        return Ratio(name, value, low, high, f"<= {at_most:g}", value <= at_most)
    if at_least is not None:
        return Ratio(name, value, low, high, f">= {at_least:g}", value >= at_least)
    return Ratio(name, value, low, high)


def ratio_table(ratios: Sequence[Ratio]) -> Table:
    """Return the ratios as a table."""
    verdicts = {None: "", True: "met", False: "missed"}
    rows = [(r.name, r.value, r.low, r.high, r.target, verdicts[r.met]) for r in ratios]
    columns = ("ratio, of the same round", "median", "low", "high", "target", "verdict")
    return Table("Ratios", columns, rows)


def about() -> dict[str, str]:
    """Return what was run, when, on what."""
    found = {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    machine = f"{os.cpu_count()} of {platform.machine()}, load before: {load}"
    return found | {"cores": machine}


def commit() -> str:
    """Return the commit, and whether the tree differs from it; `unknown` outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        here = Path(__file__).parent
        return subprocess.check_output(command, cwd=here, text=True, stderr=subprocess.DEVNULL)  # noqa: S603

    try:
        dirty = "+dirty" if git("status", "--porcelain") else ""
        return git("rev-parse", "--short", "HEAD").strip() + dirty
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def size(size_bytes: int) -> str:
    """Return the size of a record as text, such as `1 KiB`."""
    return f"{size_bytes // 1024} KiB" if size_bytes % 1024 == 0 else f"{size_bytes} B"


def _shown(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:  # noqa: PLR2004  # three digits suffice
        return f"{cell:,.0f}"
    return f"{cell:.2f}"


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> str:
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        aligned = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
