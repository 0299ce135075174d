"""Exit codes, messages on standard error, and tables on standard output.

Messages may contain names and bodies from anywhere: they are escaped so that they cannot control
the terminal.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from batcher.reading.sanitize import sanitize

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
