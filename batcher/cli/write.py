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
from batcher.batching.quarantine import CUT
from batcher.cli.dry_run import DryStore, show_plan
from batcher.cli.input import STDIN, STDIN_CLOSED, is_stdin_closed
from batcher.cli.lines import Block, InputError, Reader
from batcher.cli.options import Faults, add_settings, settings_from
from batcher.cli.output import DONE, NOT_DURABLE, Progress, progress, say
from batcher.cli.signals import SIGNALLED, TwoSignals, ending_at_once
from batcher.errors import BatcherError, PoisonRecordError, RejectedError, SettingsError
from batcher.keys.names import Format
from batcher.records.bad_record import BadRecord, Reason
from batcher.records.chunk import Naming, Origin, Run
from batcher.records.columns import Lines, Numbered, Same
from batcher.settings import Settings
from batcher.tools.formatting import show_size
from batcher.writing.stats import Counts
from batcher.writing.ticket import ManyTicket

COMMAND_LINE = Origin("cli", Naming.FRESH)


SHOWN = 10
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
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = Faults()
    with faults:
        settings = settings_from(arguments, arguments.destination, os.environ)
    with faults:
        total_bytes = _size_of(arguments.inputs)
    faults.tell()
    dry_store = DryStore() if arguments.dry_run else None
    report = Report(arguments.destination)
    with ending_at_once():  # it imports the client
        command = _Write(settings, arguments.inputs, report, dry_store)
    with asyncio.Runner() as runner:
        runner.run(command.run(total_bytes))
    if dry_store is not None:
        file = sys.stderr if arguments.json else sys.stdout
        show_plan(dry_store, settings, arguments.destination, file)
    report.show(as_json=arguments.json)
    return report.exit_code


@dataclass(slots=True)
class Report:
    """What is told at the end."""

    destination: str
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    signal: int = 0
    bad: list[BadRecord] = field(default_factory=list)
    """The first bad lines."""
    bad_lines: int = 0
    problems: list[str] = field(default_factory=list)
    failures: list[tuple[Numbered, str]] = field(default_factory=list)
    """Lines that are not durable, and why."""

    def not_durable(self, lines: Numbered, why: str) -> None:
        """Note lines; those that go on from the last ones, for the same cause, become one entry."""
        if self.failures:
            last, cause = self.failures[-1]
            if cause == why and (joined := last.joined(lines)) is not None:
                self.failures[-1] = (joined, why)
                return
        self.failures.append((lines, why))

    @property
    def failed(self) -> int:
        """Lines that are not durable anywhere."""
        return self.counts.failed + self.counts.refused

    @property
    def exit_code(self) -> int:
        """What the shell gets."""
        if self.failed or self.problems or self.failures:
            return NOT_DURABLE
        return SIGNALLED + self.signal if self.signal else DONE

    def show(self, *, as_json: bool) -> None:
        """Print warnings and the summary to standard error, JSON to standard output."""
        errors = [*self.problems, *(f"{n}: not durable: {why}" for n, why in self.failures)]
        for error in errors[:SHOWN]:
            say(f"error: {error}")
        if len(errors) > SHOWN:
            say(f"error: and {len(errors) - SHOWN} more")
        for bad in self.bad:
            say(f"warning: {bad.position}: {bad.reason}: {bad.detail}")
        counts, failed = self.counts, self.failed
        if more := self.bad_lines - len(self.bad):
            went = [
                (counts.quarantined, "are in _quarantine/"),
                (counts.dropped, "were dropped"),
                (counts.refused, "were refused"),
            ]
            told = ", ".join(f"{lines:,} {what}" for lines, what in went if lines)
            say(f"warning: and {more:,} more" + (f"; {told}" if told else ""))
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
        say(
            f"{counts.records:,} records in {counts.objects:,} objects under {self.destination}; "
            f"{show_size(counts.bytes_in)} in, {show_size(counts.bytes_out)} out, "
            f"{counts.quarantined:,} quarantined, {counts.dropped:,} dropped, {failed:,} failed; "
            f"{self.seconds:.1f} s, "
            f"{counts.records / seconds:,.0f} records/s, {show_size(counts.bytes_in / seconds)}/s"
        )


