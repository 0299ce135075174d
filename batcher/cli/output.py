"""Exit codes, messages on standard error, tables on standard output, and the progress bar.

Messages may contain names and bodies from anywhere: they are escaped so that they cannot control
the terminal.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from batcher.errors import install_hint
from batcher.reading.sanitize import sanitize
from batcher.tools.formatting import format_count, format_size

if TYPE_CHECKING:
    from batcher.writing.stats import Stats  # it imports msgspec; see `exit_on_interrupt`

DONE = 0
"""Everything is done, and nothing is wrong."""


PROBLEMS_FOUND = 1
"""The command checked something and found a problem."""


NOT_DURABLE = 1
"""Some records were not written or not sent."""


INCOMPLETE = 1
"""Some of the selected objects could not be listed or read."""


WRONG_USAGE = 2
"""The command line or the settings are wrong, or a package is not installed."""


REFRESH_S = 0.2
"""Shortest time between two updates of the progress bar."""


def echo(text: str) -> None:
    """Print a message of one or more lines to standard error."""
    print(f"batcher: {sanitize(text)}", file=sys.stderr)  # noqa: T201  # what a command line is for


@contextmanager
def echo_warnings() -> Iterator[None]:
    """Print batcher's log records of level WARNING and above to standard error."""
    logger, handler = logging.getLogger("batcher"), _EchoHandler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _EchoHandler(logging.Handler):
    """Prints log records. Rich prints the line above a progress bar that is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(f"{record.levelname.lower()}: {record.getMessage()}")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with a title."""

    title: str
    columns: Sequence[str]
    """Names of the columns. A table whose names are all empty has no header."""
    rows: Sequence[Sequence[str]]
    right_aligned: frozenset[int] = frozenset()
    """Indices of the columns that are right-aligned."""


def print_table(table: TextTable) -> None:
    """Print a table to standard output: with rich on a terminal, else as aligned text."""
    if sys.stdout.isatty():
        try:
            _print_rich(table)
        except ImportError:  # rich is an extra
            pass
        else:
            return
    print(table.title)  # noqa: T201  # what a command line is for
    rows = [row for row in (table.columns, *table.rows) if any(row)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if index in table.right_aligned else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"  {'  '.join(cells)}".rstrip())  # noqa: T201
    print()  # noqa: T201


def _print_rich(table: TextTable) -> None:
    from rich import box  # noqa: PLC0415  # an extra
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rich_table = RichTable(
        title=Text(table.title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_header=any(table.columns),
    )
    for index, name in enumerate(table.columns):
        is_right = index in table.right_aligned
        rich_table.add_column(name, justify="right" if is_right else "left", overflow="fold")
    for row in table.rows:
        rich_table.add_row(*map(Text, row))
    Console().print(rich_table)


class Progress(Protocol):
    """A display of progress, shown while it is entered."""

    def __enter__(self) -> Self:
        """Show it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove it."""

    def update(self, activity: str | None = None) -> None:
        """Show the current figures, and from now on `activity` if it is given.

        May be called often: the display changes every `REFRESH_S` seconds at most.
        """


def write_progress(
    stats: Stats, read_bytes: Callable[[], int], total_bytes: int | None
) -> Progress:
    """Create the progress bar of a command that writes records; see `make_progress`.

    Args:
        stats: of the records written so far.
        read_bytes: returns how many bytes of input were read so far.
        total_bytes: size of all inputs, or None if it is unknown.
    """
    return make_progress(
        "writing",
        lambda seconds: format_write_figures(stats, read_bytes(), seconds),
        read_bytes,
        lambda: total_bytes,
    )


def format_write_figures(stats: Stats, read_bytes: int, seconds: float) -> str:
    """Format what was written in `seconds` seconds, and how fast."""
    seconds = max(seconds, 1e-9)
    figures = [
        f"{format_count(stats.records, 'record')} in {format_count(stats.objects, 'object')}",
        f"{stats.records / seconds:,.0f} records/s",
        f"{format_size(read_bytes / seconds)}/s",
    ]
    if stats.quarantined:
        figures.append(f"{stats.quarantined:,} quarantined")
    if stats.failed:
        figures.append(f"{stats.failed:,} failed")
    if stats.retries:
        figures.append(format_count(stats.retries, "retry", "retries"))
    return " · ".join(figures)


def make_progress(
    activity: str,
    format_figures: Callable[[float], str],
    read_bytes: Callable[[], int],
    total_bytes: Callable[[], int | None],
) -> Progress:
    """Create a progress bar, or a display of nothing without rich or without a terminal.

    Args:
        activity: one word for what the command is doing.
        format_figures: formats amounts and rates, given the seconds since the start.
        read_bytes: returns how many bytes were read so far.
        total_bytes: returns how many bytes there are to read, or None if that is unknown.
    """
    if not sys.stderr.isatty():
        return _NoProgress()
    try:
        return _ProgressBar(activity, format_figures, read_bytes, total_bytes)
    except ImportError:
        echo(f"for a progress bar: {install_hint('cli')}")
        return _NoProgress()


class _NoProgress:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def update(self, activity: str | None = None) -> None:
        """Do nothing."""


class _ProgressBar:
    """A line on standard error with activity, bar and figures."""

    def __init__(
        self,
        activity: str,
        format_figures: Callable[[float], str],
        read_bytes: Callable[[], int],
        total_bytes: Callable[[], int | None],
    ) -> None:
        from rich.console import Console  # noqa: PLC0415  # an extra
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415

        self._format_figures = format_figures
        self._read_bytes = read_bytes
        self._total_bytes = total_bytes
        self._started_s = self._updated_s = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._activity = activity
        self._task: Any = self._bar.add_task(activity, total=total_bytes(), figures="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, activity: str | None = None) -> None:
        """See `Progress.update`."""
        now_s = time.monotonic()
        if activity is None and now_s - self._updated_s < REFRESH_S:
            return
        self._updated_s = now_s
        self._activity = activity or self._activity
        self._bar.update(
            self._task,
            completed=self._read_bytes(),
            total=self._total_bytes(),
            figures=self._format_figures(now_s - self._started_s),
            description=self._activity,
        )
