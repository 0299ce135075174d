"""`batcher cat`: the records under a root, across all salts, decoded, to standard output."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from batcher.cli.options import (
    FaultCollector,
    FindingPrinter,
    add_selection_options,
    selection_from,
    settings_from,
)
from batcher.cli.output import DONE, INCOMPLETE
from batcher.errors import BatcherError, SettingsError
from batcher.reading.read_objects import ReadObject, ReadObjects
from batcher.reading.selection import Selection
from batcher.settings import Settings
from batcher.stores import open_reader


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "cat",
        help="write records back to standard output, across all salts",
        description="Writes the records of all objects under a root, or of those chosen, to "
        "standard output, decoded, each with its newline; object by object, several being read "
        "ahead. Objects are chosen, not records: those at the edges may hold some that are older "
        "or newer. A stream's object whose records all stand in another one is left out. Objects "
        "that are damaged, gone or not batcher's are named on standard error, and the others are "
        "given. Memory stays flat, however many and large the objects are. docs/reading.md says "
        "what the times and the order are.",
        epilog="Exit: 0 done, 1 something is missing, 2 wrong usage or settings, 130 stopped by "
        "Ctrl-C, 141 nobody reads any more. Needs s3:ListBucket on the bucket, and s3:GetObject "
        "on the root.",
    )
    add_selection_options(parser)
    parser.add_argument(
        "--ordered",
        action="store_true",
        help="in the order of time, as far as keys tell it: by the time in the name, or by hour, "
        "then shard and sequence number; else objects come as they are read",
    )
    parser.add_argument("--limit", metavar="N", help="stop after so many records")
    parser.add_argument(
        "--all",
        action="store_true",
        help="give a stream's objects also where their records stand in another one; nothing is "
        "compared then",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = FaultCollector()
    with faults:
        settings = settings_from(arguments, arguments.place, os.environ)
    with faults:
        selection = selection_from(arguments)
    with faults:
        output = _LimitedOutput(_parse_limit(arguments.limit))
    faults.raise_if_any()
    return asyncio.run(_write_records(arguments, settings, selection, output))


def _parse_limit(text: str | None) -> int | None:
    """Read a number of records.

    Raises:
        SettingsError: it is none.
    """
    if text is None:
        return None
    if not (text.isdecimal() and text.isascii()):
        fault = f"limit: {text!r} is no number of records"
        raise SettingsError([fault])
    return int(text)


class _LimitedOutput:
    """Standard output, and how many records it still takes."""

    def __init__(self, limit: int | None) -> None:
        self._remaining = limit

    @property
    def is_full(self) -> bool:
        return self._remaining is not None and self._remaining <= 0

    def write(self, text: bytes) -> None:
        """Write whole lines, up to the limit."""
        if self._remaining is not None:
            if (records := text.count(b"\n")) > self._remaining:
                text = b"".join(b"%b\n" % line for line in text.split(b"\n", self._remaining)[:-1])
            self._remaining -= records
        rest = memoryview(text)
        while rest:  # with PYTHONUNBUFFERED a signal can end a write before its end
            rest = rest[sys.stdout.buffer.write(rest) :]


async def _write_records(
    arguments: argparse.Namespace, settings: Settings, selection: Selection, output: _LimitedOutput
) -> int:
    told = FindingPrinter()
    count = 0
    reading = ReadObjects(
        open_reader(settings),
        settings,
        selection,
        ordered=arguments.ordered,
        covered=arguments.all,
        max_line_bytes=settings.max_bytes,
        on_finding=told.print_finding,
    )
    async with reading as objects:
        async for found in objects:
            count += 1
            try:
                await _copy_object(found, output)
            except BatcherError as error:
                told.print_error(error)
            if output.is_full:
                break
    told.print_summary(arguments.place, count)
    return DONE if told.is_complete else INCOMPLETE


async def _copy_object(found: ReadObject, output: _LimitedOutput) -> None:
    async for text in found.texts():
        output.write(text)
        if output.is_full:
            break
    sys.stdout.flush()
