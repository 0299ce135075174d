"""`batcher verify`: read everything under a root back and check it."""

from __future__ import annotations

import os
import shlex
import time
from datetime import UTC, datetime
from signal import SIGINT

from batcher.cli.command import Arguments, Command
from batcher.cli.json_output import print_json
from batcher.cli.options import existing_settings, json_option, place_argument, reader_options
from batcher.cli.output import DONE, PROBLEMS_FOUND, TextTable, echo, print_table, print_text
from batcher.cli.parameters import Option
from batcher.cli.progress import Progress
from batcher.cli.signals import SIGNAL_EXIT_BASE, exit_on_interrupt, run_in_loop
from batcher.keys.parse import SourceFamily
from batcher.reading.findings import KIND_DESCRIPTIONS
from batcher.reading.sanitize import sanitize, sanitize_line
from batcher.settings import Settings
from batcher.stores import ObjectReader, open_reader
from batcher.stores.file import TEMPORARY_DIGITS
from batcher.stores.location import format_url, parse_destination, parse_folder_url
from batcher.tools.formatting import format_count, format_size
from batcher.tools.verify.report import TEMPORARY_FILE_MINUTES, StreamSummary, VerifyReport
from batcher.tools.verify.verify import Verifier

MAX_SHOWN_PER_KIND = 20
"""Findings of one kind that are printed one by one, at most."""


_MAX_DATETIME_MS = 253_402_300_800_000
"""The year 10000, which `datetime` cannot represent, in milliseconds."""


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    with faults:
        settings = existing_settings(arguments, arguments.place, os.environ)
    faults.raise_if_any()
    place = format_url(settings.bucket, settings.root)
    report = VerifyReport(overlaps_allowed=arguments.allow_overlaps)
    with exit_on_interrupt():  # imports the S3 client
        reader = open_reader(settings)
    try:
        run_in_loop(_verify(reader, settings, report))
    except KeyboardInterrupt:
        echo("stopped: nothing was verified")
        return SIGNAL_EXIT_BASE + SIGINT
    if arguments.json:
        print_json([report.as_dict(place)])
    else:
        print_report(report, place)
    if not report.objects + report.quarantine_objects and report.is_clean:
        echo(f"warning: no objects found under {place}")
    return DONE if report.is_clean else PROBLEMS_FOUND


async def _verify(reader: ObjectReader, settings: Settings, report: VerifyReport) -> None:
    """Verify all objects and fill in the report, with a progress bar on a terminal."""
    folder = parse_folder_url(settings.bucket) if settings.bucket.startswith("file:") else None
    verifier = Verifier(reader, settings.root, report, settings.concurrency, folder)

    def figures(_: float) -> list[str]:
        findings = sum(report.finding_counts.values())
        objects = format_count(report.objects, "object")
        read = f"{format_count(report.records, 'record')} in {objects}"
        return [format_count(findings, "finding"), read] if findings else [read]

    progress = Progress(
        "verifying", figures, lambda: verifier.read_bytes, lambda: verifier.total_bytes
    )
    try:
        with progress:
            await verifier.run(time.time, progress.update)
    finally:
        await reader.aclose()


def print_report(report: VerifyReport, place: str) -> None:
    """Print tables, findings and notes to standard output."""
    for table in report_tables(report, place):
        print_table(table)
    for line in report_notes(report):
        print_text(line)
    if report.leftover_files:
        print(f"note: to delete all left-over files: {sanitize(_deletion_command(place))}")  # noqa: T201


def _deletion_command(place: str) -> str:
    """Return the command that deletes the temporary files that `verify` reports, and no others."""
    folder = shlex.quote(str(parse_folder_url(parse_destination(place)["bucket"]).absolute()))
    name = f".{'[0-9a-f]' * TEMPORARY_DIGITS}.tmp"
    return f"find {folder} -type f -name '{name}' -mmin +{TEMPORARY_FILE_MINUTES} -delete"


def report_tables(report: VerifyReport, place: str) -> list[TextTable]:
    """Return the tables of a report that have rows."""
    totals = [
        ("objects", f"{report.objects:,}"),
        ("records", _describe_total(report)),
        ("quarantine objects", f"{report.quarantine_objects:,}"),
        ("quarantined records", _describe_quarantined(report)),
        ("bytes stored", format_size(report.size_bytes)),
        ("bytes of text", format_size(report.text_bytes)),
        *([("lost records", f"{report.lost_records:,}")] if report.lost_records else []),
        ("findings", f"{sum(report.finding_counts.values()):,}"),
    ]
    tables = [
        TextTable(sanitize_line(place), ("", ""), totals, frozenset({1})),
        TextTable(
            "Streams and queues",
            ("", "stream or queue", "shard", "objects", "records", "first", "last"),
            [_stream_row(stream) for stream in report.streams],
            frozenset({3, 4}),
        ),
        TextTable(
            "Quarantined records",
            ("reason", "records"),
            [(reason, f"{count:,}") for reason, count in sorted(report.quarantined.items())],
            frozenset({1}),
        ),
        TextTable(
            "Findings",
            ("kind", "", "count"),
            [
                (kind.value, KIND_DESCRIPTIONS[kind], f"{report.finding_counts[kind]:,}")
                for kind in report.finding_counts
            ],
            frozenset({2}),
        ),
    ]
    return [table for table in tables if table.rows]


