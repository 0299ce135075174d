"""`batcher plan`: from a rate to objects, Lambda settings and dollars a month."""

from __future__ import annotations

import argparse
import asyncio
import os

import orjson

from batcher.cli.exits import DONE
from batcher.cli.faults import Faults
from batcher.cli.flags import add_settings, flags_of
from batcher.cli.plan_tables import conclusion, tables
from batcher.cli.reader import InputError, Reader
from batcher.cli.tables import print_table
from batcher.errors import SettingsError
from batcher.planning.advice import advice
from batcher.planning.compression import Sample
from batcher.planning.document import document
from batcher.planning.notes import notes
from batcher.planning.plan import Plan, make_plan
from batcher.planning.quotas import MAX_EVENT_BYTES
from batcher.planning.snippet import snippet
from batcher.planning.workload import DEFAULT_WINDOW_S, Source, Workload
from batcher.settings import Settings

SAMPLE_BYTES = 8 * 1024**2
"""Text that is read of a sample, in whole blocks."""
STAND_IN_BUCKET = "BUCKET"
FLAGS = (
    ("records-per-s", "N", "records a second, on average"),
    ("record-bytes", "SIZE", "bytes of a record, on average: 1KiB (default: the sample's)"),
    ("source", "SOURCE", f"{', '.join(Source)} (default sqs)"),
    ("window-s", "S", f"batching window, 0-300 (default {DEFAULT_WINDOW_S}; fifo has none)"),
    ("peak", "FACTOR", "the highest rate over the average (default 2)"),
    ("partitions", "N", "partitions that one invocation's records fall into (default 1)"),
    ("shards", "N", "shards of the stream (default: as few as take the peak)"),
    ("pollers", "N", "batches of a queue that Lambda gathers side by side, where you know it"),
    ("retention-days", "D", "days that objects are kept: adds what S3 asks for that"),
    ("arch", "ARCH", "arm64 or x86_64 (default arm64)"),
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "plan",
        help="from records a second: objects, Lambda settings, dollars a month beside Firehose's",
        description="Says, from records a second and bytes a record, how many objects of what size "
        "come of them, how many prefixes they need, which memory and how many concurrent "
        "invocations, what a month costs beside Firehose, and how to set the event source mapping. "
        "Asks nobody and writes nothing. docs/planning.md has the formulas.",
        epilog="Exit: 0 done, warnings or not, 2 wrong usage or settings.",
    )
    for name, metavar, text in FLAGS:
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument(
        "--sample",
        metavar="FILE",
        help="records to measure size and compression on, a line each (plain, gzip or zstd, or - "
        "for standard input); 8 MiB are read",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code.

    Raises:
        SettingsError: with every fault of workload, sample and settings.
    """
    plan = _plan(arguments)
    if arguments.json:
        print(orjson.dumps(document(plan)).decode())  # noqa: T201  # what a command line is for
        return DONE
    for table in tables(plan):
        print_table(table)
    print(f"To paste into serverless.yml\n\n{snippet(plan)}\n")  # noqa: T201
    for note in notes(plan):
        print(f"note: {note}")  # noqa: T201
    for one in advice(plan):
        print(f"warning: {one.kind}: {one.text}")  # noqa: T201
    print(conclusion(plan))  # noqa: T201
    return DONE


def _plan(arguments: argparse.Namespace) -> Plan:
    faults = Faults()
    values = {name: getattr(arguments, name) for name in _names()}
    sample = None
    with faults:
        sample = asyncio.run(_sample(arguments.sample)) if arguments.sample else None
    if sample is not None:
        values["record_bytes"] = values["record_bytes"] or sample.record_bytes
        values["json_growth"] = sample.json_growth
    elif arguments.sample:
        values["record_bytes"] = values["record_bytes"] or "1"  # its fault is told
    with faults:
        workload = Workload.from_text(values)
    with faults:
        settings = _settings(arguments)
    faults.tell()
    return make_plan(workload, settings, sample)


def _names() -> list[str]:
    return [name.replace("-", "_") for name, _, _ in FLAGS]


def _settings(arguments: argparse.Namespace) -> Settings:
    """Read the handler's settings; a plan needs no bucket."""
    environ = {"BATCHER_BUCKET": STAND_IN_BUCKET, **os.environ}
    return Settings.from_env(environ, **flags_of(arguments))


async def _sample(name: str) -> Sample:
    """Read the first lines of a file; empty ones, and those that no invocation carries, are none.

    Raises:
        SettingsError: it cannot be read, or has no line.
    """
    reader = Reader([name], MAX_EVENT_BYTES)
    records: list[bytes] = []
    read_bytes = 0
    try:
        async for block in reader:
            if not block.cut_bytes:
                records += [line for line in block.text.split(b"\n") if line.strip()]
            read_bytes += len(block.text)
            if read_bytes >= SAMPLE_BYTES:
                break
    except InputError as error:
        fault = f"sample: {error}"
        raise SettingsError([fault]) from None
    finally:
        reader.stop()
    if not records:
        fault = f"sample: {name} has no record that an invocation could carry"
        raise SettingsError([fault])
    return Sample(records)
