"""`batcher write`: write lines of files or standard input into objects."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from batcher.batcher import Batcher
from batcher.batching.quarantine import TRUNCATED_NOTE
from batcher.cli.command import SIGNAL_EXIT_CODES, Arguments, Command
from batcher.cli.dry_run import DryRunStore, print_dry_run
from batcher.cli.foreign_formats import unusable_reason
from batcher.cli.input import STDIN, STDIN_CLOSED, is_stdin_closed
from batcher.cli.lines import InputError, LineBlock, LineReader
from batcher.cli.options import (
    destination_argument,
    json_option,
    settings_from,
    writer_options,
)
from batcher.cli.parameters import Argument, Option
from batcher.cli.progress import Progress, write_progress
from batcher.cli.signals import ShutdownSignals, exit_on_interrupt
from batcher.cli.write_summary import MAX_SHOWN, WriteSummary
from batcher.errors import BatcherError, PoisonRecordError, RejectedError, SettingsError
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, LinesColumn, RangeColumn
from batcher.records.numbers import RecordNumbers
from batcher.settings import Settings
from batcher.stores.location import format_url
from batcher.tools.formatting import format_count
from batcher.writing.ticket import ManyTicket

COMMAND_LINE_ORIGIN = Origin("cli", NamingScheme.FRESH)


DRAINING_MESSAGE = "writing what was read; repeat after a second to drop it"


_BLANK_LINE = re.compile(rb"\n\s")
"""Finds a line that may be blank, at 2.7 GB/s."""


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    with faults:
        settings = settings_from(arguments, arguments.destination, os.environ)
    skip_to = 0, 1
    with faults:
        if arguments.inputs:  # without any, that is the fault
            skip_to = _parse_skip_to(arguments.skip_to, arguments.inputs)
    with faults:
        total_bytes = _total_input_bytes(arguments.inputs[skip_to[0] :])
    faults.raise_if_any()
    dry_store = DryRunStore() if arguments.dry_run else None
    summary = WriteSummary(format_url(settings.bucket, settings.root))
    with exit_on_interrupt():  # imports the S3 client
        command = _WriteCommand(settings, arguments.inputs, skip_to, summary, dry_store)
    with ShutdownSignals(DRAINING_MESSAGE, command.stop) as signals:
        with asyncio.Runner() as runner:
            runner.run(command.run(total_bytes, signals))
        if dry_store is not None:
            file = sys.stderr if arguments.json else sys.stdout
            print_dry_run(dry_store, settings, summary.destination, file)
        summary.show(as_json=arguments.json)
    return summary.exit_code


class _WriteCommand:
    """One run of the command: reads lines, submits them and collects the outcome of each."""

    def __init__(
        self,
        settings: Settings,
        inputs: Sequence[str],
        skip_to: tuple[int, int],
        summary: WriteSummary,
        dry_store: DryRunStore | None,
    ) -> None:
        self._summary = summary
        self._batcher = Batcher(settings, store=dry_store)
        summary.stats = self._batcher.counts
        self._max_line_bytes = min(settings.max_bytes, settings.budget_bytes)
        self._is_json = settings.format == "ndjson"
        self._reader = LineReader(
            inputs, self._max_line_bytes, expect_json=self._is_json, skip_to=skip_to
        )
        self._tickets: deque[tuple[str, ManyTicket]] = deque()
        """Tickets that are not collected yet, oldest first, with the prefix of their positions."""

    async def run(self, total_bytes: int | None, signals: ShutdownSignals) -> None:
        """Write until the input ends or a signal arrives, then drain and fill in the summary."""
        signals.attach()
        started_s = time.monotonic()
        with write_progress(
            self._batcher.counts, lambda: self._reader.read_bytes, total_bytes
        ) as progress:
            try:
                await self._read_inputs(progress)
                progress.update("draining")
                await self._drain(progress)
            except asyncio.CancelledError:
                self._summary.errors.append("stopped by a second signal; open batches were dropped")
                self._reader.close()
                await self._batcher.abort()
            finally:
                signals.disable_cancel()
        await self._collect_settled(wait_for_all=True)
        self._add_unusable_inputs()
        if unread := self._reader.unread_from:
            source, line = unread
            self._summary.unread_from = f"{source.name}:{line}"
            self._summary.unread_inputs = [each.name for each in self._reader.unread_inputs]
        self._summary.seconds = time.monotonic() - started_s

    async def _read_inputs(self, progress: Progress) -> None:
        """Read all inputs. An input that cannot be read to its end does not stop the others."""
        while True:
            try:
                await self._submit_blocks(progress)
            except InputError as error:
                # A signal often ends the producer as well, in the middle of its stream
                if not (self._summary.signal and error.is_truncated):
                    self._summary.errors.append(str(error))
            else:
                return

    async def _submit_blocks(self, progress: Progress) -> None:
        """Submit block after block, waiting while the budget is used up."""
        async for block in self._reader:
            chunk, bad_records = _make_chunk(block, skip_blank=self._is_json)
            records = len(chunk) + len(bad_records)
            self._summary.blank_lines += block.lines - records
            if not records:
                continue
            ticket = await self._batcher.submit_chunk(chunk, bad_records)
            block.input.usable_lines += records - len(ticket.bad)
            block.input.bad_lines += len(ticket.bad)
            self._summary.bad_lines += len(ticket.bad)
            self._summary.bad_examples += ticket.bad[: MAX_SHOWN - len(self._summary.bad_examples)]
            ticket.bad = []  # releases them: a file of bad lines would fill the memory
            self._tickets.append((f"{block.input.name}:", ticket))
            await self._collect_settled()
            progress.update()

    async def _drain(self, progress: Progress) -> None:
        """Write open batches. Errors are reported per line, by the tickets."""
        draining = asyncio.ensure_future(self._batcher.aclose())
        try:
            while not draining.done():
                await asyncio.wait([draining], timeout=0.2)
                progress.update()
        except asyncio.CancelledError:
            draining.cancel()
            await asyncio.wait([draining])
            raise
        if not draining.cancelled():
            draining.exception()  # retrieved, so that asyncio does not log it: tickets report it

    async def _collect_settled(self, *, wait_for_all: bool = False) -> None:
        """Collect settled tickets, oldest first, and add the lines that failed to the summary.

        Args:
            wait_for_all: wait until all tickets are settled, instead of stopping at the first that
                is not.
        """
        while self._tickets and (wait_for_all or self._tickets[0][1].is_settled):
            prefix, ticket = self._tickets.popleft()
            try:
                await ticket
            except PoisonRecordError as error:
                self._summary.errors.append(str(error))
            except BatcherError as error:
                for numbers in RecordNumbers([error.failed or ()]).ranges():
                    self._summary.add_failed_lines(RangeColumn(prefix, numbers), str(error))
                if isinstance(error, RejectedError):
                    self._reader.close()  # further lines would be rejected as well

    def _add_unusable_inputs(self) -> None:
        """Add an error for each input with lines of which none was usable."""
        for each in self._reader.inputs:
            if each.bad_lines and not each.usable_lines:
                reason = (
                    unusable_reason(each.name, each.start, each.suffix)
                    if self._is_json
                    else "see the warnings"
                )
                lines = format_count(each.bad_lines, "line")
                self._summary.errors.append(f"{each.name}: none of {lines} is usable: {reason}")

    def stop(self, number: int) -> None:
        """Stop reading, because of signal `number`."""
        self._summary.signal = number
        self._reader.stop()


def _make_chunk(block: LineBlock, *, skip_blank: bool) -> tuple[Chunk, list[BadRecord]]:
    """Create a chunk of a block's lines, or a bad record of a line that is too long.

    Args:
        block: lines of one input.
        skip_blank: whether to leave blank lines out.
    """
    arrivals_s = ConstantColumn(time.time(), block.lines)
    payloads = LinesColumn(block.text, block.lines)
    chunk = Chunk(COMMAND_LINE_ORIGIN, payloads, _line_positions(block), arrivals_s)
    if block.oversized_line_bytes:
        detail = f"a line of {block.oversized_line_bytes} bytes; {TRUNCATED_NOTE}"
        return chunk.take([]), [BadRecord(chunk, BadRecordReason.TOO_LARGE, detail)]
    if skip_blank and (block.text[:1].isspace() or _BLANK_LINE.search(block.text)):
        kept = [index for index, line in enumerate(payloads) if line and not line.isspace()]
        if len(kept) < block.lines:
            chunk = chunk.take(kept)
    return chunk, []


def _line_positions(block: LineBlock) -> RangeColumn:
    numbers = range(block.first_line, block.first_line + block.lines)
    return RangeColumn(f"{block.input.name}:", numbers)


def _total_input_bytes(inputs: Sequence[str]) -> int | None:
    """Return the size of all inputs, or None if the size of one is unknown.

    Raises:
        SettingsError: an input cannot be opened. Nothing has been written.
    """
    faults: list[str] = []
    total_bytes: int | None = 0
    for name in inputs:
        if name == STDIN:
            total_bytes = None
            if is_stdin_closed():
                faults.append(f"input {name}: {STDIN_CLOSED}")
            continue
        path = Path(name)
        try:
            # A named pipe that is opened twice loses lines
            if not stat.S_ISFIFO(path.stat().st_mode):
                path.open("rb").close()
        except OSError as error:
            faults.append(f"input {name}: {error.strerror}")
            continue
        if total_bytes is not None:
            total_bytes = total_bytes + path.stat().st_size if path.is_file() else None
    if faults:
        raise SettingsError(faults)
    return total_bytes


def _parse_skip_to(text: str | None, inputs: Sequence[str]) -> tuple[int, int]:
    """Parse the value of `--skip-to` into the index of an input and the number of a line.

    Raises:
        SettingsError: it names no input or no line, or an input that is given more than once.
    """
    if text is None:
        return 0, 1
    name, _, line = text.rpartition(":")
    problem = ""
    if not (line.isdecimal() and line.isascii() and int(line)):
        problem = "is not FILE:LINE with a line from 1"
    elif name not in inputs:
        problem = f"names none of the inputs: {', '.join(inputs[:MAX_SHOWN])}"
    elif inputs.count(name) > 1:
        problem = f"is ambiguous: {name} is given {inputs.count(name)} times; leave out those done"
    if problem:
        fault = f"skip_to: {text!r} {problem}"
        raise SettingsError([fault])
    return inputs.index(name), int(line)


COMMAND = Command(
    run,
    description="Writes lines of files or standard input (plain, gzip or zstd) into few large "
    "objects. Blank lines are skipped. Bad lines are quarantined and reported. Ctrl-C and "
    "other signals that would end the command stop reading and write what was read; Ctrl-C, "
    "SIGTERM or SIGQUIT after a second or more drops it. Where reading stopped "
    "before the end is printed, and --skip-to continues there.",
    examples={
        "batcher write events.ndjson.gz s3://my-bucket/events": "write the lines of a file",
        "my-program | batcher write - s3://my-bucket/logs \\\n    --format lines --linger-s 30": (
            "write lines as they are, as they come"
        ),
    },
    parameters=[
        Argument(
            "inputs",
            metavar="FILE...",
            description="a file, or - for standard input; one or more",
            nargs=-1,
            completes="file",
        ),
        destination_argument(),
        Option(
            "--skip-to",
            metavar="FILE:LINE",
            completes="file",
            help="continue a run that stopped reading there: skip the inputs before FILE and the "
            "lines before LINE; pass the same inputs again",
        ),
        json_option("one line of JSON at the end"),
        Option(
            "--dry-run",
            is_flag=True,
            help="read and check the input, write nothing, print what would be written",
        ),
        *writer_options(),
    ],
    exit_codes=SIGNAL_EXIT_CODES
    | {1: "some records are not durable, or no line of an input was usable"},
    permissions="s3:PutObject and s3:GetObject on the root, s3:AbortMultipartUpload for large "
    "objects.",
)
