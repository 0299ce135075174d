"""`batcher write`: write lines of files or standard input into objects."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import click

from batcher.batcher import Batcher
from batcher.batching.quarantine import TRUNCATED_NOTE
from batcher.cli.command import SIGNAL_EXIT_CODES, Arguments, Command
from batcher.cli.dry_run import DryRunStore, describe_dry_run, env_names
from batcher.cli.durable_objects import DurableObjects
from batcher.cli.inputs.bucket_objects import destination_settings
from batcher.cli.inputs.expand_inputs import Expansion, Source, expand_inputs
from batcher.cli.inputs.foreign_formats import unusable_reason
from batcher.cli.inputs.input import S3_SCHEME, ByteInput, RawInput, is_stdin_pipe
from batcher.cli.inputs.lines import Input, InputError, LineBlock, LineReader
from batcher.cli.inputs.object_input import ObjectFeed
from batcher.cli.inputs.skip_to import find_skipped, parse_skip_to
from batcher.cli.options import (
    destination_argument,
    json_option,
    settings_from,
    writer_options,
)
from batcher.cli.output import echo
from batcher.cli.parameters import Argument, Option
from batcher.cli.progress import REFRESH_S, Progress, write_progress
from batcher.cli.signals import ShutdownSignals, exit_on_interrupt, run_in_loop
from batcher.cli.write_summary import MAX_SHOWN, WriteSummary
from batcher.errors import BatcherError, RejectedError, SettingsError
from batcher.reading.sanitize import sanitize
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, LinesColumn, RangeColumn
from batcher.records.numbers import position_numbers
from batcher.settings import Settings
from batcher.stores.location import format_url
from batcher.tools.formatting import format_count, format_size
from batcher.writing.ticket import ManyTicket

COMMAND_LINE_ORIGIN = Origin("cli", NamingScheme.FRESH)


DRAINING_MESSAGE = "writing what was read; repeat after a second to drop it"


_BLANK_LINE = re.compile(rb"\n\s")
"""Finds a line that may be blank, at 2.7 GB/s."""


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    settings: Settings | None = None
    first_name, first_line = "", 1
    inputs = Expansion()
    with faults:
        # The one argument that is given may be an input
        destination = arguments.destination if arguments.inputs else None
        settings = settings_from(arguments, destination, os.environ)
    with faults:
        first_name, first_line = parse_skip_to(arguments.skip_to)
    words = arguments.inputs
    is_word = bool(first_name) and words.count(first_name) == 1
    with faults:
        done = words.index(first_name) if is_word else 0
        inputs = expand_inputs(words, settings, done=done)
    faults.raise_if_any()
    assert settings is not None  # noqa: S101  # else there is a fault
    names = [source.name for source in inputs.sources]
    first_index = find_skipped(first_name, names, inputs.errors)
    if arguments.skip_to:  # it shows if files have come before it since
        skipped = [format_count(first_index, "file")] * bool(first_index)
        skipped += [format_count(first_line - 1, "line")] * (first_line > 1)
        echo(f"continuing at {arguments.skip_to}; not read: {' and '.join(skipped) or 'nothing'}")
    if settings.partition_by and "{" not in settings.partition_by:
        echo(
            f"warning: partition_by: {settings.partition_by!r} has no placeholder, so that all "
            "records go to one folder; did you mean dt={arrival:%Y-%m-%d} or name={field:name}?"
        )
    dry_store = DryRunStore() if arguments.dry_run else None
    summary = WriteSummary(
        format_url(settings.bucket, settings.root),
        given_destination=arguments.destination,
        is_dry_run=arguments.dry_run,
        objects=DurableObjects(settings.partition_by, is_dry_run=arguments.dry_run),
        errors=inputs.errors,
        skipped=inputs.skipped,
        skipped_names=inputs.skipped_names,
    )
    with exit_on_interrupt():  # imports the S3 client
        skip_to = first_index, first_line
        has_buckets = any(word.startswith(S3_SCHEME) for word in words)
        writer_settings = destination_settings(settings) if has_buckets else settings
        batcher = Batcher(writer_settings, store=dry_store)
        command = _WriteCommand(batcher, settings, inputs.sources, skip_to, summary)

    async def write_and_report() -> None:
        with ShutdownSignals(DRAINING_MESSAGE, command.stop) as signals:
            await command.run(signals)
            if command.missing_place:
                return
            if dry_store is not None:
                given = {*arguments.settings, *env_names(os.environ)}
                text = describe_dry_run(dry_store, settings, given)
                if arguments.json:
                    echo(text)
                else:
                    print(sanitize(text))  # noqa: T201  # what a command line is for
            summary.show(as_json=arguments.json)

    run_in_loop(write_and_report())
    if command.missing_place:
        raise SettingsError([f"skip_to: {command.missing_place}; nothing was written"])
    return summary.exit_code


_LOGGER = logging.getLogger("batcher")


class _Submitted(NamedTuple):
    """Lines whose outcome is not collected yet."""

    input_index: int
    block: LineBlock
    ticket: ManyTicket
    refused: Sequence[int]
    """Numbers of the bad lines among them that awaiting the ticket raises for."""


class _WriteCommand:
    """One run of the command: reads lines, submits them and collects the outcome of each."""

    def __init__(
        self,
        batcher: Batcher,
        settings: Settings,
        sources: Sequence[Source],
        skip_to: tuple[int, int],
        summary: WriteSummary,
    ) -> None:
        self._summary = summary
        self._batcher = batcher
        summary.stats = self._batcher.counts
        self._max_line_bytes = min(settings.max_bytes, settings.budget_bytes)
        self._is_json = settings.format == "ndjson"
        self._sources = sources
        self._total_bytes = sum(source.size_bytes or 0 for source in sources[skip_to[0] :])
        self._unknown_sizes = sum(source.size_bytes is None for source in sources[skip_to[0] :])
        self._feed = ObjectFeed(sources, settings, self._add_size)
        self._reader = LineReader(
            [source.name for source in sources],
            self._max_line_bytes,
            expect_json=self._is_json,
            skip_to=skip_to,
            open_input=self._open_input,
        )
        self.missing_place = ""
        """Why there is no line to skip to, or nothing."""
        self._input: Input | None = None
        """The input that is being read."""
        self._rejects = settings.on_bad_record == "fail"
        self._tickets: deque[_Submitted] = deque()
        """Tickets that are not collected yet, oldest first."""
        self._durable_bytes = 0
        self._is_all_read = False

    async def run(self, signals: ShutdownSignals) -> None:
        """Write until the input ends or a signal arrives, then drain and fill in the summary."""
        started_s = time.monotonic()
        progress = write_progress(
            self._batcher.counts,
            lambda: self._reader.read_bytes,
            self._get_total_bytes,
            self._input_figures,
        )
        async with self._feed:
            await self._write(progress, signals)
        await self._collect_settled(wait_for_all=True)
        self._check_usable(None)
        if unread := self._reader.unread_from:
            index, line = unread
            self._summary.unread_from = f"{self._sources[index].name}:{line}"
            self._summary.unread_index = index
            self._summary.unread_inputs = [each.name for each in self._sources[index + 1 :]]
        self._summary.read_bytes = self._reader.read_bytes
        self._summary.seconds = time.monotonic() - started_s

    async def _write(self, progress: Progress, signals: ShutdownSignals) -> None:
        """Read and write with a display of progress."""
        with progress:
            refreshing = asyncio.create_task(self._refresh(progress))
            try:
                await self._read_inputs()
                self._is_all_read = True
                progress.update("draining")
                await self._drain()
            except asyncio.CancelledError:
                self._summary.errors.append(
                    "stopped by a second signal: what was not durable was dropped; a request that "
                    "was under way may have been carried out, so that its lines come twice"
                )
                self._reader.close()
                await self._batcher.abort()
            finally:
                signals.disable_cancel()
                refreshing.cancel()
                with suppress(asyncio.CancelledError, OSError):  # the terminal may be closed
                    await refreshing

    async def _read_inputs(self) -> None:
        """Read all inputs. An input that cannot be read to its end does not stop the others."""
        while True:
            try:
                await self._submit_blocks()
            except InputError as error:
                # A signal often ends the producer as well, in the middle of its stream
                if self._summary.signal and error.is_truncated:
                    continue
                if error.is_before_start:
                    self.missing_place = str(error)
                    continue
                self._summary.errors.append(str(error))
                index, line = error.place
                if self._reader.unread_from != error.place:
                    self._summary.unreadable.append(f"{self._sources[index].name}:{line}")
            else:
                return

    async def _submit_blocks(self) -> None:
        """Submit block after block, waiting while the budget is used up."""
        async for block in self._reader:
            if block.input is not self._input:
                self._check_usable(block.input)
            chunk, bad_records = _make_chunk(block, skip_blank=self._is_json)
            records = len(chunk) + len(bad_records)
            self._summary.blank_lines += block.lines - records
            if not records:
                self._durable_bytes += block.stored_bytes
                continue
            ticket = await self._batcher.submit_chunk(chunk, bad_records)
            block.input.usable_lines += records - len(ticket.bad)
            block.input.bad_lines += len(ticket.bad)
            self._summary.bad_lines += len(ticket.bad)
            self._summary.bad_examples += ticket.bad[: MAX_SHOWN - len(self._summary.bad_examples)]
            refused: Sequence[int] = ()
            if self._rejects and ticket.bad:
                numbers = [position_numbers(bad.chunk.positions, "")[0] for bad in ticket.bad]
                refused = sorted(numbers)
            ticket.bad = []  # releases them: a file of bad lines would fill the memory
            index, _ = self._reader.unread_from or (len(self._sources), 1)
            self._tickets.append(_Submitted(index, replace(block, text=b""), ticket, refused))
            await self._collect_settled()

    async def _refresh(self, progress: Progress) -> None:
        """Update the display for ever, also while nothing is read."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._collect_settled()
            progress.update()

    async def _drain(self) -> None:
        """Write open batches. Errors are reported per line, by the tickets."""
        draining = asyncio.ensure_future(self._batcher.aclose())
        try:
            await asyncio.wait([draining])
        except asyncio.CancelledError:
            await self._batcher.abort()  # a cancelled drain would log how programs avoid it
            await asyncio.wait([draining])
            raise
        finally:
            if draining.done() and not draining.cancelled():
                draining.exception()  # retrieved, so that asyncio does not log it: tickets do

    async def _collect_settled(self, *, wait_for_all: bool = False) -> None:
        """Collect settled tickets, oldest first, and add the lines that failed to the summary.

        Args:
            wait_for_all: wait until all tickets are settled, instead of stopping at the first that
                is not.
        """
        failed_lines = self._summary.failed_lines
        while self._tickets and (wait_for_all or self._tickets[0].ticket.is_settled):
            index, block, ticket, refused = self._tickets.popleft()
            try:
                self._summary.objects.add(await ticket)
                self._durable_bytes += block.stored_bytes
                failed_lines.add_done(index, block)
            except BatcherError as error:
                self._summary.objects.add(error.receipts or ())
                failed_lines.add_failed(index, block, error, refused, records=ticket.records)
                if isinstance(error, RejectedError):
                    self._reader.close()  # further lines would be rejected as well

    def _check_usable(self, following: Input | None) -> None:
        """Add an error if the input that was read has lines, and none of them was usable.

        Args:
            following: the input that is read from now on, or None after the last one.
        """
        each, self._input = self._input, following
        if each is not None:
            lines = format_count(each.usable_lines + each.bad_lines, "line")
            _LOGGER.info("read: %s, %s", each.name, lines)
        if following is not None:
            _LOGGER.info("reading: %s", following.name)
        if each is not None and each.bad_lines and not each.usable_lines:
            reason = (
                unusable_reason(each.name, each.start, each.suffix)
                if self._is_json
                else "see the warnings"
            )
            one = each.bad_lines == 1
            lines = "its only line is not" if one else f"none of {each.bad_lines:,} lines is"
            self._summary.errors.append(f"{each.name}: {lines} usable: {reason}")

    def _open_input(
        self, index: int, is_stopped: Callable[[], bool], on_read: Callable[[int], None]
    ) -> ByteInput:
        """Open an input, in the reading thread."""
        source = self._sources[index]
        if source.bucket:
            return self._feed.open(index, is_stopped, on_read)
        return RawInput(source.name, is_stopped, on_read)

    def _add_size(self, size_bytes: int) -> None:
        """Add the size of an object that was not known before."""
        self._total_bytes += size_bytes
        self._unknown_sizes -= 1

    def _input_figures(self) -> list[str]:
        """Return the bytes of input whose records are durable, and which input is read."""
        figures = [f"{format_size(self._durable_bytes)} durable"]
        if (inputs := len(self._sources)) > 1:
            index = inputs if self._reader.unread_from is None else self._reader.unread_from[0] + 1
            figures.append(f"file {index:,} of {inputs:,}")
        return figures

    def _get_total_bytes(self) -> int | None:
        """Return the size of all inputs, or None if the share that is read says nothing.

        Once all is read, 100% would look as if all was durable.
        """
        return None if self._unknown_sizes or self._is_all_read else self._total_bytes

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


