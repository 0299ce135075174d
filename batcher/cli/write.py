"""`batcher write`: write lines of files or standard input into objects."""

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
from batcher.keys.object_format import Format
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, LinesColumn, RangeColumn
from batcher.settings import Settings
from batcher.tools.formatting import format_count, format_size
from batcher.writing.stats import Stats
from batcher.writing.ticket import ManyTicket

COMMAND_LINE_ORIGIN = Origin("cli", NamingScheme.FRESH)


MAX_SHOWN = 10
"""Bad lines and errors that are printed one by one, at most."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "write",
        help="write lines of files or standard input into objects",
        description="Writes lines of files or standard input (plain, gzip or zstd) into few large "
        "objects. Bad lines are quarantined and reported. Ctrl-C stops reading and writes what "
        "was read; a second Ctrl-C drops it.",
    )
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument("destination", help="s3://bucket/root or file://folder")
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read and check the input, write nothing, print what would be written",
    )
    add_setting_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    faults = FaultCollector()
    with faults:
        settings = settings_from(arguments, arguments.destination, os.environ)
    with faults:
        total_bytes = _total_input_bytes(arguments.inputs)
    faults.raise_if_any()
    dry_store = DryRunStore() if arguments.dry_run else None
    summary = WriteSummary(arguments.destination)
    with exit_on_interrupt():  # imports the S3 client
        command = _WriteCommand(settings, arguments.inputs, summary, dry_store)
    with asyncio.Runner() as runner:
        runner.run(command.run(total_bytes))
    if dry_store is not None:
        file = sys.stderr if arguments.json else sys.stdout
        print_dry_run(dry_store, settings, arguments.destination, file)
    summary.show(as_json=arguments.json)
    return summary.exit_code


@dataclass(slots=True)
class WriteSummary:
    """The result of a run, as it is printed at the end."""

    destination: str
    stats: Stats = field(default_factory=Stats)
    seconds: float = 0.0
    signal: int = 0
    """Number of the first signal received, or 0."""
    bad_examples: list[BadRecord] = field(default_factory=list)
    """The first `MAX_SHOWN` bad lines."""
    bad_lines: int = 0
    errors: list[str] = field(default_factory=list)
    failed_lines: list[tuple[RangeColumn, str]] = field(default_factory=list)
    """Ranges of lines that are not durable, each with the reason."""

    def add_failed_lines(self, lines: RangeColumn, reason: str) -> None:
        """Add lines that are not durable, joined to the last range if they continue it."""
        if self.failed_lines:
            last_lines, last_reason = self.failed_lines[-1]
            if last_reason == reason and (joined := last_lines.join(lines)) is not None:
                self.failed_lines[-1] = (joined, reason)
                return
        self.failed_lines.append((lines, reason))

    @property
    def failed(self) -> int:
        """Number of lines that are not durable, neither as data nor in quarantine."""
        return self.stats.failed + self.stats.rejected

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        if self.failed or self.errors or self.failed_lines:
            return NOT_DURABLE
        return SIGNAL_EXIT_BASE + self.signal if self.signal else DONE

    def show(self, *, as_json: bool) -> None:
        """Print warnings and the summary to standard error, JSON to standard output."""
        self._print_errors()
        self._print_bad_lines()
        if as_json:
            print(orjson.dumps(self._as_dict()).decode())  # noqa: T201  # what it is for
            return
        stats = self.stats
        seconds = max(self.seconds, 1e-9)
        echo(
            f"{format_count(stats.records, 'record')} in {format_count(stats.objects, 'object')} "
            f"under {self.destination}; "
            f"{format_size(stats.bytes_in)} in, {format_size(stats.bytes_out)} out, "
            f"{stats.quarantined:,} quarantined, {stats.dropped:,} dropped, "
            f"{self.failed:,} failed; {self.seconds:.1f} s, "
            f"{stats.records / seconds:,.0f} records/s, {format_size(stats.bytes_in / seconds)}/s"
        )

    def _print_errors(self) -> None:
        failures = (f"{lines}: not durable: {reason}" for lines, reason in self.failed_lines)
        errors = [*self.errors, *failures]
        for error in errors[:MAX_SHOWN]:
            echo(f"error: {error}")
        if len(errors) > MAX_SHOWN:
            echo(f"error: and {len(errors) - MAX_SHOWN} more")

    def _print_bad_lines(self) -> None:
        for bad in self.bad_examples:
            echo(f"warning: {bad.position}: {bad.reason}: {bad.detail}")
        if more := self.bad_lines - len(self.bad_examples):
            outcomes = [
                (self.stats.quarantined, "quarantined"),
                (self.stats.dropped, "dropped"),
                (self.stats.rejected, "rejected"),
            ]
            totals = ", ".join(f"{lines:,} {outcome}" for lines, outcome in outcomes if lines)
            echo(f"warning: and {more:,} more" + (f"; {totals} in total" if totals else ""))

    def _as_dict(self) -> dict[str, float]:
        names = ("records", "objects", "bytes_in", "bytes_out", "quarantined")
        document: dict[str, float] = {name: getattr(self.stats, name) for name in names}
        document["failed"] = self.failed
        if self.stats.dropped:
            document["dropped"] = self.stats.dropped
        document["seconds"] = round(self.seconds, 3)
        return document


class _WriteCommand:
    """One run of the command: reads lines, submits them and collects the outcome of each."""

    def __init__(
        self,
        settings: Settings,
        inputs: Sequence[str],
        summary: WriteSummary,
        dry_store: DryRunStore | None,
    ) -> None:
        self._summary = summary
        self._batcher = Batcher(settings, store=dry_store)
        summary.stats = self._batcher.counts
        self._max_line_bytes = min(settings.max_bytes, settings.budget_bytes)
        is_json = settings.format == Format.NDJSON
        self._reader = LineReader(inputs, self._max_line_bytes, expect_json=is_json)
        self._tickets: deque[tuple[RangeColumn, ManyTicket]] = deque()
        """Tickets that are not collected yet, oldest first, each with its lines."""

    async def run(self, total_bytes: int | None) -> None:
        """Write until the input ends or a signal arrives, then drain and fill in the summary."""
        message = "writing what was read; repeat to drop it"
        signals = ShutdownSignals(message, self._stop_reading)
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
                await self._batcher.abort()
            finally:
                signals.disable_cancel()
        await self._collect_settled(wait_for_all=True)
        self._summary.seconds = time.monotonic() - started_s

    async def _read_inputs(self, progress: Progress) -> None:
        """Read all inputs. An input that cannot be read to its end does not stop the others."""
        while True:
            try:
                await self._submit_blocks(progress)
            except InputError as error:
                self._summary.errors.append(str(error))
            else:
                return

    async def _submit_blocks(self, progress: Progress) -> None:
        """Submit block after block, waiting while the budget is used up."""
        async for block in self._reader:
            chunk, bad_records = _make_chunk(block)
            ticket = await self._batcher.submit_chunk(chunk, bad_records)
            self._summary.bad_lines += len(ticket.bad)
            self._summary.bad_examples += ticket.bad[: MAX_SHOWN - len(self._summary.bad_examples)]
            ticket.bad = ()  # releases them: a file of bad lines would fill the memory
            self._tickets.append((_line_positions(block), ticket))
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
            lines, ticket = self._tickets.popleft()
            try:
                await ticket
            except PoisonRecordError as error:
                self._summary.errors.append(str(error))
            except BatcherError as error:
                self._summary.add_failed_lines(lines, str(error))
                if isinstance(error, RejectedError):
                    self._reader.stop()  # further lines would be rejected as well

    def _stop_reading(self, number: int) -> None:
        """Stop reading, because of signal `number`."""
        self._summary.signal = number
        self._reader.stop()


def _make_chunk(block: LineBlock) -> tuple[Chunk, list[BadRecord]]:
    """Create a chunk of a block's lines, or a bad record of a line that is too long."""
    arrivals_s = ConstantColumn(time.time(), block.lines)
    payloads = LinesColumn(block.text, block.lines)
    chunk = Chunk(COMMAND_LINE_ORIGIN, payloads, _line_positions(block), arrivals_s)
    if not block.oversized_line_bytes:
        return chunk, []
    detail = f"a line of {block.oversized_line_bytes} bytes; {TRUNCATED_NOTE}"
    return chunk.take([]), [BadRecord(chunk, BadRecordReason.TOO_LARGE, detail)]


def _line_positions(block: LineBlock) -> RangeColumn:
    numbers = range(block.first_line, block.first_line + block.lines)
    return RangeColumn(f"{block.name}:", numbers)


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
