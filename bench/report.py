"""Report: what was measured as plain tables, and the ratios against their targets."""

from __future__ import annotations

import operator
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from contender import SAMPLE_RECORDS

if TYPE_CHECKING:
    from case import Series

PACKAGES = (
    "batcher", "aioboto3", "botocore", "boto3", "orjson", "msgspec", "backports.zstd", "isal",
)  # fmt: skip
LABELS = {
    ("handler", "zstd"): "batcher handler, zstd-1",
    ("handler", "gzip"): "batcher handler, gzip-1",
    ("floor", "zstd"): "bare floor, zstd-1",
    ("floor", "gzip"): "bare floor, gzip-1",
    ("boto3-gzip", "gzip-9"): "boto3, gzip, one PUT *",
    ("boto3-each", "none"): "boto3, a PUT a record **",
}
FLOOR_TARGETS = {("sqs", 1024): 1.3, ("sqs", 200): 1.8}
EACH_TARGET = 300.0
GZIP_TARGET = 12.0
NOTES = f"""\
*  json.dumps(json.loads(body)) of each record, joined, gzip.compress as it is (level 9).
** measured on {SAMPLE_RECORDS} records of the event a round, and given per record.
CPU: user and system time of the client process, all threads; parsing the event is not in it.
peak: VmHWM of the client process, the event (its JSON and its dicts) included.
[low..high] are the fastest and the slowest round. MB are 10^6 payload bytes, uncompressed."""


def about() -> dict[str, str]:
    """Say what was run, when, on what."""
    found = {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found | {"cores": f"{os.cpu_count()} of {platform.machine()}"}


def _commit() -> str:
    """Give the commit, and whether the tree differs from it; `unknown` outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        here = Path(__file__).parent
        return subprocess.check_output(command, cwd=here, text=True, stderr=subprocess.DEVNULL)  # noqa: S603

    try:
        dirty = "+dirty" if git("status", "--porcelain") else ""
        return git("rev-parse", "--short", "HEAD").strip() + dirty
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def figures(series: Sequence[Series]) -> str:
    """Give the table of what each contender took."""
    head = (
        "source", "record", "contender", "CPU us/record", "[low..high]", "records/CPU s",
        "records/s", "MB/CPU s", "MB/s", "ratio", "peak MB", "invocations",
    )  # fmt: skip
    rows = []
    for one in series:
        cpu_us, wall_us = median(one.cpu_us), median(one.wall_us)
        event_bytes = one.event_records * one.record_bytes
        rows.append(
            (
                one.source,
                _size(one.record_bytes),
                LABELS[one.contender, one.compression],
                f"{cpu_us:,.2f}",
                f"[{min(one.cpu_us):,.2f}..{max(one.cpu_us):,.2f}]",
                f"{1e6 / cpu_us:,.0f}",
                f"{1e6 / wall_us:,.0f}",
                f"{one.record_bytes / cpu_us:,.1f}",
                f"{one.record_bytes / wall_us:,.1f}",
                f"{event_bytes / one.object_bytes:.2f}",
                f"{one.peak_bytes / 1e6:.0f}",
                f"{len(one.cpu_us)} x {one.invocations}",
            )
        )
    return _table(head, rows, left=(0, 1, 2))


def ratios(series: Sequence[Series]) -> list[dict[str, object]]:
    """Give the ratios of CPU a record: the median of those of each round."""
    by_name = {(s.source, s.record_bytes, s.contender, s.compression): s for s in series}
    found = []
    for source, record_bytes in dict.fromkeys((s.source, s.record_bytes) for s in series):

        def take(
            contender: str, codec: str, case: tuple[str, int] = (source, record_bytes)
        ) -> Series:
            return by_name[(*case, contender, codec)]

        floor_target = FLOOR_TARGETS.get((source, record_bytes))
        each, plain_gzip = take("boto3-each", "none"), take("boto3-gzip", "gzip-9")
        for codec in ("zstd", "gzip"):
            ours = take("handler", codec)
            most = floor_target if codec == "zstd" else None
            for what, over, under, at_most, at_least in (
                ("handler / bare floor", ours, take("floor", codec), most, None),
                ("boto3 a PUT a record / handler", each, ours, None, EACH_TARGET),
                ("boto3 gzip / handler", plain_gzip, ours, None, GZIP_TARGET),
            ):
                rounds = list(map(operator.truediv, over.cpu_us, under.cpu_us))
                ratio = median(rounds)
                target, verdict = "", ""
                if at_most is not None:
                    target, verdict = f"<= {at_most}", _verdict(is_met=ratio <= at_most)
                elif at_least is not None:
                    target, verdict = f">= {at_least:g}", _verdict(is_met=ratio >= at_least)
                found.append(
                    {
                        "ratio of CPU": what,
                        "source": source,
                        "record": _size(record_bytes),
                        "codec": f"{codec}-1",
                        "median": round(ratio, 3),
                        "low": round(min(rounds), 3),
                        "high": round(max(rounds), 3),
                        "target": target,
                        "verdict": verdict,
                    }
                )
    return sorted(found, key=lambda row: str(row["ratio of CPU"]), reverse=True)


def ratio_table(found: Sequence[dict[str, object]]) -> str:
    """Give the table of ratios."""
    rows = [
        [f"{value:,.2f}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in found
    ]
    return _table(list(found[0]), rows, left=(0, 1, 2, 3, 8))


def _verdict(*, is_met: bool) -> str:
    return "met" if is_met else "missed"


def _size(size_bytes: int) -> str:
    return f"{size_bytes // 1024} KiB" if size_bytes % 1024 == 0 else f"{size_bytes} B"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int]) -> str:
    """Align columns: those in `left` to the left, the others, of numbers, to the right."""
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        aligned = [
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
