"""The progress bar on standard error: one line, however narrow the terminal is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from batcher.cli.output import echo, shows_progress
from batcher.errors import install_hint
from batcher.tools.formatting import format_count

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.progress import ProgressColumn

    from batcher.writing.stats import Stats  # it imports msgspec; see `exit_on_interrupt`

REFRESH_S = 0.2
"""Shortest time between two updates of the progress bar."""


WIDTH_WITH_BAR, WIDTH_WITH_SPEED, WIDTH_WITH_LONG_BAR = 80, 100, 120
"""From these widths of the terminal on, there is room for the bar, the speed, and a longer bar."""


WIDTH_WITHOUT_TOTAL = 60
"""From this width on, there is room for the speed if no size is known."""


MIN_BAR_WIDTH, MAX_BAR_WIDTH = 10, 20


PERCENTAGE_WIDTH, SIZES_WIDTH, SIZE_WIDTH, SPEED_WIDTH, TIME_WIDTH = 4, 14, 8, 10, 7
"""Characters of `100%`, `123.4/567.8 GB`, `123.4 MB/s` and `0:12:34`."""


def write_progress(
    stats: Stats,
    read_bytes: Callable[[], int],
    total_bytes: Callable[[], int | None],
    input_figures: Callable[[], Sequence[str]] = tuple,
) -> Progress:
    """Create the progress bar of a command that writes records; see `Progress`.

    Args:
        stats: of the records written so far.
        read_bytes: returns how many bytes of input were read so far.
        total_bytes: returns the size of all inputs, or None if it is unknown.
        input_figures: returns figures about the inputs, which are shown first.
    """
    return Progress(
        "writing",
        lambda seconds: [*input_figures(), *_write_figures(stats, seconds)],
        read_bytes,
        total_bytes,
    )


def _write_figures(stats: Stats, seconds: float) -> list[str]:
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


class Progress:
    """A line on standard error: activity, bar, percentage, bytes, time that remains, figures.

    It is shown while it is entered. Nothing is shown without rich or a terminal, or if it is quiet.
    """

    def __init__(
        self,
        activity: str,
        figures: Callable[[float], Sequence[str]],
        read_bytes: Callable[[], int],
        total_bytes: Callable[[], int | None],
    ) -> None:
        """Prepare.

        Args:
            activity: one word for what the command is doing.
            figures: returns amounts, given the seconds since the start. The first ones are the most
                important: as many are shown as fit into the line.
            read_bytes: returns how many bytes were read so far.
            total_bytes: returns how many bytes there are to read, or None if that is unknown.
        """
        self._activity = activity
        self._figures = figures
        self._read_bytes = read_bytes
        self._total_bytes = total_bytes
        self._started_s = self._updated_s = time.monotonic()
        self._shown = _Figures()
        self._has_total: bool | None = None
        self._bar: Any = None
        """Rich's, or None if nothing is shown."""
        if not sys.stderr.isatty() or not shows_progress():
            return
        try:
            from rich.console import Console  # noqa: PLC0415  # an extra
            from rich.progress import Progress as Bar  # noqa: PLC0415
            from rich.theme import Theme  # noqa: PLC0415
        except ImportError:
            echo(f"for a progress bar: {install_hint('cli')}")
            return
        theme = Theme({"progress.data.speed": "cyan"})  # red would look like an error
        self._bar = Bar(console=Console(stderr=True, theme=theme), transient=True, expand=True)
        self._task = self._bar.add_task(activity, total=None)
        self._show()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, activity: str | None = None) -> None:
        """Show the current figures, and from now on `activity` if it is given.

        May be called often: the display changes every `REFRESH_S` seconds at most.
        """
        now_s = time.monotonic()
        if self._bar is None or (activity is None and now_s - self._updated_s < REFRESH_S):
            return
        self._updated_s = now_s
        self._activity = activity or self._activity
        self._shown.texts = self._figures(now_s - self._started_s)
        self._show()

    def _show(self) -> None:
        total_bytes = self._total_bytes()
        has_total = total_bytes is not None
        if has_total != self._has_total:  # new columns would start the spinner anew
            self._has_total = has_total
            width = self._bar.console.width
            self._bar.columns = _make_columns(width, self._shown, has_total=has_total)
        self._bar.update(
            self._task,
            completed=self._read_bytes(),
            total=total_bytes,
            description=self._activity,
        )


class _Figures:
    """As many figures as fit into their column, the first one in any case."""

    texts: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Join them, for rich."""
        joined = " · ".join(self.texts[:1])
        for text in self.texts[1:]:
            longer = f"{joined} · {text}"
            if len(longer) > options.max_width:
                break
            joined = longer
        yield joined


def _make_columns(width: int, figures: _Figures, *, has_total: bool) -> list[ProgressColumn]:
    """Return rich's columns.

    Args:
        width: of the terminal. Below some widths the bar and the speed are left out.
        figures: the last column, which takes the rest of the line.
        has_total: whether the size of what is read is known.
    """
    from rich import progress  # noqa: PLC0415  # an extra
    from rich.table import Column  # noqa: PLC0415

    def fixed(characters: int | None = None) -> Column:
        return Column(no_wrap=True, width=characters, justify="right" if characters else "left")

    columns: list[ProgressColumn] = [
        progress.SpinnerColumn(table_column=fixed()),
        progress.TextColumn("{task.description}", table_column=fixed()),
    ]
    if has_total:
        if width >= WIDTH_WITH_BAR:
            bar_width = MAX_BAR_WIDTH if width >= WIDTH_WITH_LONG_BAR else MIN_BAR_WIDTH
            columns.append(progress.BarColumn(bar_width, table_column=fixed(bar_width)))
        columns.append(progress.TaskProgressColumn(table_column=fixed(PERCENTAGE_WIDTH)))
        columns.append(progress.DownloadColumn(table_column=fixed(SIZES_WIDTH)))
    else:
        columns.append(progress.FileSizeColumn(table_column=fixed(SIZE_WIDTH)))
    if width >= (WIDTH_WITH_SPEED if has_total else WIDTH_WITHOUT_TOTAL):
        columns.append(progress.TransferSpeedColumn(table_column=fixed(SPEED_WIDTH)))
    time_column = progress.TimeRemainingColumn if has_total else progress.TimeElapsedColumn
    columns.append(time_column(table_column=fixed(TIME_WIDTH)))
    rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    return [*columns, progress.RenderableColumn(figures, table_column=rest)]
