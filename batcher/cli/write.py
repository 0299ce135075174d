"""`batcher write`: lines of files or standard input into objects."""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from batcher.batcher import Batcher
from batcher.batching.quarantine import TRUNCATED_NOTE
from batcher.cli.dry_run import DryRunStore, print_dry_run
from batcher.cli.input import STDIN, STDIN_CLOSED, is_stdin_closed
from batcher.cli.lines import InputError, LineBlock, LineReader
from batcher.cli.options import FaultCollector, add_setting_options, settings_from
from batcher.cli.output import DONE, NOT_DURABLE, Progress, echo, write_progress
from batcher.cli.signals import SIGNAL_EXIT_BASE, ShutdownSignals, exit_on_interrupt
from batcher.errors import BatcherError, PoisonRecordError, RejectedError, SettingsError
from batcher.keys.names import Format
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, LinesColumn, RangeColumn
from batcher.settings import Settings
from batcher.tools.formatting import format_size
from batcher.writing.stats import Stats
from batcher.writing.ticket import ManyTicket

COMMAND_LINE_ORIGIN = Origin("cli", NamingScheme.FRESH)


MAX_SHOWN = 10
"""Bad lines, and failures, that are named one by one."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "write",
        help="write lines of files or standard input into objects",
        description="Writes lines of files or standard input (plain, gzip or zstd) into few, "
        "large objects. Bad lines are quarantined, named and counted. Ctrl-C stops reading and "
        "writes what was read; a second one drops it.",
    )
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument("destination", help="s3://bucket/root or file://folder")
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    parser.add_argument(
        "--dry-run", action="store_true", help="read and check, write nothing, show the plan"
    )
    add_setting_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = FaultCollector()
    with faults:
        settings = settings_from(arguments, arguments.destination, os.environ)
    with faults:
        total_bytes = _total_input_bytes(arguments.inputs)
    faults.raise_if_any()
    dry_store = DryRunStore() if arguments.dry_run else None
    report = WriteSummary(arguments.destination)
    with exit_on_interrupt():  # it imports the client
        command = _WriteCommand(settings, arguments.inputs, report, dry_store)
    with asyncio.Runner() as runner:
        runner.run(command.run(total_bytes))
    if dry_store is not None:
        file = sys.stderr if arguments.json else sys.stdout
        print_dry_run(dry_store, settings, arguments.destination, file)
    report.show(as_json=arguments.json)
    return report.exit_code


@dataclass(slots=True)
class WriteSummary:
    """What is told at the end."""

    destination: str
    counts: Stats = field(default_factory=Stats)
    seconds: float = 0.0
    signal: int = 0
    bad_examples: list[BadRecord] = field(default_factory=list)
    """The first bad lines."""
    bad_lines: int = 0
    errors: list[str] = field(default_factory=list)
    failed_lines: list[tuple[RangeColumn, str]] = field(default_factory=list)
    """Lines that are not durable, and why."""

    def add_failed_lines(self, lines: RangeColumn, why: str) -> None:
        """Note lines; those that go on from the last ones, for the same cause, become one entry."""
        if self.failed_lines:
            last, cause = self.failed_lines[-1]
            if cause == why and (joined := last.join(lines)) is not None:
                self.failed_lines[-1] = (joined, why)
                return
        self.failed_lines.append((lines, why))

    @property
    def failed(self) -> int:
        """Lines that are not durable anywhere."""
        return self.counts.failed + self.counts.rejected

    @property
    def exit_code(self) -> int:
        """What the shell gets."""
        if self.failed or self.errors or self.failed_lines:
            return NOT_DURABLE
        return SIGNAL_EXIT_BASE + self.signal if self.signal else DONE

    def show(self, *, as_json: bool) -> None:
        """Print warnings and the summary to standard error, JSON to standard output."""
        errors = [*self.errors, *(f"{n}: not durable: {why}" for n, why in self.failed_lines)]
        for error in errors[:MAX_SHOWN]:
            echo(f"error: {error}")
        if len(errors) > MAX_SHOWN:
            echo(f"error: and {len(errors) - MAX_SHOWN} more")
        for bad in self.bad_examples:
            echo(f"warning: {bad.position}: {bad.reason}: {bad.detail}")
        counts, failed = self.counts, self.failed
        if more := self.bad_lines - len(self.bad_examples):
            went = [
                (counts.quarantined, "are in _quarantine/"),
                (counts.dropped, "were dropped"),
                (counts.rejected, "were refused"),
            ]
            told = ", ".join(f"{lines:,} {what}" for lines, what in went if lines)
            echo(f"warning: and {more:,} more" + (f"; {told}" if told else ""))
        if as_json:
            names = ("records", "objects", "bytes_in", "bytes_out", "quarantined")
            line = {name: getattr(counts, name) for name in names}
            line["failed"] = failed
            if counts.dropped:
                line["dropped"] = counts.dropped
            line["seconds"] = round(self.seconds, 3)
            print(orjson.dumps(line).decode())  # noqa: T201
            return
        seconds = max(self.seconds, 1e-9)
        echo(
            f"{counts.records:,} records in {counts.objects:,} objects under {self.destination}; "
            f"{format_size(counts.bytes_in)} in, {format_size(counts.bytes_out)} out, "
            f"{counts.quarantined:,} quarantined, {counts.dropped:,} dropped, {failed:,} failed; "
            f"{self.seconds:.1f} s, "
            f"{counts.records / seconds:,.0f} records/s, {format_size(counts.bytes_in / seconds)}/s"
        )


class _WriteCommand:
    """One run of the command: reads, submits, and hears what became of every line."""

    def __init__(
        self,
        settings: Settings,
        inputs: Sequence[str],
        summary: WriteSummary,
        dry_store: DryRunStore | None,
    ) -> None:
        self._summary = summary
        self._batcher = Batcher(settings, store=dry_store)
        summary.counts = self._batcher.counts
        self._max_line_bytes = min(settings.max_bytes, settings.budget_bytes)
        is_json = settings.format == Format.NDJSON
        self._reader = LineReader(inputs, self._max_line_bytes, expect_json=is_json)
        self._tickets: deque[tuple[RangeColumn, ManyTicket]] = deque()

    async def run(self, total_bytes: int | None) -> None:
        """Write until the input ends or a signal comes; then drain, and fill in the report."""
        signals = ShutdownSignals("writing what was read; once more to drop it", self._stop_reading)
        started_s = time.monotonic()
        with write_progress(
            self._batcher.counts, lambda: self._reader.read_bytes, total_bytes
        ) as bar:
            try:
                await self._read_inputs(bar)
                bar.update("draining")
                await self._drain(bar)
            except asyncio.CancelledError:
                self._summary.errors.append("stopped by a second signal: dropped what was open")
                await self._batcher.abort()
            finally:
                signals.disable_cancel()
        await self._collect_settled(wait_for_all=True)
        self._summary.seconds = time.monotonic() - started_s

    async def _read_inputs(self, bar: Progress) -> None:
        """Read all inputs; one that cannot be read to its end does not keep the others back."""
        while True:
            try:
                await self._submit_blocks(bar)
            except InputError as error:
                self._summary.errors.append(str(error))
            else:
                return

    async def _submit_blocks(self, bar: Progress) -> None:
        """Submit block after block, as room comes."""
        async for block in self._reader:
            run, bad = _make_chunk(block)
            ticket = await self._batcher.submit_run(run, bad)
            self._summary.bad_lines += len(ticket.bad)
            self._summary.bad_examples += ticket.bad[: MAX_SHOWN - len(self._summary.bad_examples)]
            ticket.bad = ()  # or a file of bad lines would be held whole
            self._tickets.append((_line_positions(block), ticket))
            await self._collect_settled()
            bar.update()

    async def _drain(self, bar: Progress) -> None:
        """Write what is open; failures are told line by line, by the tickets."""
        draining = asyncio.ensure_future(self._batcher.aclose())
        try:
            while not draining.done():
                await asyncio.wait([draining], timeout=0.2)
                bar.update()
        except asyncio.CancelledError:
            draining.cancel()
            await asyncio.wait([draining])
            raise
        if not draining.cancelled():
            draining.exception()  # heard: the tickets tell which lines it was

    async def _collect_settled(self, *, wait_for_all: bool = False) -> None:
        """Wait for tickets that are settled, oldest first, and note which lines failed."""
        while self._tickets and (wait_for_all or self._tickets[0][1].is_settled):
            lines, ticket = self._tickets.popleft()
            try:
                await ticket
            except PoisonRecordError as error:
                self._summary.errors.append(str(error))
            except BatcherError as error:
                self._summary.add_failed_lines(lines, str(error))
                if isinstance(error, RejectedError):
                    self._reader.stop()  # it would go on like this

    def _stop_reading(self, number: int) -> None:
        """Stop reading, for a signal."""
        self._summary.signal = number
        self._reader.stop()


def _make_chunk(block: LineBlock) -> tuple[Chunk, list[BadRecord]]:
    """Make a run of a block's lines; one that was too long to be held is bad."""
    arrivals_s = ConstantColumn(time.time(), block.lines)
    payloads = LinesColumn(block.text, block.lines)
    run = Chunk(COMMAND_LINE_ORIGIN, payloads, _line_positions(block), arrivals_s)
    if not block.oversized_line_bytes:
        return run, []
    detail = f"a line of {block.oversized_line_bytes} bytes; {TRUNCATED_NOTE}"
    return run.take([]), [BadRecord(run, BadRecordReason.TOO_LARGE, detail)]


def _line_positions(block: LineBlock) -> RangeColumn:
    numbers = range(block.first_line, block.first_line + block.lines)
    return RangeColumn(f"{block.name}:", numbers)


def _total_input_bytes(inputs: Sequence[str]) -> int | None:
    """Add the inputs up, or give None where one has no size.

    Raises:
        SettingsError: an input cannot be read, so nothing is written.
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
            is_stream = stat.S_ISFIFO(path.stat().st_mode)  # opened twice, it would lose lines
            if not is_stream:
                path.open("rb").close()
        except OSError as error:
            faults.append(f"input {name}: {error.strerror}")
            continue
        if total_bytes is not None:
            total_bytes = total_bytes + path.stat().st_size if path.is_file() else None
    if faults:
        raise SettingsError(faults)
    return total_bytes
