"""Said: what a command tells on standard error; a name or a body in it cannot steer a terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from batcher.reading.sanitize import sanitize
from batcher.tools.formatting import format_size
from batcher.writing.stats import Stats

DONE = 0
"""All of it is done, and nothing is wrong."""


PROBLEMS_FOUND = 1
"""What was looked at is not as it should be."""


NOT_DURABLE = 1
"""Some record is not written, or not sent."""


INCOMPLETE = 1
"""Not all that was chosen could be given."""


WRONG_USAGE = 2
"""The command line or the settings cannot be meant, or something is not installed."""


REFRESH_S = 0.2


def echo(text: str) -> None:
    """Report people something, in one line or several."""
    print(f"batcher: {sanitize(text)}", file=sys.stderr)  # noqa: T201  # what a command line is for


@contextmanager
def echo_warnings() -> Iterator[None]:
    """Report in the same way what batcher logs meanwhile."""
    log, ours = logging.getLogger("batcher"), _EchoHandler(logging.WARNING)
    log.addHandler(ours)
    try:
        yield
    finally:
        log.removeHandler(ours)


class _EchoHandler(logging.Handler):
    """Report one line of the log; a bar that is on the screen moves down for it."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(f"{record.levelname.lower()}: {record.getMessage()}")


class Progress(Protocol):
    """Shown while it is entered."""

    def __enter__(self) -> Self:
        """Start to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop to show."""

    def update(self, activity: str | None = None) -> None:
        """Show the present state; call it as often as you like."""


def write_progress(
    counts: Stats, read_bytes: Callable[[], int], total_bytes: int | None
) -> Progress:
    """Show how a write is going; see `progress_of`.

    Args:
        counts: what is durable so far.
        read_bytes: gives the bytes of input read so far.
        total_bytes: of all inputs, or None where nobody knows.
    """
    return make_progress(
        "writing",
        lambda seconds: format_write_figures(counts, read_bytes(), seconds),
        read_bytes,
        lambda: total_bytes,
    )


def make_progress(
    activity: str,
    format_figures: Callable[[float], str],
    read_bytes: Callable[[], int],
    total_bytes: Callable[[], int | None],
) -> Progress:
    """Return a bar where standard error is a terminal and rich is installed; else nothing.

    Args:
        doing: one word for what is going on.
        figures_at: says how much and how fast, after so many seconds.
        read_bytes: gives the bytes read so far.
        total_bytes: gives the bytes of all there is, or None while nobody knows.
    """
    if not sys.stderr.isatty():
        return _NoProgress()
    try:
        return _ProgressBar(activity, format_figures, read_bytes, total_bytes)
    except ImportError:
        echo("for a progress bar: pip install 'batcher[cli]'")
        return _NoProgress()


class _NoProgress:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was shown."""

    def update(self, activity: str | None = None) -> None:
        """Show nothing."""


class _ProgressBar:
    """A line with a bar, and figures after it."""

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
        self._started_s = self._shown_s = time.monotonic()
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
        """Bring the line up to date, a few times a second at most."""
        now_s = time.monotonic()
        if activity is None and now_s - self._shown_s < REFRESH_S:
            return
        self._shown_s = now_s
        self._activity = activity or self._activity
        self._bar.update(
            self._task,
            completed=self._read_bytes(),
            total=self._total_bytes(),
            figures=self._format_figures(now_s - self._started_s),
            description=self._activity,
        )


def format_write_figures(counts: Stats, read_bytes: int, seconds: float) -> str:
    """Return how much, and how fast."""
    seconds = max(seconds, 1e-9)
    bad = f" · {counts.quarantined:,} quarantined" if counts.quarantined else ""
    failed = f" · {counts.failed:,} failed" if counts.failed else ""
    retries = f" · {counts.retries:,} requests sent again" if counts.retries else ""
    return (
        f"{counts.records:,} records in {counts.objects:,} objects · "
        f"{counts.records / seconds:,.0f} records/s · {format_size(read_bytes / seconds)}/s"
        f"{bad}{failed}{retries}"
    )


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right_aligned: frozenset[int] = frozenset()
    """Columns that are right-aligned."""


def print_table(table: TextTable) -> None:
    """Print to standard output; without rich, which is an extra, as text."""
    if sys.stdout.isatty():
        try:
            _print_rich(table)
        except ImportError:
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

    drawn = RichTable(
        title=Text(table.title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_header=any(table.columns),
    )
    for index, name in enumerate(table.columns):
        is_number = index in table.right_aligned
        drawn.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
