"""The result of `batcher write`: counts, errors, and the lines that are not durable or not read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from batcher.cli.durable_objects import DurableObjects
from batcher.cli.failed_lines import REFUSED, FailedLines
from batcher.cli.inputs.input import STDIN
from batcher.cli.json_output import print_json
from batcher.cli.output import DONE, NOT_DURABLE, echo
from batcher.cli.signals import SIGNAL_EXIT_BASE
from batcher.keys.partition import DEFAULT_PARTITION
from batcher.records.bad_record import BadRecord
from batcher.stores.location import parse_folder_url
from batcher.tools.formatting import format_count, format_size
from batcher.writing.stats import Stats

MAX_SHOWN = 10
"""Bad lines, errors and unread inputs that are printed one by one, at most."""


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
    failed_lines: FailedLines = field(default_factory=FailedLines)
    unreadable: list[str] = field(default_factory=list)
    """The input and the line from which on each input could not be read, but for the last one."""
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
    is_dry_run: bool = False
    objects: DurableObjects = field(default_factory=lambda: DurableObjects("", is_dry_run=False))
    read_bytes: int = 0
    """Bytes of inputs that were read, before decompression."""
    given_destination: str = "DESTINATION"
    """As it was given."""

    @property
    def failed(self) -> int:
        """Number of lines that are not durable, neither as data nor in quarantine."""
        return self.stats.failed + self.stats.rejected

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        if self.failed or self.errors or self.failed_lines.ranges:
            return NOT_DURABLE
        return SIGNAL_EXIT_BASE + self.signal if self.signal else DONE

    def show(self, *, as_json: bool) -> None:
        """Print warnings and the summary to standard error, JSON to standard output."""
        self._print_errors()
        self._print_skipped()
        self._print_bad_lines()
        self._print_next_steps()
        self._print_hints()
        if as_json:
            print_json([self._as_dict()])
            return
        stats = self.stats
        blank = f"{format_count(self.blank_lines, 'blank line')} skipped, "
        seconds = max(self.seconds, 1e-9)
        folder = parse_folder_url(self.destination) if self.destination[:5] == "file:" else None
        place = f"the local folder {folder}" if folder else self.destination
        echo(
            f"{'dry run, without asking the destination: would write ' * self.is_dry_run}"
            f"{format_count(stats.records, 'record')} in {format_count(stats.objects, 'object')} "
            f"under {place}; {format_size(self.read_bytes)} read, {format_size(stats.bytes_in)} of "
            f"records, {format_size(stats.bytes_out)} of objects, "
            f"{stats.quarantined:,} quarantined, {stats.dropped:,} dropped, "
            f"{blank * bool(self.blank_lines)}{self.failed:,} failed; {self.seconds:.1f} s, "
            f"{stats.records / seconds:,.0f} records/s, {format_size(stats.bytes_in / seconds)}/s"
        )

    def _print_errors(self) -> None:
        errors = [*self.errors, *self.failed_lines.describe()]
        for error in errors[:MAX_SHOWN]:
            echo(f"error: {error}")
        if len(errors) > MAX_SHOWN:
            echo(f"error: and {len(errors) - MAX_SHOWN} more")

    def _print_skipped(self) -> None:
        for text in self.skipped[:MAX_SHOWN]:
            echo(f"warning: not read: {text}")
        if (more := len(self.skipped) - MAX_SHOWN) > 0:
            echo(f"warning: not read: and {more:,} more")

    def _print_bad_lines(self) -> None:
        level = "error" if self.stats.rejected else "warning"
        for bad in self.bad_examples:
            echo(f"{level}: {bad.position}: {bad.reason}: {bad.detail}")
        if more := self.bad_lines - len(self.bad_examples):
            outcomes = [
                (self.stats.quarantined, "quarantined"),
                (self.stats.dropped, "dropped"),
                (self.stats.rejected, "rejected"),
            ]
            totals = ", ".join(f"{lines:,} {outcome}" for lines, outcome in outcomes if lines)
            echo(f"{level}: and {more:,} more" + (f"; {totals} in total" if totals else ""))

    def _print_next_steps(self) -> None:
        """Print how to write what is not durable: first in the way that can lose nothing."""
        first = self.failed_lines.first_place()
        place, is_all = first or (self.unread_from, True)
        if self.unread_from:
            before = (
                f", after {format_count(self.unread_index, 'file')}" if self.unread_index else ""
            )
            message = f"stopped reading at {self.unread_from}{before}"
            if self.unread_inputs:
                shown = ", ".join(self.unread_inputs[:MAX_SHOWN])
                more = len(self.unread_inputs) - MAX_SHOWN
                message += f"; not read at all: {shown}"
                message += f" and {more:,} more" if more > 0 else ""
            _echo_step(message)
        if place:
            again = "" if is_all else ", which writes again what is durable from there on"
            if place.startswith(f"{STDIN}:"):
                again += "; only if the pipe starts again at its first line"
            _echo_step(f"to continue: the same command with --skip-to {shlex.quote(place)}{again}")
        if not is_all and (commands := self.failed_lines.extract_commands(refused=False)):
            _echo_step("or, to write only what is not durable, with the same options:")
            for command in commands:
                _echo_step(f"  {command} | {self._write_command('-')}")
            if self.unread_from:
                _echo_step(f"  and the same command with --skip-to {shlex.quote(self.unread_from)}")
        for unreadable in self.unreadable[:MAX_SHOWN]:
            name, _, line = unreadable.rpartition(":")
            skip_to = f" --skip-to {shlex.quote(unreadable)}" if line != "1" else ""
            _echo_step(f"once {name} can be read: {self._write_command(name)}{skip_to}")
        self._print_refused()

    def _print_refused(self) -> None:
        """Print how to go on with lines that were refused because they are bad."""
        if not self.stats.rejected:
            return
        _echo_step(
            "the refused lines are not durable; to write them without writing others twice, correct"
            " them in a file of their own:"
        )
        for command in self.failed_lines.extract_commands(refused=True) or ["(their lines)"]:
            _echo_step(f"  {command} >> corrected")
        _echo_step(f"  {self._write_command('corrected')}")

    def _print_hints(self) -> None:
        """Print where quarantined lines are, and how many records have no partition."""
        if self.objects.records_without_field:
            records = format_count(self.objects.records_without_field, "record")
            fields = " or ".join(self.objects.fields)
            echo(
                f"warning: partition_by: {records} without a usable {fields}, in the folder "
                f"{DEFAULT_PARTITION}; correct the name of the field if they should have one"
            )
        if self.stats.quarantined and not self.is_dry_run:
            place = shlex.quote(self.given_destination)
            echo(
                f"quarantined lines: see batcher cat {place} --quarantine; then: batcher replay "
                f"{place} --transform MODULE:FUNCTION; both with the options of this command"
            )

    def _write_command(self, name: str) -> str:
        return f"batcher write {shlex.quote(name)} {shlex.quote(self.given_destination)}"

    def _as_dict(self) -> dict[str, object]:
        names = ("records", "objects", "bytes_in", "bytes_out", "quarantined")
        document: dict[str, object] = {name: getattr(self.stats, name) for name in names}
        document |= {
            "failed": self.failed,
            "dropped": self.stats.dropped,
            "blank": self.blank_lines,
            "skipped": self.skipped_names,
            "failed_lines": [
                {
                    "input": each.input.name,
                    "first_line": each.numbers[0],
                    "last_line": each.numbers[-1],
                    "refused": each.cause == REFUSED,
                }
                for each in self.failed_lines.ranges
            ],
            "more_failed_ranges": self.failed_lines.more_ranges,
            "seconds": round(self.seconds, 3),
        }
        if self.unread_from:
            document["unread_from"] = self.unread_from
        if self.is_dry_run:
            document["dry_run"] = True
        return document


def _echo_step(text: str) -> None:
    """Print a next step, also with --quiet: what it is about is nowhere yet."""
    echo(text, "error")
