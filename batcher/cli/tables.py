"""Tables: by rich on a terminal, aligned text everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    """Columns that are right-aligned."""


def print_table(table: Table) -> None:
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
            cell.rjust(width) if index in table.numeric else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"  {'  '.join(cells)}".rstrip())  # noqa: T201
    print()  # noqa: T201


def _print_rich(table: Table) -> None:
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
        is_number = index in table.numeric
        drawn.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
