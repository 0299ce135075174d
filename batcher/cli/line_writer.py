"""LineWriter: one run of `batcher write`, from lines that are read to the outcome of each."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from batcher.batcher import Batcher
from batcher.batching.quarantine import TRUNCATED_NOTE
from batcher.cli.inputs.expand_inputs import Source
from batcher.cli.inputs.foreign_formats import unusable_reason
from batcher.cli.inputs.input import ByteInput, RawInput
from batcher.cli.inputs.lines import Input, InputError, LineBlock, LineReader
from batcher.cli.inputs.object_input import ObjectFeed
from batcher.cli.progress import REFRESH_S, Progress, write_progress
from batcher.cli.signals import ShutdownSignals
from batcher.cli.write_summary import MAX_SHOWN, WriteSummary
from batcher.errors import BatcherError, RejectedError
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, LinesColumn, RangeColumn
from batcher.records.numbers import position_numbers
from batcher.settings import Settings
from batcher.tools.formatting import format_count, format_size
from batcher.writing.ticket import ManyTicket

COMMAND_LINE_ORIGIN = Origin("cli", NamingScheme.FRESH)


_BLANK_LINE = re.compile(rb"\n\s")
"""Finds a line that may be blank, at 2.7 GB/s."""


_LOGGER = logging.getLogger("batcher")


class _Submitted(NamedTuple):
    """Lines whose outcome is not collected yet."""

    input_index: int
    block: LineBlock
    ticket: ManyTicket
    refused: Sequence[int]
    """Numbers of the bad lines among them that awaiting the ticket raises for."""


class LineWriter:
    """Reads the lines of all inputs, submits them, and collects the outcome of each."""

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
