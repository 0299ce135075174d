"""Lines of inputs that are not durable, and the commands that write exactly these."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from batcher.cli.inputs.input import S3_SCHEME, STDIN
from batcher.cli.inputs.lines import Input, LineBlock
from batcher.errors import BatcherError, PoisonRecordError
from batcher.records.numbers import RecordNumbers
from batcher.tools.formatting import format_count

MAX_KEPT_RANGES = 1_000
"""Ranges that are kept, at most. Of lines of many partitions each may be a range."""


MAX_SHOWN_RANGES = 10
"""Ranges that are printed per cause, and that a command is made for, at most."""


REFUSED = "refused with on_bad_record=fail"
"""The cause of bad lines that are neither data nor in quarantine."""


_OBJECT = re.compile(r"^[A-Za-z][\w ]* (?:\S.*/)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\S*: ")
"""The operation and the object, with which the text of an error begins."""


_ATTEMPTS = re.compile(r"\(attempt \d+, after [\d.]+ s\b")


_UNPACK = {".gz": "gzip -dc", ".zst": "zstd -dc"}


@dataclass(slots=True)
class FailedRange:
    """Consecutive lines of one input that are not durable for one cause."""

    index: int
    """Of the input."""
    input: Input
    numbers: range
    cause: str

    def __str__(self) -> str:
        first, last = self.numbers[0], self.numbers[-1]
        return f"{self.input.name}:{first}" + (f"-{last}" if last > first else "")

    @property
    def place(self) -> tuple[int, int]:
        """Index of the input and number of the first line."""
        return self.index, self.numbers.start


@dataclass(slots=True)
class FailedLines:
    """Lines that are not durable, in bounded memory. Blocks are added in the order of reading."""

    ranges: list[FailedRange] = field(default_factory=list)
    more_ranges: int = 0
    """Further ranges, which are counted only."""
    _last_done: tuple[int, int] = (-1, 0)
    """Index of input and number of the last line that is durable, quarantined or dropped."""
    _first: FailedRange | None = None
    """The first range that is not refused."""
    _causes: dict[str, str] = field(default_factory=dict)
    """The first text of each cause, by the text without its object."""

    def add_done(self, index: int, block: LineBlock) -> None:
        """Take note of a block of which no line failed."""
        self._last_done = index, block.end_line - 1

    def add_failed(
        self,
        index: int,
        block: LineBlock,
        error: BatcherError,
        refused: Sequence[int] = (),
        *,
        records: int,
    ) -> None:
        """Add the lines of a block that are not durable.

        Args:
            index: of the input.
            block: the lines that were submitted.
            error: of their ticket.
            refused: numbers of the bad lines among them that awaiting the ticket raises for.
            records: how many lines were submitted.
        """
        failed = error.failed
        numbers = RecordNumbers([range(block.first_line, block.end_line)])
        if failed is not None:
            numbers = RecordNumbers([failed])
        stop = block.end_line if len(numbers) < records else block.first_line
        for each in reversed([*numbers.ranges()]):
            if each.stop != stop:
                break
            stop = each.start
        if stop > block.first_line:
            self._last_done = index, stop - 1
        if isinstance(error, PoisonRecordError):
            refused, numbers = numbers, RecordNumbers([])
        elif refused:
            numbers = RecordNumbers([sorted({*numbers}.difference(refused))])
        for each in RecordNumbers([refused]).ranges():
            self._add(FailedRange(index, block.input, each, REFUSED))
        for each in numbers.ranges():
            self._add(FailedRange(index, block.input, each, self._cause_of(str(error))))

    def _add(self, new: FailedRange) -> None:
        """Add lines, joined to the last range if they continue it."""
        if new.cause != REFUSED and (self._first is None or new.place < self._first.place):
            self._first = new
        if self.ranges:
            last = self.ranges[-1]
            if (last.input, last.cause) == (
                new.input,
                new.cause,
            ) and last.numbers.stop == new.numbers.start:
                last.numbers = range(last.numbers.start, new.numbers.stop)
                return
        if len(self.ranges) < MAX_KEPT_RANGES:
            self.ranges.append(new)
        else:
            self.more_ranges += 1

    def _cause_of(self, text: str) -> str:
        """Return the text of the first error with the same cause, whatever its object."""
        text = text.replace("correct `bucket`", "correct DESTINATION")
        key = _ATTEMPTS.sub("", _OBJECT.sub("", text))
        if len(self._causes) >= MAX_KEPT_RANGES:
            return self._causes.get(key, text)
        return self._causes.setdefault(key, text)

    def describe(self) -> list[str]:
        """Return one text per cause, with the lines below it. Refused lines are left out."""
        groups: dict[str, list[FailedRange]] = {}
        for each in self.ranges:
            if each.cause != REFUSED:
                groups.setdefault(each.cause, []).append(each)
        texts: list[str] = []
        for cause, ranges in groups.items():
            shown = ", ".join(map(str, ranges[:MAX_SHOWN_RANGES]))
            if (hidden := len(ranges) - MAX_SHOWN_RANGES) > 0:
                shown += f", and {format_count(hidden, 'more range')}"
            texts.append(f"not durable: {cause}\n  {shown}")
        if self.more_ranges:
            texts.append(
                f"not durable: and {format_count(self.more_ranges, 'more range')} of lines"
            )
        return texts

    def first_place(self) -> tuple[str, bool] | None:
        """Return FILE:LINE from which on all lines that failed are, or None if none failed.

        And whether none of the lines from there on is durable.
        """
        if self._first is None:
            return None
        index, line = self._first.place
        return f"{self._first.input.name}:{line}", self._last_done < (index, line)

    def extract_commands(self, *, refused: bool) -> list[str]:
        """Return a shell command per input that prints the lines, or nothing if they are too many.

        Args:
            refused: whether to print the refused lines, or those that failed otherwise.
        """
        chosen = [each for each in self.ranges if (each.cause == REFUSED) == refused]
        if self.more_ranges or len(chosen) > MAX_SHOWN_RANGES:
            return []
        by_input: dict[int, list[FailedRange]] = {}
        for each in sorted(chosen, key=lambda each: each.place):
            by_input.setdefault(each.index, []).append(each)
        return [_extract_command(ranges) for ranges in by_input.values()]


def _extract_command(ranges: Sequence[FailedRange]) -> str:
    """Return the shell command that prints these lines of one input."""
    source = ranges[0].input
    script = ";".join(
        f"{each.numbers[0]},{each.numbers[-1]}p" if len(each.numbers) > 1 else f"{each.numbers[0]}p"
        for each in ranges
    )
    unpack, quoted = _UNPACK.get(source.suffix), shlex.quote(source.name)
    steps = [f"sed -n {shlex.quote(script)}"]
    if source.name == STDIN:
        steps = ["SAME-INPUT", *filter(None, [unpack]), *steps]
    elif source.name.startswith(S3_SCHEME):
        steps = [f"aws s3 cp {quoted} -", *filter(None, [unpack]), *steps]
    elif unpack:
        steps = [f"{unpack} < {quoted}", *steps]
    else:
        steps = [f"{steps[0]} < {quoted}"]
    return " | ".join(steps)
