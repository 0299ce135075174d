"""`batcher ddl`: what makes the objects under a root a table, for one engine."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import date

from batcher.cli.lines import InputError, LineReader
from batcher.cli.options import FaultCollector, add_setting_options, settings_from
from batcher.cli.output import DONE, echo
from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.stores.file import parse_folder_url
from batcher.stores.location import join_location
from batcher.tools.ddl.athena import athena_ddl
from batcher.tools.ddl.columns import TableColumn, infer_columns, parse_columns
from batcher.tools.ddl.duckdb import duckdb_view
from batcher.tools.ddl.pyarrow import pyarrow_program
from batcher.tools.ddl.spark import spark_program
from batcher.tools.ddl.table import EngineScript, TableDefinition, TableOptions, define_table

ENGINES: dict[str, Callable[[TableDefinition], EngineScript]] = {
    "athena": athena_ddl,
    "duckdb": duckdb_view,
    "spark": spark_program,
    "pyarrow": pyarrow_program,
}


LAYOUT_SETTINGS = ("fanout", "partition_by", "format", "compression")
"""The settings that objects were written with, and that a reader must know."""


SAMPLE_LINES = 10_000
"""The most records that columns are inferred from."""


MAX_LINE_BYTES = 64 * 1024**2


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "ddl",
        help="print what makes the objects a table: Athena, duckdb, Spark, pyarrow",
        description="Prints what makes the objects under a root a table: statements for Athena "
        "(partition projection) and duckdb (a view), programs for Spark and pyarrow. Each prunes "
        "by the partition, through the salt. Without --columns and --sample the table has one "
        "column, `record`, with the record's text. What to know besides goes to standard error. "
        "Nothing is read but the sample, and nothing is written.",
    )
    parser.add_argument("place", metavar="PLACE", help="s3://bucket/root or file://folder")
    parser.add_argument("--engine", dest="table_engine", required=True, choices=ENGINES)
    parser.add_argument("--table", default="", help="its name (default: the root's last folder)")
    declared = parser.add_mutually_exclusive_group()
    declared.add_argument(
        "--columns",
        metavar="LIST",
        help="fields that become columns: 'user bigint, tags array<string>, "
        "at struct<city:string>'; types are boolean, int, bigint, double, string and these",
    )
    declared.add_argument(
        "--sample",
        metavar="FILE",
        help=f"infer them from the first {SAMPLE_LINES:,} records of a file, or of -",
    )
    parser.add_argument(
        "--fanouts",
        metavar="LIST",
        help="all fanouts that were ever used here, as in 1,16 (default: --fanout)",
    )
    parser.add_argument(
        "--values",
        action="append",
        default=[],
        metavar="COLUMN=LIST",
        help="all values of a partition by a field, as in customer=acme,globex; may be repeated",
    )
    parser.add_argument("--since", metavar="DATE", help="the first day there is, as in 2025-01-31")
    # `--engine` is here the one that reads, so not all can be added
    add_setting_options(parser, LAYOUT_SETTINGS, "as they are where the objects are written")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = FaultCollector()
    with faults:
        settings = settings_from(arguments, arguments.place, os.environ)
    with faults:
        fanouts = _parse_fanouts(arguments.fanouts)
    with faults:
        values = _parse_values(arguments.values)
    with faults:
        since = _parse_date(arguments.since)
    with faults:
        columns = _read_columns(arguments)
    faults.raise_if_any()
    name = arguments.table
    wanted = TableOptions(name=name, columns=columns, fanouts=fanouts, values=values, since=since)
    table = define_table(settings, _location(settings), wanted)
    answer = ENGINES[arguments.table_engine](table)
    print(answer.text, end="")  # noqa: T201  # what a command line is for
    for note in answer.notes:
        echo(f"note: {note}")
    return DONE


def _location(settings: Settings) -> tuple[str, str]:
    """Return the scheme and the path of the root."""
    if settings.bucket.startswith("file:"):
        return "file", str(parse_folder_url(settings.bucket).absolute())
    return "s3", join_location(settings.bucket, settings.root)


def _read_columns(arguments: argparse.Namespace) -> Sequence[TableColumn]:
    """Return the declared or the inferred columns."""
    if arguments.columns is not None:
        return parse_columns(arguments.columns)
    if arguments.sample is None:
        return ()
    columns = infer_columns(asyncio.run(_read_first_lines(arguments.sample)))
    if not columns:
        raise SettingsError([f"sample: {arguments.sample} starts with no JSON object"])
    return columns


async def _read_first_lines(name: str) -> list[bytes]:
    """Read the first lines of a file.

    Raises:
        SettingsError: it cannot be read.
    """
    reader = LineReader([name], MAX_LINE_BYTES, expect_json=True)
    lines: list[bytes] = []
    try:
        async for block in reader:
            lines += block.text.splitlines()
            if len(lines) >= SAMPLE_LINES:
                reader.stop()
    except InputError as error:
        fault = f"sample: {error}"
        raise SettingsError([fault]) from None
    return lines[:SAMPLE_LINES]


def _parse_fanouts(text: str | None) -> list[int]:
    """Read `1,16`."""
    if text is None:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        fault = f"fanouts: expected powers of two as in 1,16, got {text!r}"
        raise SettingsError([fault]) from None


def _parse_values(given: Sequence[str]) -> dict[str, list[str]]:
    """Read `customer=acme,globex`, any number of times."""
    values: dict[str, list[str]] = {}
    for text in given:
        column, separator, listed = text.partition("=")
        if not separator or not listed:
            raise SettingsError([f"values: expected column=one,other, got {text!r}"])
        values.setdefault(column, []).extend(listed.split(","))
    return values


def _parse_date(text: str | None) -> date | None:
    """Read a day."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise SettingsError([f"since: expected a day as in 2025-01-31, got {text!r}"]) from None
