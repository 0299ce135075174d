"""Tables of `batcher verify`: what is there, and what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime

from batcher.cli.tables import Table, print_table
from batcher.printable import printable
from batcher.reading.findings import MEANINGS
from batcher.reading.names import Family
from batcher.reading.report import Holding, Report
from batcher.units import show_size

SHOWN = 20
"""Findings of one kind that are shown one by one."""
_LAST_MS = 253_402_300_800_000  # the year 10000, where datetime ends


def show(report: Report, place: str) -> None:
    """Print what was found to standard output."""
    for table in tables(report, place):
        print_table(table)
    for line in notes(report):
        print(line)  # noqa: T201  # what a command line is for


def tables(report: Report, place: str) -> list[Table]:
    """Give the tables that have something in them."""
    totals = [
        ("objects", f"{report.objects:,}"),
        ("records", f"{report.records:,}"),
        ("quarantine objects", f"{report.quarantine_objects:,}"),
        ("quarantined records", f"{sum(report.quarantined.values()):,}"),
        ("bytes stored", show_size(report.size_bytes)),
        ("bytes of text", show_size(report.text_bytes)),
        ("found wrong", f"{sum(report.counts.values()):,}"),
    ]
    made = [
        Table(printable(place), ("", ""), totals, frozenset({1})),
        Table(
            "What is there",
            ("", "stream or queue", "shard", "objects", "records", "first", "last"),
            [_holding(held) for held in report.holdings],
            frozenset({3, 4}),
        ),
        Table(
            "Quarantined records",
            ("reason", "records"),
            [(reason, f"{count:,}") for reason, count in sorted(report.quarantined.items())],
            frozenset({1}),
        ),
        Table(
            "Found wrong",
            ("what", "", "count"),
            [(kind.value, MEANINGS[kind], f"{report.counts[kind]:,}") for kind in report.counts],
            frozenset({2}),
        ),
    ]
    return [table for table in made if table.rows]


def notes(report: Report) -> list[str]:
    """Give what is said line by line: each finding, and what is no finding."""
    lines = []
    shown = dict.fromkeys(report.counts, 0)
    for found in report.findings:
        shown[found.kind] += 1
        if shown[found.kind] <= SHOWN:
            lines.append(f"{found.kind}: {found.key}: {found.detail}")
        elif shown[found.kind] == SHOWN + 1:
            lines.append(
                f"{found.kind}: and {report.counts[found.kind] - SHOWN:,} more; see --json"
            )
    told = [
        (report.incomplete, "objects with metadata that is not all known: streamed uploads"),
        (report.unjudged, "lines that are too long to be judged"),
        (report.gone, "objects that were removed while this was reading"),
    ]
    lines += [f"note: {count:,} {what}" for count, what in told if count]
    return lines


def _holding(held: Holding) -> tuple[str, ...]:
    first, last = (_start(held, number) for number in (held.first, held.last))
    name = held.stream or "(library, command line)"
    counts = f"{held.objects:,}", f"{held.records:,}"
    return (held.family, printable(name), printable(held.shard), *counts, first, last)


def _start(held: Holding, number: int | None) -> str:
    """Write a sequence number as it is, and a queue's time as one."""
    if number is None:
        return ""
    is_time = held.family == Family.QUEUE and number < _LAST_MS
    if is_time:
        return datetime.fromtimestamp(number / 1000, UTC).isoformat(timespec="milliseconds")
    return str(number)
