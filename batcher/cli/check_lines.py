"""Lines of `batcher check`: one a finding, coloured by rich on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

from batcher.checking.findings import Finding, Mark, Report
from batcher.printable import printable

_WIDTH = max(map(len, Mark))
_STYLES = {
    Mark.OK: "green",
    Mark.WARNING: "yellow",
    Mark.ERROR: "bold red",
    Mark.NOT_CHECKED: "dim",
}


def show(report: Report, place: str) -> None:
    """Print all findings, and their counts, to standard output."""
    write = _coloured() or _plain
    width = max((len(finding.check) for finding in report.findings), default=0)
    for finding in report.findings:
        write(finding, width)
    print(f"{printable(place)}: {report.summary()}" if place else report.summary())  # noqa: T201  # what a command line is for


def _plain(finding: Finding, width: int) -> None:
    print(f"{finding.mark:<{_WIDTH}}  {finding.check:<{width}}  {finding.line()}")  # noqa: T201


def _coloured() -> Callable[[Finding, int], None] | None:
    """Give what prints in colours; None: no terminal, or no rich, which is an extra."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console  # noqa: PLC0415  # an extra
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return None
    console = Console(soft_wrap=True, highlight=False)

    def write(finding: Finding, width: int) -> None:
        mark = (f"{finding.mark:<{_WIDTH}}", _STYLES[finding.mark])
        console.print(Text.assemble(mark, f"  {finding.check:<{width}}  {finding.line()}"))

    return write
