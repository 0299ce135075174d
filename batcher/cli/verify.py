"""`batcher verify`: everything under a root is read back, and judged."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from datetime import UTC, datetime
from signal import SIGINT

import orjson

from batcher.cli.options import add_concurrency_option, settings_from
from batcher.cli.output import DONE, PROBLEMS_FOUND, TextTable, echo, make_progress, print_table
from batcher.cli.signals import SIGNAL_EXIT_BASE, exit_on_interrupt
from batcher.errors import SettingsError
from batcher.keys.parse import SourceFamily
from batcher.reading.findings import KIND_DESCRIPTIONS
from batcher.reading.sanitize import sanitize_line
from batcher.settings import Settings
from batcher.stores import ObjectReader, open_reader
from batcher.stores.file import parse_folder_url
from batcher.tools.formatting import format_size
from batcher.tools.verify.report import StreamSummary, VerifyReport
from batcher.tools.verify.verify import Verifier

MAX_SHOWN_PER_KIND = 20
"""Findings of one kind that are shown one by one."""


_MAX_DATETIME_MS = 253_402_300_800_000  # the year 10000, where datetime ends


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
    add_concurrency_option(parser, "objects read")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    settings = settings_from(arguments, arguments.place, os.environ)
    _require_folder(settings)
    report = VerifyReport(overlaps_allowed=arguments.allow_overlaps)
    with exit_on_interrupt():  # it imports the client
        reader = open_reader(settings)
    try:
        with asyncio.Runner() as runner:
            runner.run(_verify(reader, settings, report))
    except KeyboardInterrupt:
        echo("stopped: what was read so far proves nothing")
        return SIGNAL_EXIT_BASE + SIGINT
    if arguments.json:
        print(orjson.dumps(report.as_dict()).decode())  # noqa: T201  # what a command line is for
    else:
        print_report(report, arguments.place)
    if not report.objects + report.quarantine_objects and report.is_clean:
        echo(f"warning: nothing is under {arguments.place}")
    return DONE if report.is_clean else PROBLEMS_FOUND


def _require_folder(settings: Settings) -> None:
    """Let no folder pass that is not there: nothing in it is wrong.

    Raises:
        SettingsError: there is no such folder.
    """
    if (
        settings.bucket.startswith("file:")
        and not (folder := parse_folder_url(settings.bucket)).is_dir()
    ):
        fault = f"place: there is no folder {folder.absolute()}"
        raise SettingsError([fault])


async def _verify(reader: ObjectReader, settings: Settings, report: VerifyReport) -> None:
    """Fill in the report, with a bar on a terminal."""
    verify = Verifier(reader, settings.root, report, settings.concurrency)

    def figures(seconds: float) -> str:
        found = sum(report.finding_counts.values())
        return (
            f"{report.records:,} records in {report.objects:,} objects · "
            f"{format_size(verify.read_bytes / max(seconds, 1e-9))}/s"
            + (f" · {found:,} found wrong" if found else "")
        )

    bar = make_progress("verifying", figures, lambda: verify.read_bytes, lambda: verify.total_bytes)
    try:
        with bar:
            await verify.run(time.time, bar.update)
    finally:
        await reader.aclose()


def print_report(report: VerifyReport, place: str) -> None:
    """Print what was found to standard output."""
    for table in report_tables(report, place):
        print_table(table)
    for line in report_notes(report):
        print(line)  # noqa: T201  # what a command line is for


def report_tables(report: VerifyReport, place: str) -> list[TextTable]:
    """Return the tables that have something in them."""
    totals = [
        ("objects", f"{report.objects:,}"),
        ("records", f"{report.records:,}"),
        ("quarantine objects", f"{report.quarantine_objects:,}"),
        ("quarantined records", f"{sum(report.quarantined.values()):,}"),
        ("bytes stored", format_size(report.size_bytes)),
        ("bytes of text", format_size(report.text_bytes)),
        ("found wrong", f"{sum(report.finding_counts.values()):,}"),
    ]
    made = [
        TextTable(sanitize_line(place), ("", ""), totals, frozenset({1})),
        TextTable(
            "What is there",
            ("", "stream or queue", "shard", "objects", "records", "first", "last"),
            [_stream_row(held) for held in report.streams],
            frozenset({3, 4}),
        ),
        TextTable(
            "Quarantined records",
            ("reason", "records"),
            [(reason, f"{count:,}") for reason, count in sorted(report.quarantined.items())],
            frozenset({1}),
        ),
        TextTable(
            "Found wrong",
            ("what", "", "count"),
            [
                (kind.value, KIND_DESCRIPTIONS[kind], f"{report.finding_counts[kind]:,}")
                for kind in report.finding_counts
            ],
            frozenset({2}),
        ),
    ]
    return [table for table in made if table.rows]


def report_notes(report: VerifyReport) -> list[str]:
    """Return what is said line by line: each finding, and what is no finding."""
    lines = []
    shown = dict.fromkeys(report.finding_counts, 0)
    for found in report.findings:
        shown[found.kind] += 1
        if shown[found.kind] <= MAX_SHOWN_PER_KIND:
            lines.append(f"{found.kind}: {found.key}: {found.detail}")
        elif shown[found.kind] == MAX_SHOWN_PER_KIND + 1:
            lines.append(
                f"{found.kind}: and {report.finding_counts[found.kind] - MAX_SHOWN_PER_KIND:,} "
                "more; see --json"
            )
    told = [
        (
            report.incomplete_metadata,
            "objects with metadata that is not all known: streamed uploads",
        ),
        (report.unchecked_lines, "lines that are too long to be judged"),
        (report.removed_objects, "objects that were removed while this was reading"),
    ]
    lines += [f"note: {count:,} {what}" for count, what in told if count]
    return lines


def _stream_row(stream: StreamSummary) -> tuple[str, ...]:
    first, last = (_format_number(stream, number) for number in (stream.first, stream.last))
    name = stream.stream or "(library, command line)"
    counts = f"{stream.objects:,}", f"{stream.records:,}"
    return (stream.family, sanitize_line(name), sanitize_line(stream.shard), *counts, first, last)


def _format_number(stream: StreamSummary, number: int | None) -> str:
    """Write a sequence number as it is, and a queue's time as one."""
    if number is None:
        return ""
    is_time = stream.family == SourceFamily.QUEUE and number < _MAX_DATETIME_MS
    if is_time:
        return datetime.fromtimestamp(number / 1000, UTC).isoformat(timespec="milliseconds")
    return str(number)
