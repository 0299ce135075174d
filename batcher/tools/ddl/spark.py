"""Spark: a data frame and its view, which read only objects in a query's partitions."""

from __future__ import annotations

import re

from batcher.tools.ddl.columns import ArrayType, ColumnType, StructType
from batcher.tools.ddl.table import RECORD_COLUMN, EngineScript, PathLayout, TableDefinition

_GLOB = re.compile(r"[*?\[\]{}\\]")

_SETUP = """\
# Needs a session called `spark`: a notebook, pyspark, spark-submit. Spark 3.4 or later.
from pyspark.sql import functions

path = functions.expr("url_decode(_metadata.file_path)")
"""


def spark_program(table: TableDefinition) -> EngineScript:
    """Return a program that creates the view in a session called `spark`."""
    view = table.name.rpartition(".")[2]
    frames = [_frame_expression(table, layout) for layout in table.layouts]
    union = frames[0] + "".join(f".unionByName(\n{_indent(frame)}\n)" for frame in frames[1:])
    notes = []
    if table.scheme == "s3":
        notes.append("On EMR and Glue replace s3a:// by s3://.")
    if table.extension.endswith(".zst"):
        notes.append("Spark 3 needs Hadoop's native library to read .zst; Spark 4 does not.")
    return EngineScript(
        f"{_SETUP}{view} = {union}\n{view}.createOrReplaceTempView({view!r})\n", tuple(notes)
    )


def _frame_expression(table: TableDefinition, layout: PathLayout) -> str:
    """Return the data frame over the objects of one layout.

    Spark's partition discovery rejects folders such as salts, which are not `name=value`. The paths
    name objects rather than folders, so Spark does not start the discovery.
    """
    scheme = "s3a" if table.scheme == "s3" else "file"
    root = _GLOB.sub(r"\\\g<0>", f"{scheme}://{table.path}")
    paths = "".join(f"        {glob!r},\n" for glob in table.globs(layout, root))
    read = 'spark.read.option("lineSep", "\\n")'
    if table.columns:
        fields = ", ".join(
            f"{_quote_name(column.name)} {_format_type(column.type)}" for column in table.columns
        )
        read += f"\n    .schema({fields!r})\n    .json([\n{paths}    ])"
        selected = [f"functions.col({_quote_name(column.name)!r})" for column in table.columns]
    else:
        read += f"\n    .text([\n{paths}    ])"
        selected = [f'functions.col("value").alias({RECORD_COLUMN!r})']
    if table.salt and not layout.salt_bits:
        selected.append(f'functions.lit("").alias({table.salt!r})')
    field_partitions = {p.name for p in table.partition_columns if p.folder.is_field}
    pattern = repr(f"/{table.path_pattern(layout)}")
    for group, name in enumerate(table.group_names(layout), start=1):
        value = f"functions.regexp_extract(path, {pattern}, {group})"
        selected.append(
            f"{_decode_expression(value) if name in field_partitions else value}.alias({name!r})"
        )
    columns = "".join(f"        {column},\n" for column in selected)
    return f"(\n    {read}\n    .select(\n{columns}    )\n)"


def _decode_expression(value: str) -> str:
    """Return an expression that decodes a field's value. A truncated value stays encoded."""
    return (
        f"functions.when({value}.contains('~'), {value})"
        f".otherwise(functions.call_function('url_decode', {value}))"
    )


def _format_type(column_type: ColumnType) -> str:
    """Return a type in the syntax of Spark."""
    match column_type:
        case ArrayType(item):
            return f"ARRAY<{_format_type(item)}>"
        case StructType(fields):
            parts = (f"{_quote_name(name)}: {_format_type(t)}" for name, t in fields)
            return f"STRUCT<{', '.join(parts)}>"
    return column_type.name.upper()


def _quote_name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))