class _Inputs(Argument):
    """The inputs. With one argument alone it is the destination that was forgotten."""

    def find_faults(self, value: object, *, check_needed: bool) -> list[str]:
        """See `Argument.find_faults`."""
        context = click.get_current_context(silent=True)
        given = context.params.get("destination") if context else None
        if value or not check_needed or given is None:
            return super().find_faults(value, check_needed=check_needed)
        quoted = shlex.quote(given)
        hint = f"batcher write {quoted} DESTINATION"
        if is_stdin_pipe():
            hint = f"batcher write - {quoted} for standard input, or {hint}"
        return [f"DESTINATION: missing, as only one argument is given; write {hint}"]


COMMAND = Command(
    run,
    description="Writes lines of files, folders, objects of S3 or standard input (plain, gzip or "
    "zstd) into few large objects. Folders and s3:// prefixes that end with a slash are read with "
    "all that is below them, in the order of names, except names that start with '.' or '_'. "
    "Blank lines are skipped. Bad lines are quarantined and reported; with --on-bad-record fail "
    "the good lines beside them are written as well. Writing an input again writes its records "
    "again, under fresh keys. Ctrl-C and "
    "other signals that would end the command stop reading and write what was read; Ctrl-C, "
    "SIGTERM or SIGQUIT after a second or more drops it. Where reading stopped "
    "before the end is printed, and --skip-to continues there. If lines are not durable, the "
    "commands that write them are printed.",
    examples={
        "batcher write events.ndjson.gz s3://my-bucket/events": "write the lines of a file",
        "batcher write 's3://logs/2026-*' s3://my-bucket/events": (
            "write the lines of all objects that match"
        ),
        "my-program | batcher write - s3://my-bucket/logs \\\n    --format lines --linger-s 30": (
            "write lines as they are, as they come"
        ),
    },
    parameters=[
        _Inputs(
            "inputs",
            metavar="INPUT...",
            description="a file, a folder, s3://bucket/key, s3://bucket/prefix/, a pattern such as "
            "'logs/**/*.gz' or 's3://bucket/*.gz', or - for standard input; one or more. * matches "
            "within a folder, ** folders of any depth",
            nargs=-1,
            completes="file",
        ),
        destination_argument(),
        Option(
            "--skip-to",
            metavar="FILE:LINE",
            completes="file",
            help="continue a run that stopped reading there: skip the files before FILE and the "
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
    | {
        1: "some records are not durable, also because a second Ctrl-C dropped them, or no line of "
        "an input was usable"
    },
    permissions="s3:PutObject and s3:GetObject on the root, s3:AbortMultipartUpload for large "
    "objects. Inputs of S3 need s3:GetObject, prefixes and patterns s3:ListBucket as well.",
)
