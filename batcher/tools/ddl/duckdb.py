"""duckdb: a view that reads no more objects than a query's partitions have."""

from __future__ import annotations

import json
import re

from batcher.tools.ddl.columns import ArrayType, ColumnType, StructType
from batcher.tools.ddl.table import EngineScript, PathLayout, TableDefinition

_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "string": "VARCHAR",
}


_GLOB = re.compile(r"[*?\[]")


_S3_SETUP = """\
-- Once a session: what reads S3, and a secret for it, from wherever AWS's own tools have theirs.
-- INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws;
-- CREATE SECRET (TYPE s3, PROVIDER credential_chain);
-- For another endpoint say there, too: ENDPOINT 'localhost:8333', URL_STYLE 'path', USE_SSL false
"""


def duckdb_view(table: TableDefinition) -> EngineScript:
    """Write a view; it can be made once there is an object for each length of salt."""
    notes = []
    if table.scheme == "s3":
        notes.append("Each query lists all of the root, and then reads what it needs.")
    if not table.is_json:
        notes.append("duckdb drops empty lines, and a carriage return at a line's end.")
    head = _S3_SETUP if table.scheme == "s3" else ""
    name = ".".join(map(_quote_name, table.name.split(".")))
    selects = "\nUNION ALL\n".join(_select(table, layout) for layout in table.layouts)
    return EngineScript(f"{head}CREATE OR REPLACE VIEW {name} AS\n{selects};\n", tuple(notes))


def _select(table: TableDefinition, layout: PathLayout) -> str:
    """Write the part of the view for the objects of one shape.

    The partitions come from the objects' names and not by `hive_partitioning`: so they may stand
    in any folder, and none is taken for another type. duckdb leaves objects out by them all the
    same, if they are made in the one SELECT that reads.
    """
    fields = [f"record.{_quote_name(c.name)} AS {_quote_name(c.name)}" for c in table.columns] or [
        "record"
    ]
    names = [*([table.salt] if table.salt else []), *(p.name for p in table.partition_columns)]
    values = [f"{_record_expression(table)} AS record"]
    if table.salt and not layout.salt_bits:
        values.append(f"'' AS {_quote_name(table.salt)}")
    encoded = {partition.name for partition in table.partition_columns if partition.folder.is_field}
    pattern = _quote_text(f"/{table.path_pattern(layout)}")
    for group, name in enumerate(table.group_names(layout), start=1):
        value = f"regexp_extract(filename, {pattern}, {group})"
        values.append(
            f"{_decode_expression(value) if name in encoded else value} AS {_quote_name(name)}"
        )
    shown = ", ".join([*fields, *map(_quote_name, names)])
    inner = ",\n    ".join(values)
    inner = f"  SELECT\n    {inner}\n  FROM {_read_expression(table, layout)}"  # all is quoted
    return f"SELECT {shown}\nFROM (\n{inner}\n)"


def _decode_expression(value: str) -> str:
    """Write a record's field as the record had it; one that was cut stays as it is in the key."""
    return f"CASE WHEN contains({value}, '~') THEN {value} ELSE url_decode({value}) END"


def _record_expression(table: TableDefinition) -> str:
    """Write a record: its text, or its fields, of which what does not fit is NULL."""
    if not table.is_json:
        return "record"
    if not table.columns:
        return "json"
    structure = {column.name: _format_type(column.type) for column in table.columns}
    return f"json_transform(json, {_quote_text(json.dumps(structure, ensure_ascii=False))})"


def _read_expression(table: TableDefinition, layout: PathLayout) -> str:
    """Write the read of the objects."""
    root = f"s3://{table.path}" if table.scheme == "s3" else table.path
    globs = [_quote_text(glob) for glob in table.globs(layout, _GLOB.sub(r"[\g<0>]", root))]
    files = f"[\n    {f',{chr(10)}    '.join(globs)}\n  ]"
    # Told outright, for a path with a question mark would hide what it ends with
    how = f"filename = true, hive_partitioning = false, compression = '{table.compression}'"
    if table.is_json:
        return f"read_ndjson_objects({files}, {how})"
    return (
        f"read_csv({files}, {how},\n"
        "    columns = {'record': 'VARCHAR'}, auto_detect = false, header = false, delim = '',\n"
        "    quote = '', escape = '', new_line = '\\n', max_line_size = 16777216)\n"
        "  WHERE record IS NOT NULL"  # as some empty lines are
    )


def _format_type(column_type: ColumnType) -> object:
    """Return a type as `json_transform` has it."""
    match column_type:
        case ArrayType(item):
            return [_format_type(item)]
        case StructType(fields):
            return {name: _format_type(inner) for name, inner in fields}
    return _TYPES[column_type.name]


def _quote_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
