"""`batcher ddl`: print a table definition over the objects under a root, for one engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from batcher.cli.command import Arguments, Command
from batcher.cli.existing_objects import choose_compression, count_suffixes
from batcher.cli.existing_partitions import describe_partitions, find_other_partitions
from batcher.cli.inputs.sample import read_sample
from batcher.cli.options import existing_settings, place_argument, setting_options
from batcher.cli.output import DONE, echo
from batcher.cli.parameters import Option
from batcher.cli.signals import run_in_loop
from batcher.errors import SettingsError
from batcher.keys.object_format import COMPRESSION_SUFFIXES, Format, data_suffix
from batcher.settings import ENV_PREFIX, Settings
from batcher.stores import open_reader
from batcher.stores.location import join_location, parse_folder_url
from batcher.tools.ddl.athena import athena_ddl
from batcher.tools.ddl.columns import TableColumn, infer_columns, parse_columns
from batcher.tools.ddl.duckdb import duckdb_view
from batcher.tools.ddl.pyarrow import pyarrow_program
from batcher.tools.ddl.spark import spark_program
from batcher.tools.ddl.table import EngineScript, TableDefinition, TableOptions, define_table
from batcher.tools.formatting import format_count

ENGINES: dict[str, Callable[[TableDefinition], EngineScript]] = {
    "athena": athena_ddl,
    "duckdb": duckdb_view,
    "spark": spark_program,
    "pyarrow": pyarrow_program,
}


SAMPLE_LINES = 10_000
"""Number of records that columns are inferred from, at most."""


SAMPLE_BYTES = 16 * 1024**2
"""Text that is read from a sample, rounded up to blocks of `LineReader`."""


MAX_LINE_BYTES = 1024**2
"""Longer lines of a sample are not parsed: their values could take a hundred times the memory."""


MAX_NOTES = 10
"""Fields that become no column and are named, at most."""


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    with faults:
        settings = existing_settings(arguments, arguments.place, os.environ)
    with faults:
        fanouts = _parse_fanouts(arguments.fanouts)
    with faults:
        values = _parse_values(arguments.values)
    with faults:
        since = _parse_date(arguments.since)
    with faults:
        columns = _read_columns(arguments)
    faults.raise_if_any()
    options = TableOptions(
        name=arguments.table or "", columns=columns, fanouts=fanouts, values=values, since=since
    )
    table = define_table(settings, _location(settings), options)
    table = _match_objects(arguments, table, settings.partition_by)
    if table.scheme == "file":
        run_in_loop(_warn_of_other_partitions(settings))
    script = ENGINES[arguments.table_engine](table)
    print(script.text, end="")  # noqa: T201  # what a command line is for
    for note in script.notes:
        echo(f"note: {note}")
    return DONE


def _location(settings: Settings) -> tuple[str, str]:
    """Return the URL scheme and the path of the root."""
    if settings.bucket.startswith("file:"):
        return "file", str(parse_folder_url(settings.bucket).absolute())
    return "s3", join_location(settings.bucket, settings.root)


def _is_given(arguments: Arguments, setting: str) -> bool:
    """Return whether an option or a variable has this setting."""
    return setting in arguments.settings or f"{ENV_PREFIX}{setting.upper()}" in os.environ


def _match_objects(
    arguments: Arguments, table: TableDefinition, partition_by: str
) -> TableDefinition:
    """Return the table with the compression of the objects in a folder, unless it was set.

    It warns about what the table leaves out: an engine finds no files, or only some of them.
    """
    is_set = _is_given(arguments, "compression")
    if table.scheme != "file":
        if not is_set:
            echo(
                f"note: S3 is not asked; the table has objects that end in {table.extension}, pass "
                "--compression if the writer had another"
            )
        if not _is_given(arguments, "partition_by"):
            echo(
                f"note: S3 is not asked; the table has the folders {partition_by!r}, pass "
                "--partition-by if the writer had another"
            )
        return table
    counts = count_suffixes(Path(table.path))
    if not is_set:
        table = choose_compression(table, counts)
    for suffix in sorted(counts.keys() - {table.extension}):
        echo(
            f"warning: objects that end in {suffix} ({counts[suffix]:,}) are not in the table, "
            f"which has those that end in {table.extension}; for a table of them pass "
            f"{_suffix_options(suffix)}"
        )
    return table


async def _warn_of_other_partitions(settings: Settings) -> None:
    """Warn if objects in a folder have partitions that the table does not have."""
    others = await find_other_partitions(
        open_reader(settings), settings.root, settings.partition_by
    )
    if others:
        echo(
            f"warning: objects in folders such as {describe_partitions(others)} are not "
            f"in the table, which has those of {settings.partition_by or 'no folders'!r}; pass the "
            "--partition-by of their writer"
        )


def _suffix_options(suffix: str) -> str:
    """Return the options for a table of objects with this suffix."""
    return next(
        f"--format {record_format} --compression {compression}"
        for record_format in Format
        for compression in COMPRESSION_SUFFIXES
        if data_suffix(record_format, compression) == suffix
    )


def _read_columns(arguments: Arguments) -> Sequence[TableColumn]:
    """Return the columns that were declared or inferred, or none."""
    if arguments.columns is not None and arguments.sample is not None:
        raise SettingsError(["columns, sample: both given; leave one of them out"])
    if arguments.columns is not None:
        return parse_columns(arguments.columns)
    if arguments.sample is None:
        return ()
    reading = read_sample(
        arguments.sample, MAX_LINE_BYTES, SAMPLE_BYTES, max_lines=SAMPLE_LINES, expect_json=True
    )
    lines, long_lines = run_in_loop(reading)
    lines = lines[:SAMPLE_LINES]
    left_out: dict[str, str] = {}
    columns = infer_columns(lines, left_out)
    for name, reason in list(left_out.items())[:MAX_NOTES]:
        echo(f"note: the field {name!r:.100} is no column: {reason}")
    if len(left_out) > MAX_NOTES:
        echo(f"note: and {len(left_out) - MAX_NOTES} more")
    if long_lines:
        echo(
            f"note: {long_lines} of {format_count(len(lines) + long_lines, 'record')} sampled "
            f"longer than {MAX_LINE_BYTES:,} bytes; no columns are inferred from what is so long, "
            "name these by --columns"
        )
    if not columns:
        raise SettingsError([f"sample: {arguments.sample} does not start with a JSON object"])
    return columns


def _parse_fanouts(text: str | None) -> list[int]:
    """Parse a list of fanouts such as `1,16`."""
    if text is None:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        fault = f"fanouts: {text!r} is not a list of numbers; expected powers of two as in 1,16"
        raise SettingsError([fault]) from None


def _parse_values(texts: Sequence[str]) -> dict[str, list[str]]:
    """Parse options such as `customer=acme,globex` into the values of each column."""
    values: dict[str, list[str]] = {}
    for text in texts:
        column, separator, column_values = text.partition("=")
        if not separator or not column_values:
            fault = f"values: {text!r} names no column or no value; expected column=one,other"
            raise SettingsError([fault])
        values.setdefault(column, []).extend(column_values.split(","))
    return values


def _parse_date(text: str | None) -> date | None:
    """Parse a date such as `2025-01-31`."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        fault = f"since: {text!r} is not a date; expected one as in 2025-01-31"
        raise SettingsError([fault]) from None


