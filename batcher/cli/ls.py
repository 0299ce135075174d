"""`batcher ls`: list the objects under a root, of all its prefixes, in the order of their times."""

from __future__ import annotations

import os
from contextlib import aclosing
from datetime import UTC, datetime
from math import inf

from batcher.cli.command import Arguments, Command
from batcher.cli.findings import FindingPrinter
from batcher.cli.json_output import print_json
from batcher.cli.options import (
    describe_selection,
    existing_settings,
    json_option,
    reader_options,
    selection_from,
    selection_options,
)
from batcher.cli.output import DONE, INCOMPLETE, echo
from batcher.cli.signals import run_in_loop
from batcher.reading.catalog import Catalog, CatalogEntry
from batcher.reading.selection import Selection
from batcher.settings import Settings
from batcher.stores import open_reader
from batcher.stores.location import format_url
from batcher.tools.formatting import format_count, format_size


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    with faults:
        settings = existing_settings(arguments, arguments.place, os.environ)
    with faults:
        selection = selection_from(arguments)
    faults.raise_if_any()
    return run_in_loop(_print_objects(arguments, settings, selection))


async def _print_objects(arguments: Arguments, settings: Settings, selection: Selection) -> int:
    findings = FindingPrinter()
    objects = size_bytes = 0
    reader = open_reader(settings)
    catalog = Catalog(
        reader, settings.root, selection, settings.concurrency, findings.print_finding
    )
    try:
        async with aclosing(catalog.groups(ordered=True)) as groups:
            async for group in groups:
                if arguments.json:
                    print_json(map(_make_document, group))
                else:
                    print("".join(map(_format_line, group)), end="", flush=True)  # noqa: T201  # what a command line is for
                objects += len(group)
                size_bytes += sum(entry.list_entry.size_bytes for entry in group)
    finally:
        await reader.aclose()
    filters = describe_selection(arguments)
    findings.print_summary(
        format_url(settings.bucket, settings.root), objects, filters, catalog.passed_over
    )
    if objects:
        echo(f"{format_count(objects, 'object')}, {format_size(size_bytes)}")
    return DONE if findings.is_complete else INCOMPLETE


def _format_line(entry: CatalogEntry) -> str:
    time = _format_time(entry.time_s) or "-"
    return f"{time:24} {entry.list_entry.size_bytes:>12} {entry.parsed_key.key}\n"


def _make_document(entry: CatalogEntry) -> dict[str, object]:
    time_range, (stream, shard) = entry.time_range, entry.parsed_key.stream_and_shard
    return {
        "key": entry.parsed_key.key,
        "size_bytes": entry.list_entry.size_bytes,
        "time": _format_time(entry.time_s),
        "arrived_from": _format_time(time_range.start_s),
        "arrived_before": _format_time(time_range.end_s),
        "written": _format_time(entry.list_entry.modified_s),
        "partition": entry.parsed_key.partition,
        "stream": stream,
        "shard": shard,
    }


def _format_time(time_s: float | None) -> str | None:
    """Format a time, or return None if it is unknown or out of the range of `datetime`."""
    if time_s is None or abs(time_s) == inf:
        return None
    try:
        moment = datetime.fromtimestamp(round(time_s, 3), UTC)
    except (OverflowError, ValueError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


COMMAND = Command(
    run,
    description="Lists the objects under a root, across all randomized prefixes, in the order of "
    "time: one line per object with its time, size in bytes and key. Totals go to standard "
    "error. The time is the one in the object's name, or the start of its partition's hour or "
    "day, in UTC. No object is opened, and folders of other days are not listed.",
    examples={
        "batcher ls s3://my-bucket/events --since 2026-11-23": "list objects since that day",
        "batcher ls s3://my-bucket/events --quarantine --json": (
            "list quarantine objects, for a program"
        ),
    },
    parameters=[
        *selection_options(),
        json_option("one line of JSON per object"),
        *reader_options("requests and objects"),
    ],
    exit_codes={1: "some objects are not batcher's, or the root cannot be listed"},
    permissions="s3:ListBucket on the bucket.",
)
