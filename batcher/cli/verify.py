"""`batcher verify`: everything under a root is read back, and judged."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from signal import SIGINT

import orjson

from batcher.cli.exits import DONE, FOUND
from batcher.cli.flags import add_concurrency, settings_from
from batcher.cli.interrupts import SIGNALLED, ending_at_once
from batcher.cli.progress import progress_of
from batcher.cli.said import say
from batcher.cli.verify_tables import show
from batcher.errors import SettingsError
from batcher.reading.report import Report
from batcher.reading.verify import Verify
from batcher.settings import Settings
from batcher.stores import ObjectReader, open_reader
from batcher.stores.file import folder_of
from batcher.units import show_size


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
