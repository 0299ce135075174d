"""Exit codes, messages on standard error, and tables on standard output.

Messages may contain names and bodies from anywhere: they are escaped so that they cannot control
the terminal.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from batcher.reading.sanitize import sanitize

if TYPE_CHECKING:
    from rich.console import Console

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


MAX_TEXT_WIDTH = 100
"""Paragraphs are not printed wider than this."""


MIN_TEXT_WIDTH = 60
"""On a narrower terminal, text is not wrapped at blanks."""


BORDER_WIDTH = 3
"""Blanks between the columns of a table, at most."""


LOG_FORMATS = ("text", "json")
"""Forms of the messages on standard error."""


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@dataclass(slots=True)
class _MessageStyle:
    """Which messages are printed, and how."""

    lowest_level: int = 0
    as_json: bool = False
    with_traceback: bool = False


_style = _MessageStyle()


STDOUT, STDERR = 1, 2


def discard(stream: int) -> None:
    """Let what is written to a standard stream from now on, or is buffered, vanish."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def echo(text: str, level: str = "", program: str = "batcher") -> None:
    """Print a message of one or more lines to standard error.

    Args:
        text: the message. May start with `error: ` or `warning: `, which then is its level.
        level: its level, if the text does not start with it: `info` by default.
        program: what the message starts with, in text.
    """
    start, separator, rest = text.partition(": ")
    has_level = not level and bool(separator) and start in _LEVELS
    level = level or (start if has_level else "info")
    if _LEVELS[level] < _style.lowest_level:
        return
    line = f"{program}: {sanitize(text)}"
    if _style.as_json:
        from batcher.cli.json_line import to_json  # noqa: PLC0415  # rarely needed

        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = {"time": time, "level": level, "message": sanitize(rest if has_level else text)}
        line = to_json(document)
    elif level != "debug":  # tracebacks
        line = wrap_for_terminal(line, sys.stderr)
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201  # what a command line is for
    except OSError:  # a message that is lost does not change what the command did
        discard(STDERR)


def wrap_for_terminal(text: str, stream: TextIO) -> str:
    """Return text with rows as wide as the terminal, broken at blanks. A pipe gets it as it is.

    Rows that follow are indented. Words that are longer than a row stay whole.
    """
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        columns = 0
    if columns < MIN_TEXT_WIDTH:
        return text
    from textwrap import fill  # noqa: PLC0415  # on a terminal

    indents = [" " * (len(line) - len(line.lstrip(" ")) + 2) for line in text.split("\n")]
    return "\n".join(
        fill(
            line,
            columns,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line, indent in zip(text.split("\n"), indents, strict=True)
    )


def shows_progress() -> bool:
    """Return whether a progress bar may be shown: messages are text, and not only errors."""
    return not _style.as_json and _style.lowest_level < _LEVELS["error"]


def echo_traceback() -> None:
    """Print the traceback of the exception that is being handled, with `-vv`."""
    if _style.with_traceback:
        import traceback  # noqa: PLC0415  # rarely needed

        echo(traceback.format_exc().rstrip(), "debug")


@contextmanager
def messages(verbosity: int, log_format: str, *, quiet: bool) -> Iterator[None]:
    """Choose which messages are printed, and print batcher's log records as messages.

    Args:
        verbosity: number of `-v`. Log records are printed from WARNING on, with 1 from INFO on,
            with 2 all of them, with tracebacks.
        log_format: one of `LOG_FORMATS`.
        quiet: whether only errors are printed.
    """
    global _style  # noqa: PLW0603  # standard error is global, too
    previous_style = _style
    _style = _MessageStyle(
        _LEVELS["error"] if quiet else 0, log_format == "json", verbosity > 1 and not quiet
    )
    logger = logging.getLogger("batcher")
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    handler, previous_level = _EchoHandler(level), logger.level
    if verbosity:
        logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(previous_level)
        _style = previous_style


class _EchoHandler(logging.Handler):
    """Prints log records. Rich prints the line above a progress bar that is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower().replace("critical", "error")
        echo(f"{level}: {record.getMessage()}")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with a title."""

    title: str
    columns: Sequence[str]
    """Names of the columns. A table whose names are all empty has no header."""
    rows: Sequence[Sequence[str]]
    right_aligned: frozenset[int] = frozenset()
    """Indices of the columns that are right-aligned."""

    def without_empty_columns(self) -> TextTable:
        """Return the table without the columns that have nothing in any row."""
        kept = [i for i, cells in enumerate(zip(*self.rows, strict=True)) if any(cells)]
        right_aligned = frozenset(new for new, i in enumerate(kept) if i in self.right_aligned)
        columns = [self.columns[i] for i in kept]
        return TextTable(
            self.title, columns, [[row[i] for i in kept] for row in self.rows], right_aligned
        )


def make_console() -> Console | None:
    """Return a console of rich if standard output is a terminal, else None: text stays plain.

    Rich, an extra, honours NO_COLOR and TERM, and FORCE_COLOR in a pipe. It wraps at words.
    """
    if not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR")):
        return None
    try:
        from rich import console  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    return console.Console(highlight=False)


def print_text(text: str, style: str = "", indent: int = 0) -> None:
    """Print a paragraph to standard output. On a terminal it is wrapped at words.

    Args:
        text: the paragraph.
        style: its colour on a terminal.
        indent: blanks at the start of each line.
    """
    if console := make_console():
        from rich.padding import Padding  # noqa: PLC0415  # an extra
        from rich.text import Text  # noqa: PLC0415

        width = min(console.width, MAX_TEXT_WIDTH)
        console.print(Padding(Text(text, style), (0, 0, 0, indent), expand=False), width=width)
    else:
        print(wrap_for_terminal(f"{'':{indent}}{text}", sys.stdout))  # noqa: T201  # what a command line is for


def print_table(table: TextTable) -> None:
    """Print a table to standard output: with rich on a terminal, else as aligned text."""
    if console := make_console():
        _print_rich(console, table)
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


def _print_rich(console: Console, table: TextTable) -> None:
    from rich import box  # noqa: PLC0415  # an extra
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns = zip(table.columns, *table.rows, strict=True)
    words = [max(map(len, " ".join(column).split()), default=0) for column in columns]
    if sum(words) + BORDER_WIDTH * (len(words) + 1) > console.width:
        _print_rows(table)
        return
    rich_table = RichTable(
        title=Text(table.title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_header=any(table.columns),
    )
    for index, name in enumerate(table.columns):
        is_right = index in table.right_aligned
        rich_table.add_column(
            name,
            justify="right" if is_right else "left",
            min_width=words[index],
            overflow="fold",
        )
    for row in table.rows:
        rich_table.add_row(*map(Text, row))
    console.print(rich_table)


def _print_rows(table: TextTable) -> None:
    """Print a table that does not fit: each row as a list, so that no word is broken."""
    print_text(table.title)
    for row in table.rows:
        named = list(zip(table.columns, row, strict=True))
        print_text(" ".join(cell for name, cell in named if not name), indent=2)
        for name, cell in named:
            if name and cell:
                print_text(f"{name}: {cell}", indent=4)
    print()  # noqa: T201