def _describe_total(report: VerifyReport) -> str:
    """Return the number of records, and how many of them are of damaged objects."""
    if not report.damaged_objects:
        return f"{report.records:,}"
    objects = format_count(report.damaged_objects, "damaged object")
    return f"{report.records:,} ({report.damaged_records:,} of {objects})"


def _describe_quarantined(report: VerifyReport) -> str:
    """Return the number of records in quarantine, and how many of them are replayed."""
    total, replayed = report.quarantined.total(), report.quarantined_replayed
    open_ = f" ({total - replayed:,} open, {replayed:,} replayed)"
    return f"{total:,}{open_ if replayed else ''}"


def report_notes(report: VerifyReport) -> list[str]:
    """Return one line per finding, up to `MAX_SHOWN_PER_KIND` of a kind, and the notes."""
    lines = []
    shown = dict.fromkeys(report.finding_counts, 0)
    for finding in report.findings:
        shown[finding.kind] += 1
        if shown[finding.kind] <= MAX_SHOWN_PER_KIND:
            lines.append(f"{finding.kind}: {finding.key}: {finding.detail}")
        elif shown[finding.kind] == MAX_SHOWN_PER_KIND + 1:
            hidden = report.finding_counts[finding.kind] - MAX_SHOWN_PER_KIND
            lines.append(f"{finding.kind}: and {hidden:,} more; see --json")
    notes = [
        (report.incomplete_metadata, "object", "with incomplete metadata, from streamed uploads"),
        (report.unchecked_lines, "line", "too long to be checked"),
        (report.removed_objects, "object", "removed during this run"),
        (
            report.recent_temporary_files,
            "temporary file",
            f"last written less than {TEMPORARY_FILE_MINUTES // 60} h ago: a writer may be running",
        ),
    ]
    lines += [f"note: {format_count(count, noun)} {text}" for count, noun, text in notes if count]
    if report.uploads_unchecked:
        lines.append(f"note: open uploads were not looked for: {report.uploads_unchecked}")
    return lines


def _stream_row(stream: StreamSummary) -> tuple[str, ...]:
    first, last = (_format_number(stream, number) for number in (stream.first, stream.last))
    name = stream.stream or "(library, command line)"
    counts = f"{stream.objects:,}", f"{stream.records:,}"
    return (stream.family, sanitize_line(name), sanitize_line(stream.shard), *counts, first, last)


def _format_number(stream: StreamSummary, number: int | None) -> str:
    """Format a sequence number as it is, and a queue's milliseconds as a time."""
    if number is None:
        return ""
    is_time = stream.family == SourceFamily.QUEUE and number < _MAX_DATETIME_MS
    if is_time:
        return datetime.fromtimestamp(number / 1000, UTC).isoformat(timespec="milliseconds")
    return str(number)


COMMAND = Command(
    run,
    description="Reads every object under a root to its end, including quarantine, and "
    "compares it with its metadata: records, bytes, CRC-32, one JSON value per line. Finds "
    "damaged and foreign objects, open multipart uploads, and overlapping ranges of sequence "
    "numbers. Prints the range of sequence numbers of each shard. In a folder it also finds "
    "objects that were deleted. In S3 nothing is left of those: compare the number of records "
    "with what was written. Writes nothing. Memory use "
    "does not depend on the size of the objects. Lists open uploads with boto3, of the extra "
    "cli; without it, everything else is verified.",
    examples={
        "batcher verify s3://my-bucket/events": "verify everything under a root",
        "batcher verify s3://my-bucket/events --json": "the same, for a program",
    },
    parameters=[
        place_argument(),
        json_option("one JSON document"),
        Option(
            "--allow-overlaps",
            is_flag=True,
            help="do not report overlapping ranges: batches of a shard are processed concurrently "
            "(a parallelization factor over 1), or a DynamoDB stream has several shards",
        ),
        *reader_options("objects read"),
    ],
    exit_codes={
        1: "something is wrong or cannot be read",
        2: "wrong usage or settings, or the folder does not exist",
    },
    permissions="s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject "
    "on the root.",
)
