"""`batcher verify`: read everything under a root back and check it."""

from __future__ import annotations

import os
import time
from signal import SIGINT

from batcher.cli.command import Arguments, Command
from batcher.cli.json_output import print_json
from batcher.cli.options import existing_settings, json_option, place_argument, reader_options
from batcher.cli.output import DONE, PROBLEMS_FOUND, echo
from batcher.cli.parameters import Option
from batcher.cli.progress import Progress
from batcher.cli.signals import SIGNAL_EXIT_BASE, exit_on_interrupt, run_in_loop
from batcher.cli.verify_report import print_report
from batcher.settings import Settings
from batcher.stores import ObjectReader, open_reader
from batcher.stores.location import format_url, parse_folder_url
from batcher.tools.formatting import format_count
from batcher.tools.verify.report import VerifyReport
from batcher.tools.verify.verify import Verifier


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
