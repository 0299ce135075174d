"""What `batcher verify` prints for people: tables, findings by kind, notes, and a verdict."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime

from batcher.cli.output import TextTable, print_table, print_text
from batcher.keys.parse import SourceFamily
from batcher.reading.findings import KIND_DESCRIPTIONS, FindingKind
from batcher.reading.sanitize import sanitize, sanitize_line
from batcher.stores.file import TEMPORARY_DIGITS
from batcher.stores.location import parse_destination, parse_folder_url
from batcher.tools.formatting import format_count, format_size
from batcher.tools.replay.grouping import REPLAY_SOURCE, STEM_DIGITS
from batcher.tools.verify.report import TEMPORARY_FILE_MINUTES, StreamSummary, VerifyReport

MAX_SHOWN_PER_KIND = 20
"""Findings of one kind that are printed one by one, at most."""


_MAX_DATETIME_MS = 253_402_300_800_000
"""The year 10000, which `datetime` cannot represent, in milliseconds."""


def print_report(report: VerifyReport, place: str) -> None:
    """Print tables, findings, notes and the verdict to standard output."""
    for table in report_tables(report, place):
        print_table(table)
    _print_findings(report)
    for line in report_notes(report):
        print_text(line)
    if report.leftover_files:
        print(f"note: to delete all left-over files: {sanitize(_deletion_command(place))}")  # noqa: T201
    print_text(verdict(report), "green" if report.is_clean else "bold red")


def verdict(report: VerifyReport) -> str:
    """Return what a user wants to know first."""
    if report.is_clean:
        if not report.objects and not report.quarantine_objects:
            return "nothing found, and so nothing wrong; is it the right root?"
        records = format_count(report.records, "record")
        text = f"fine: {records} in {format_count(report.objects, 'object')}, all as described"
        count = report.quarantined.total() - report.quarantined_replayed
        return f"{text}; {format_count(count, 'record')} in quarantine" if count else text
    counts = report.finding_counts
    kinds = ", ".join(f"{counts[kind]:,} {kind}" for kind in FindingKind if counts[kind])
    return f"{format_count(counts.total(), 'finding')}: {kinds}"


def _print_findings(report: VerifyReport) -> None:
    """Print the findings by kind, each key on a line of its own, and what is the same once."""
    for kind in FindingKind:
        if not (count := report.finding_counts[kind]):
            continue
        print_text(f"{kind}: {KIND_DESCRIPTIONS[kind]} ({count:,})", "red")
        keys_by_detail: dict[str, list[str]] = {}
        shown = [finding for finding in report.findings if finding.kind is kind]
        for finding in shown[:MAX_SHOWN_PER_KIND]:
            keys_by_detail.setdefault(finding.detail, []).append(finding.key)
        for detail, keys in keys_by_detail.items():
            print("\n".join(f"  {key}" for key in keys))  # noqa: T201
            print_text(detail, indent=4)
        if count > MAX_SHOWN_PER_KIND:
            print_text(f"and {count - MAX_SHOWN_PER_KIND:,} more; see --json", indent=2)
        print()  # noqa: T201


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
    ]
    return [table.without_empty_columns() for table in tables if table.rows]


def _describe_total(report: VerifyReport) -> str:
    """Return the number of records, and how many of them are of damaged objects."""
    if not report.damaged_objects:
        return f"{report.records:,}"
    objects = format_count(report.damaged_objects, "damaged object")
    return f"{report.records:,} ({report.damaged_records:,} of {objects})"


def _describe_quarantined(report: VerifyReport) -> str:
    """Return the number of records in quarantine, and how many of them are replayed."""
    total, replayed = report.quarantined.total(), report.quarantined_replayed
    if not replayed:
        return f"{total:,}"
    left_out = report.quarantined_left_out
    parts = [f"{total - replayed:,} open", f"{replayed - left_out:,} replayed"]
    parts += [f"{left_out:,} left out"] * bool(left_out)
    return f"{total:,} ({', '.join(parts)})"


def report_notes(report: VerifyReport) -> list[str]:
    """Return notes on what is no fault, one line each."""
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
    lines = [f"note: {format_count(count, noun)} {text}" for count, noun, text in notes if count]
    if report.uploads_unchecked:
        lines.append(f"note: open uploads were not looked for: {report.uploads_unchecked}")
    return lines


def _stream_row(stream: StreamSummary) -> tuple[str, ...]:
    first, last = (_format_number(stream, number) for number in (stream.first, stream.last))
    name = stream.stream or "(library, command line)"
    counts = f"{stream.objects:,}", f"{stream.records:,}"
    family = "replay" if _is_replay(stream) else stream.family
    return (family, sanitize_line(name), sanitize_line(stream.shard), *counts, first, last)


def _is_replay(stream: StreamSummary) -> bool:
    """Return whether it has what `batcher replay` wrote, whose names are as those of queues."""
    prefix, _, stem = stream.stream.partition("-")
    return (
        stream.family == SourceFamily.QUEUE
        and prefix == REPLAY_SOURCE
        and re.fullmatch(rf"[0-9a-f]{{{STEM_DIGITS}}}", stem) is not None
    )


def _format_number(stream: StreamSummary, number: int | None) -> str:
    """Format a sequence number as it is, and a queue's milliseconds as a time."""
    if number is None:
        return ""
    is_time = stream.family == SourceFamily.QUEUE and number < _MAX_DATETIME_MS
    if is_time:
        return f"{datetime.fromtimestamp(number // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(number)
