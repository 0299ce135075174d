"""`batcher verify`: everything under a root is read back, and judged."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from datetime import UTC, datetime
from signal import SIGINT

import orjson

from batcher.cli.options import add_concurrency, settings_from
from batcher.cli.output import DONE, FOUND, Table, print_table, progress_of, say
from batcher.cli.signals import SIGNALLED, ending_at_once
from batcher.errors import SettingsError
from batcher.keys.parse import Family
from batcher.reading.findings import MEANINGS
from batcher.reading.sanitize import printable
from batcher.settings import Settings
from batcher.stores import ObjectReader, open_reader
from batcher.stores.file import folder_of
from batcher.tools.formatting import show_size
from batcher.tools.verify.report import Holding, Report
from batcher.tools.verify.verify import Verify

SHOWN = 20
"""Findings of one kind that are shown one by one."""


_LAST_MS = 253_402_300_800_000  # the year 10000, where datetime ends


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "verify",
        help="read objects back: whole, as described, no range twice",
        description="Reads every object under a root, quarantine included, to its end, and "
        "compares it with its metadata: records, bytes, CRC-32, and one JSON value a line. Finds "
        "damaged and foreign objects, multipart uploads that are still open, and ranges of "
        "sequence numbers that overlap; shows which ranges of which shard are there. Writes "
        "nothing. Memory stays flat, however large or bad an object is.",
        epilog="Exit: 0 nothing is wrong, 1 something is (or could not be read), 2 wrong usage or "
        "settings, or no such folder, 130 stopped by Ctrl-C, 141 nobody reads any more. Needs "
        "s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject on the "
        "root.",
    )
    parser.add_argument("place", metavar="PLACE", help="s3://bucket/root or file://folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--allow-overlaps",
        action="store_true",
        help="ranges may overlap: batches of a shard are taken side by side (a parallelization "
        "factor over 1), or a DynamoDB stream has several shards",
    )
    add_concurrency(parser, "objects read")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    settings = settings_from(arguments, arguments.place, os.environ)
    _refuse_typo(settings)
    report = Report(are_overlaps_fine=arguments.allow_overlaps)
    with ending_at_once():  # it imports the client
        reader = open_reader(settings)
    try:
        with asyncio.Runner() as runner:
            runner.run(_verify(reader, settings, report))
    except KeyboardInterrupt:
        say("stopped: what was read so far proves nothing")
        return SIGNALLED + SIGINT
    if arguments.json:
        print(orjson.dumps(report.as_dict()).decode())  # noqa: T201  # what a command line is for
    else:
        show(report, arguments.place)
    if not report.objects + report.quarantine_objects and report.is_clean:
        say(f"warning: nothing is under {arguments.place}")
    return DONE if report.is_clean else FOUND


def _refuse_typo(settings: Settings) -> None:
    """Let no folder pass that is not there: nothing in it is wrong.

    Raises:
        SettingsError: there is no such folder.
    """
    if settings.bucket.startswith("file:") and not (folder := folder_of(settings.bucket)).is_dir():
        fault = f"place: there is no folder {folder.absolute()}"
        raise SettingsError([fault])


async def _verify(reader: ObjectReader, settings: Settings, report: Report) -> None:
    """Fill in the report, with a bar on a terminal."""
    verify = Verify(reader, settings.root, report, settings.concurrency)

    def figures(seconds: float) -> str:
        found = sum(report.counts.values())
        return (
            f"{report.records:,} records in {report.objects:,} objects · "
            f"{show_size(verify.read_bytes / max(seconds, 1e-9))}/s"
            + (f" · {found:,} found wrong" if found else "")
        )

    bar = progress_of("verifying", figures, lambda: verify.read_bytes, lambda: verify.total_bytes)
    try:
        with bar:
            await verify.run(time.time, bar.show)
    finally:
        await reader.aclose()


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
