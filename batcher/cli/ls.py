"""`batcher ls`: the objects under a root, across all salts, in the order of their times."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from math import inf

import orjson

from batcher.cli.options import (
    FaultCollector,
    FindingPrinter,
    add_selection_options,
    selection_from,
    settings_from,
)
from batcher.cli.output import DONE, INCOMPLETE, echo
from batcher.reading.catalog import Catalog, CatalogEntry
from batcher.reading.selection import Selection
from batcher.settings import Settings
from batcher.stores import open_reader
from batcher.tools.formatting import format_size


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "ls",
        help="list objects across all salts, in the order of time",
        description="Lists the objects under a root, whatever their salts: a line for each with "
        "its time, its bytes and its key, in the order of time; totals go to standard error. The "
        "time is the one in the name, or the start of the partition's, in UTC. Nothing is opened; "
        "folders of other days than the chosen ones are not even listed. docs/reading.md says "
        "what the times are.",
        epilog="Exit: 0 done, 1 there are objects that batcher has not written, or nothing can be "
        "listed, 2 wrong usage or settings, 130 stopped by Ctrl-C, 141 nobody reads any "
        "more. Needs s3:ListBucket on the bucket.",
    )
    add_selection_options(parser)
    parser.add_argument("--json", action="store_true", help="print one line of JSON an object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = FaultCollector()
    with faults:
        settings = settings_from(arguments, arguments.place, os.environ)
    with faults:
        selection = selection_from(arguments)
    faults.raise_if_any()
    return asyncio.run(_print_objects(arguments, settings, selection))


async def _print_objects(
    arguments: argparse.Namespace, settings: Settings, selection: Selection
) -> int:
    told = FindingPrinter()
    objects = size_bytes = 0
    write = _format_json if arguments.json else _format_line
    reader = open_reader(settings)
    catalog = Catalog(reader, settings.root, selection, settings.concurrency, told.print_finding)
    try:
        async with aclosing(catalog.groups(ordered=True)) as groups:
            async for group in groups:
                sys.stdout.write("".join(map(write, group)))
                sys.stdout.flush()
                objects += len(group)
                size_bytes += sum(found.list_entry.size_bytes for found in group)
    finally:
        await reader.aclose()
    told.print_summary(arguments.place, objects)
    if objects:
        echo(f"{objects:,} objects, {format_size(size_bytes)}")
    return DONE if told.is_complete else INCOMPLETE


def _format_line(entry: CatalogEntry) -> str:
    time = _format_time(entry.time_s) or "-"
    return f"{time:24} {entry.list_entry.size_bytes:>12} {entry.parsed_key.key}\n"


def _format_json(entry: CatalogEntry) -> str:
    span, (stream, shard) = entry.time_range, entry.parsed_key.stream_and_shard
    told = {
        "key": entry.parsed_key.key,
        "size_bytes": entry.list_entry.size_bytes,
        "time": _format_time(entry.time_s),
        "arrived_from": _format_time(span.start_s),
        "arrived_before": _format_time(span.end_s),
        "written": _format_time(entry.list_entry.modified_s),
        "partition": entry.parsed_key.partition,
        "stream": stream,
        "shard": shard,
    }
    return f"{orjson.dumps(told).decode()}\n"


def _format_time(time_s: float | None) -> str | None:
    """Write a time; None where there is none, or none that a calendar has."""
    if time_s is None or abs(time_s) == inf:
        return None
    try:
        moment = datetime.fromtimestamp(round(time_s, 3), UTC)
    except (OverflowError, ValueError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
