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

from batcher.cli.options import Faults, Told, add_choice, chosen, settings_from
from batcher.cli.output import DONE, NOT_WHOLE, say
from batcher.reading.catalog import Catalog, Found
from batcher.reading.selection import Selection
from batcher.settings import Settings
from batcher.stores import open_reader
from batcher.tools.formatting import show_size


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
    add_choice(parser)
    parser.add_argument("--json", action="store_true", help="print one line of JSON an object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = Faults()
    with faults:
        settings = settings_from(arguments, arguments.place, os.environ)
    with faults:
        selection = chosen(arguments)
    faults.tell()
    return asyncio.run(_list(arguments, settings, selection))


async def _list(arguments: argparse.Namespace, settings: Settings, selection: Selection) -> int:
    told = Told()
    objects = size_bytes = 0
    write = _json if arguments.json else _line
    reader = open_reader(settings)
    catalog = Catalog(reader, settings.root, selection, settings.concurrency, told.find)
    try:
        async with aclosing(catalog.groups(is_ordered=True)) as groups:
            async for group in groups:
                sys.stdout.write("".join(map(write, group)))
                sys.stdout.flush()
                objects += len(group)
                size_bytes += sum(found.listed.size_bytes for found in group)
    finally:
        await reader.aclose()
    told.end(arguments.place, objects)
    if objects:
        say(f"{objects:,} objects, {show_size(size_bytes)}")
    return DONE if told.is_whole else NOT_WHOLE


def _line(found: Found) -> str:
    time = _shown(found.time_s) or "-"
    return f"{time:24} {found.listed.size_bytes:>12} {found.name.key}\n"


def _json(found: Found) -> str:
    span, (stream, shard) = found.span, found.name.stream_and_shard
    told = {
        "key": found.name.key,
        "size_bytes": found.listed.size_bytes,
        "time": _shown(found.time_s),
        "arrived_from": _shown(span.start_s),
        "arrived_before": _shown(span.end_s),
        "written": _shown(found.listed.modified_s),
        "partition": found.name.partition,
        "stream": stream,
        "shard": shard,
    }
    return f"{orjson.dumps(told).decode()}\n"


def _shown(time_s: float | None) -> str | None:
    """Write a time; None where there is none, or none that a calendar has."""
    if time_s is None or abs(time_s) == inf:
        return None
    try:
        moment = datetime.fromtimestamp(round(time_s, 3), UTC)
    except (OverflowError, ValueError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