class _Write:
    """One run of the command: reads, submits, and hears what became of every line."""

    def __init__(
        self,
        settings: Settings,
        inputs: Sequence[str],
        report: Report,
        dry_store: DryStore | None,
    ) -> None:
        self._report = report
        self._batcher = Batcher(settings, store=dry_store)
        report.counts = self._batcher.counts
        self._max_line_bytes = min(settings.max_bytes, settings.budget_bytes)
        is_json = settings.format == Format.NDJSON
        self._reader = Reader(inputs, self._max_line_bytes, is_json=is_json)
        self._tickets: deque[tuple[Numbered, ManyTicket]] = deque()

    async def run(self, total_bytes: int | None) -> None:
        """Write until the input ends or a signal comes; then drain, and fill in the report."""
        signals = TwoSignals("writing what was read; once more to drop it", self._end)
        started_s = time.monotonic()
        with progress(self._batcher.counts, lambda: self._reader.read_bytes, total_bytes) as bar:
            try:
                await self._feed(bar)
                bar.show("draining")
                await self._drain(bar)
            except asyncio.CancelledError:
                self._report.problems.append("stopped by a second signal: dropped what was open")
                await self._batcher.abort()
            finally:
                signals.spare()
        await self._hear_settled(everything=True)
        self._report.seconds = time.monotonic() - started_s

    async def _feed(self, bar: Progress) -> None:
        """Read all inputs; one that cannot be read to its end does not keep the others back."""
        while True:
            try:
                await self._submit(bar)
            except InputError as error:
                self._report.problems.append(str(error))
            else:
                return

    async def _submit(self, bar: Progress) -> None:
        """Submit block after block, as room comes."""
        async for block in self._reader:
            run, bad = _run_of(block)
            ticket = await self._batcher.submit_run(run, bad)
            self._report.bad_lines += len(ticket.bad)
            self._report.bad += ticket.bad[: SHOWN - len(self._report.bad)]
            ticket.bad = ()  # or a file of bad lines would be held whole
            self._tickets.append((_lines_of(block), ticket))
            await self._hear_settled()
            bar.show()

    async def _drain(self, bar: Progress) -> None:
        """Write what is open; failures are told line by line, by the tickets."""
        draining = asyncio.ensure_future(self._batcher.aclose())
        try:
            while not draining.done():
                await asyncio.wait([draining], timeout=0.2)
                bar.show()
        except asyncio.CancelledError:
            draining.cancel()
            await asyncio.wait([draining])
            raise
        if not draining.cancelled():
            draining.exception()  # heard: the tickets tell which lines it was

    async def _hear_settled(self, *, everything: bool = False) -> None:
        """Wait for tickets that are settled, oldest first, and note which lines failed."""
        while self._tickets and (everything or self._tickets[0][1].is_settled):
            lines, ticket = self._tickets.popleft()
            try:
                await ticket
            except PoisonRecordError as error:
                self._report.problems.append(str(error))
            except BatcherError as error:
                self._report.not_durable(lines, str(error))
                if isinstance(error, RejectedError):
                    self._reader.stop()  # it would go on like this

    def _end(self, number: int) -> None:
        """Stop reading, for a signal."""
        self._report.signal = number
        self._reader.stop()


def _run_of(block: Block) -> tuple[Run, list[BadRecord]]:
    """Make a run of a block's lines; one that was too long to be held is bad."""
    arrivals_s = Same(time.time(), block.lines)
    payloads = Lines(block.text, block.lines)
    run = Run(COMMAND_LINE, payloads, _lines_of(block), arrivals_s)
    if not block.cut_bytes:
        return run, []
    detail = f"a line of {block.cut_bytes} bytes; {CUT}"
    return run.take([]), [BadRecord(run, Reason.TOO_LARGE, detail)]


def _lines_of(block: Block) -> Numbered:
    numbers = range(block.first_line, block.first_line + block.lines)
    return Numbered(f"{block.name}:", numbers)


def _size_of(inputs: Sequence[str]) -> int | None:
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
