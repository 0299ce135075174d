"""The result of `batcher write`: counts, errors, and the lines that are not durable or not read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from batcher.cli.json_output import print_json
from batcher.cli.output import DONE, NOT_DURABLE, echo
from batcher.cli.signals import SIGNAL_EXIT_BASE
from batcher.records.bad_record import BadRecord
from batcher.records.columns import RangeColumn
from batcher.tools.formatting import format_count, format_size
from batcher.writing.stats import Stats

MAX_SHOWN = 10
"""Bad lines, errors and unread inputs that are printed one by one, at most."""


MAX_FAILED_RANGES = 10_000
"""Ranges of lines that are not durable and are kept, at most."""


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
    more_failed_ranges: int = 0
    """Further ranges, which are counted only: of lines of many partitions each may be a range."""
    blank_lines: int = 0
    """Blank lines that were skipped."""
    skipped: Sequence[str] = ()
    """What was found among the inputs and is not read, each with the reason."""
    skipped_names: int = 0
    """How many names that are."""
    unread_from: str = ""
    """The input and the line at which reading stopped early, or nothing."""
    unread_index: int = 0
    """How many inputs are before that one."""
    unread_inputs: Sequence[str] = ()
    """Inputs after that one, of which nothing was read."""

    def add_failed_lines(self, lines: RangeColumn, reason: str) -> None:
        """Add lines that are not durable, joined to the last range if they continue it."""
        if self.failed_lines:
            last_lines, last_reason = self.failed_lines[-1]
            if last_reason == reason and (joined := last_lines.join(lines)) is not None:
                self.failed_lines[-1] = (joined, reason)
                return
        if len(self.failed_lines) < MAX_FAILED_RANGES:
            self.failed_lines.append((lines, reason))
        else:
            self.more_failed_ranges += 1

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
        self._print_skipped()
        self._print_bad_lines()
        self._print_unread()
        if as_json:
            print_json([self._as_dict()])
            return
        stats = self.stats
        blank = f"{format_count(self.blank_lines, 'blank line')} skipped, "
        seconds = max(self.seconds, 1e-9)
        echo(
            f"{format_count(stats.records, 'record')} in {format_count(stats.objects, 'object')} "
            f"under {self.destination}; "
            f"{format_size(stats.bytes_in)} in, {format_size(stats.bytes_out)} out, "
            f"{stats.quarantined:,} quarantined, {stats.dropped:,} dropped, "
            f"{blank * bool(self.blank_lines)}{self.failed:,} failed; {self.seconds:.1f} s, "
            f"{stats.records / seconds:,.0f} records/s, {format_size(stats.bytes_in / seconds)}/s"
        )

    def _print_errors(self) -> None:
        failures = (f"{lines}: not durable: {reason}" for lines, reason in self.failed_lines)
        errors = [*self.errors, *failures]
        for error in errors[:MAX_SHOWN]:
            echo(f"error: {error}")
        if len(errors) > MAX_SHOWN:
            echo(f"error: and {len(errors) + self.more_failed_ranges - MAX_SHOWN} more")

    def _print_skipped(self) -> None:
        for text in self.skipped[:MAX_SHOWN]:
            echo(f"warning: not read: {text}")
        if (more := len(self.skipped) - MAX_SHOWN) > 0:
            echo(f"warning: not read: and {more:,} more")

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

    def _print_unread(self) -> None:
        if not self.unread_from:
            return
        before = f", after {format_count(self.unread_index, 'file')}" if self.unread_index else ""
        message = f"stopped reading at {self.unread_from}{before}; to continue: --skip-to "
        message += shlex.quote(self.unread_from)
        if self.unread_inputs:
            shown = ", ".join(self.unread_inputs[:MAX_SHOWN])
            more = len(self.unread_inputs) - MAX_SHOWN
            message += f"; not read at all: {shown}" + (f" and {more:,} more" if more > 0 else "")
        echo(message, "error")  # also with --quiet: the lines after it are nowhere yet

    def _as_dict(self) -> dict[str, float | str]:
        names = ("records", "objects", "bytes_in", "bytes_out", "quarantined")
        document: dict[str, float | str] = {name: getattr(self.stats, name) for name in names}
        document["failed"] = self.failed
        if self.stats.dropped:
            document["dropped"] = self.stats.dropped
        if self.blank_lines:
            document["blank"] = self.blank_lines
        if self.skipped_names:
            document["skipped"] = self.skipped_names
        document["seconds"] = round(self.seconds, 3)
        if self.unread_from:
            document["unread_from"] = self.unread_from
        return document
