"""`batcher cat`: print the records of the objects under a root."""

from __future__ import annotations

import os
import sys

from batcher.cli.command import Arguments, Command
from batcher.cli.findings import FindingPrinter
from batcher.cli.options import (
    describe_selection,
    existing_settings,
    reader_options,
    selection_from,
    selection_options,
)
from batcher.cli.output import DONE, INCOMPLETE
from batcher.cli.parameters import Option
from batcher.cli.signals import run_in_loop
from batcher.errors import BatcherError, SettingsError
from batcher.reading.read_objects import ReadObject, ReadObjects
from batcher.reading.selection import Selection
from batcher.settings import Settings
from batcher.stores import open_reader
from batcher.stores.location import format_url


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    with faults:
        settings = existing_settings(arguments, arguments.place, os.environ)
    with faults:
        selection = selection_from(arguments)
    with faults:
        output = _LimitedOutput(_parse_limit(arguments.limit))
    faults.raise_if_any()
    return run_in_loop(_write_records(arguments, settings, selection, output))


def _parse_limit(text: str | None) -> int | None:
    """Parse the value of `--limit`.

    Raises:
        SettingsError: `text` is not a number.
    """
    if text is None:
        return None
    if not (text.isdecimal() and text.isascii()):
        raise SettingsError([f"limit: {text!r} is not a number of records; expected 0 or more"])
    return int(text)


class _LimitedOutput:
    """Standard output that takes a limited number of records."""

    def __init__(self, limit: int | None) -> None:
        self._remaining = limit

    @property
    def is_full(self) -> bool:
        return self._remaining is not None and self._remaining <= 0

    def write(self, text: bytes) -> None:
        """Write complete lines, up to the limit."""
        if self._remaining is not None:
            if (records := text.count(b"\n")) > self._remaining:
                text = b"".join(b"%b\n" % line for line in text.split(b"\n", self._remaining)[:-1])
            self._remaining -= records
        unwritten = memoryview(text)
        while unwritten:  # with PYTHONUNBUFFERED a signal can cut a write short
            unwritten = unwritten[sys.stdout.buffer.write(unwritten) :]


async def _write_records(
    arguments: Arguments, settings: Settings, selection: Selection, output: _LimitedOutput
) -> int:
    findings = FindingPrinter()
    objects_read = 0
    objects = ReadObjects(
        open_reader(settings),
        settings,
        selection,
        ordered=arguments.ordered,
        covered=arguments.all,
        max_line_bytes=settings.max_bytes,
        on_finding=findings.print_finding,
    )
    async with objects:
        async for read_object in objects:
            objects_read += 1
            try:
                await _copy_object(read_object, output)
            except BatcherError as error:
                findings.print_error(error)
            if output.is_full:
                break
    filters = describe_selection(arguments)
    findings.print_summary(
        format_url(settings.bucket, settings.root), objects_read, filters, objects.passed_over
    )
    return DONE if findings.is_complete else INCOMPLETE


async def _copy_object(read_object: ReadObject, output: _LimitedOutput) -> None:
    async for text in read_object.texts():
        output.write(text)
        if output.is_full:
            break
    sys.stdout.flush()


COMMAND = Command(
    run,
    description="Prints the records of the objects under a root to standard output, decoded, "
    "one per line, object by object. The options select objects, not records: the first and "
    "the last objects may also hold older or newer records. A stream's record that several "
    "objects have is printed once. Objects that are damaged, missing or not batcher's "
    "are reported on standard error, and the others are printed. Memory use does not depend "
    "on the number and size of the objects.",
    examples={
        "batcher cat s3://my-bucket/events --since 1h": "print the records of the last hour",
        "batcher cat s3://my-bucket/events --limit 10 \\\n    --partition 'dt=2026-11-23/hour=*'": (
            "print ten records of a day"
        ),
    },
    parameters=[
        *selection_options(),
        Option(
            "--ordered",
            is_flag=True,
            help="print objects in the order of the times in their keys: by the time in the name, "
            "or by hour, shard and sequence number; default: in the order in which they were read",
        ),
        Option("--limit", "N", "stop after N records"),
        Option(
            "--all",
            is_flag=True,
            help="also print the records of a stream that another object has, too",
        ),
        *reader_options("requests and objects"),
    ],
    used_settings=("max_bytes", "budget_bytes"),
    exit_codes={1: "some records could not be printed"},
    permissions="s3:ListBucket on the bucket, and s3:GetObject on the root.",
)
