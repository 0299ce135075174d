"""The progress bar on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from batcher.cli.output import echo
from batcher.errors import install_hint
from batcher.tools.formatting import format_count, format_size

if TYPE_CHECKING:
    from batcher.writing.stats import Stats  # it imports msgspec; see `exit_on_interrupt`

REFRESH_S = 0.2
"""Shortest time between two updates of the progress bar."""


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
    stats: Stats, read_bytes: Callable[[], int], total_bytes: Callable[[], int | None]
) -> Progress:
    """Create the progress bar of a command that writes records; see `make_progress`.

    Args:
        stats: of the records written so far.
        read_bytes: returns how many bytes of input were read so far.
        total_bytes: returns the size of all inputs, or None if it is unknown.
    """
    return make_progress(
        "writing",
        lambda seconds: format_write_figures(stats, read_bytes(), seconds),
        read_bytes,
        total_bytes,
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
