"""The progress bar on standard error: one line, however narrow the terminal is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from batcher.cli.output import echo, shows_progress
from batcher.errors import install_hint
from batcher.tools.formatting import format_count

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from batcher.writing.stats import Stats  # it imports msgspec; see `exit_on_interrupt`

REFRESH_S = 0.2
"""Shortest time between two updates of the progress bar."""


WIDTH_WITH_BAR, WIDTH_WITH_SPEED, WIDTH_WITH_LONG_BAR = 80, 100, 120
"""From these widths of the terminal on, there is room for the bar, the speed, and a longer bar."""


MIN_BAR_WIDTH, MAX_BAR_WIDTH = 10, 20


PERCENTAGE_WIDTH, SIZES_WIDTH, SPEED_WIDTH, TIME_WIDTH = 4, 14, 10, 7
"""Characters of `100%`, `123.4/567.8 GB`, `123.4 MB/s` and `0:12:34`."""


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
    stats: Stats,
    read_bytes: Callable[[], int],
    total_bytes: Callable[[], int | None],
    input_figures: Callable[[], Sequence[str]] = tuple,
) -> Progress:
    """Create the progress bar of a command that writes records; see `make_progress`.

    Args:
        stats: of the records written so far.
        read_bytes: returns how many bytes of input were read so far.
        total_bytes: returns the size of all inputs, or None if it is unknown.
        input_figures: returns figures about the inputs, which are shown first.
    """
    return make_progress(
        "writing",
        lambda seconds: [*input_figures(), *write_figures(stats, seconds)],
        read_bytes,
        total_bytes,
    )


def write_figures(stats: Stats, seconds: float) -> list[str]:
    """Return what was written in `seconds` seconds, the most important figures first."""
    figures: list[str] = []
    if stats.failed:
        figures.append(f"{stats.failed:,} failed")
    if stats.quarantined:
        figures.append(f"{stats.quarantined:,} quarantined")
    if stats.retries:
        figures.append(format_count(stats.retries, "retry", "retries"))
    objects = format_count(stats.objects, "object")
    figures.append(f"{format_count(stats.records, 'record')} in {objects}")
    figures.append(f"{stats.records / max(seconds, 1e-9):,.0f} records/s")
    return figures


def make_progress(
    activity: str,
    figures: Callable[[float], Sequence[str]],
    read_bytes: Callable[[], int],
    total_bytes: Callable[[], int | None],
) -> Progress:
    """Create a progress bar, or a display of nothing without rich, a terminal, or if it is quiet.

    Args:
        activity: one word for what the command is doing.
        figures: returns amounts, given the seconds since the start. The first ones are the most
            important: as many are shown as fit into the line.
        read_bytes: returns how many bytes were read so far.
        total_bytes: returns how many bytes there are to read, or None if that is unknown.
    """
    if not sys.stderr.isatty() or not shows_progress():
        return _NoProgress()
    try:
        return _ProgressBar(activity, figures, read_bytes, total_bytes)
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
    """A line on standard error: activity, bar, percentage, bytes, time that remains, figures."""

    def __init__(
        self,
        activity: str,
        figures: Callable[[float], Sequence[str]],
        read_bytes: Callable[[], int],
        total_bytes: Callable[[], int | None],
    ) -> None:
        from rich.console import Console  # noqa: PLC0415  # an extra
        from rich.progress import Progress  # noqa: PLC0415

        self._figures = figures
        self._read_bytes = read_bytes
        self._total_bytes = total_bytes
        self._started_s = self._updated_s = time.monotonic()
        self._console = Console(stderr=True)
        self._bar = Progress(console=self._console, transient=True, expand=True)
        self._columns_width = 0
        self._has_total = total_bytes() is not None
        self._set_columns()
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
        total_bytes = self._total_bytes()
        if self._has_total != (total_bytes is not None):
            self._has_total = total_bytes is not None
            self._set_columns()
        room = self._console.width - self._columns_width - len(self._activity)
        self._bar.update(
            self._task,
            completed=self._read_bytes(),
            total=total_bytes,
            figures=_join_while_fitting(self._figures(now_s - self._started_s), room),
            description=self._activity,
        )

    def _set_columns(self) -> None:
        columns, self._columns_width = _make_columns(self._console.width, has_total=self._has_total)
        self._bar.columns = tuple(columns)


def _make_columns(width: int, *, has_total: bool) -> tuple[list[ProgressColumn], int]:
    """Return rich's columns, and how many characters they take besides activity and figures.

    Args:
        width: of the terminal. Below some widths the bar and the speed are left out.
        has_total: whether the size of what is read is known.
    """
    from rich import progress  # noqa: PLC0415  # an extra
    from rich.table import Column  # noqa: PLC0415

    columns: list[ProgressColumn] = [
        progress.SpinnerColumn(table_column=Column(no_wrap=True)),
        progress.TextColumn("{task.description}", table_column=Column(no_wrap=True)),
    ]
    widths = [1, 0]

    def add(kind: Callable[..., ProgressColumn], characters: int) -> None:
        column = Column(no_wrap=True, width=characters, justify="right")
        columns.append(kind(table_column=column))
        widths.append(characters)

    if has_total:
        if width >= WIDTH_WITH_BAR:
            bar_width = MAX_BAR_WIDTH if width >= WIDTH_WITH_LONG_BAR else MIN_BAR_WIDTH
            add(partial(progress.BarColumn, bar_width), bar_width)
        add(progress.TaskProgressColumn, PERCENTAGE_WIDTH)
    add(progress.DownloadColumn, SIZES_WIDTH)
    if not has_total or width >= WIDTH_WITH_SPEED:
        add(progress.TransferSpeedColumn, SPEED_WIDTH)
    add(progress.TimeRemainingColumn if has_total else progress.TimeElapsedColumn, TIME_WIDTH)
    figures = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns.append(progress.TextColumn("{task.fields[figures]}", table_column=figures))
    return columns, sum(widths) + len(columns) - 1


def _join_while_fitting(figures: Sequence[str], room: int) -> str:
    """Join as many figures as fit into `room` characters, the first one in any case."""
    joined = figures[0] if figures else ""
    for figure in figures[1:]:
        longer = f"{joined} · {figure}"
        if len(longer) > room:
            break
        joined = longer
    return joined