COMMAND = Command(
    run,
    description="Prints a table definition over the objects under a root: statements for "
    "Athena (partition projection) and DuckDB (a view), programs for Spark and pyarrow. All "
    "of them prune by partition, across all randomized prefixes. Without --columns and --sample "
    "the table has one column, `record`, with the record's text. Notes go to standard error. "
    "Only the sample is read, and nothing is written. Pass the settings that the writer of the "
    "objects has. The compression of a folder's objects is taken from their names; S3 is not "
    "asked.",
    examples={
        "batcher ddl s3://my-bucket/events --engine athena \\\n    --columns 'id bigint'": (
            "print statements for Athena"
        ),
        "batcher ddl file://out --engine duckdb --sample in.ndjson": (
            "print a view for DuckDB, with columns as in a file"
        ),
    },
    parameters=[
        place_argument(),
        Option(
            "--engine",
            f"[{'|'.join(ENGINES)}]",
            "the query engine",
            also="table_engine",
            needed=True,
            choices=list(ENGINES),
        ),
        Option("--table", "NAME", "its name (default: the last folder of the root)"),
        Option(
            "--columns",
            "LIST",
            "fields that become columns: 'user bigint, tags array<string>, "
            "at struct<city:string>'; types: boolean, int, bigint, double, string, array, struct",
        ),
        Option(
            "--sample",
            "FILE",
            f"infer columns from the first {SAMPLE_LINES:,} records of a file, or - for "
            f"standard input; of {SAMPLE_BYTES // 1024**2} MiB, and of records up to "
            f"{MAX_LINE_BYTES:,} bytes",
            completes="file",
        ),
        Option(
            "--fanouts",
            "LIST",
            "all fanouts that objects under this root were written with: 1,16 (default: --fanout)",
        ),
        Option(
            "--values",
            "COLUMN=LIST",
            "all values of a partition by a field: customer=acme,globex; may be repeated",
            multiple=True,
        ),
        Option("--since", "DATE", "the first day that has objects: 2025-01-31"),
        # Not all settings: `--engine` is the query engine here
        *setting_options(("fanout", "partition_by", "format", "compression")),
        *setting_options(("region", "endpoint_url")),
    ],
    exit_codes={},
)
