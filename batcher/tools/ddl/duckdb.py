"""duckdb: a view that reads only objects in a query's partitions."""

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
-- Once per session: the extensions for S3, and a secret with the credentials of the AWS tools.
-- INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws;
-- CREATE SECRET (TYPE s3, PROVIDER credential_chain{place});
"""

_OTHER_ENDPOINTS = """\
-- Other endpoints, in the secret: ENDPOINT 'localhost:8333', URL_STYLE 'path', USE_SSL false
"""


def duckdb_view(table: TableDefinition) -> EngineScript:
    """Return the view. DuckDB creates it only if there is an object for each length of salt."""
    notes = []
    if table.scheme == "s3":
        notes.append(
            "Each query lists all objects under the root, then reads those of its partitions."
        )
    if not table.is_json:
        notes.append(
            "duckdb drops empty lines, and a byte order mark at the start of an object. It fails "
            "on an object with a carriage return (0x0D), a NUL (0x00), bytes that are not UTF-8, "
            "or a line over 16 MiB, and may drop a carriage return. --engine pyarrow reads all."
        )
    if table.columns:
        notes.append(
            "duckdb rounds numbers with a fraction to 17 digits, also in columns of text; without "
            "--columns and --sample, `record` has all digits."
        )
    head = _S3_SETUP.format(place=_secret_place(table)) if table.scheme == "s3" else ""
    if head and not table.endpoint_url:
        head += _OTHER_ENDPOINTS
    name = ".".join(map(_quote_name, table.name.split(".")))
    selects = "\nUNION ALL\n".join(_select(table, layout) for layout in table.layouts)
    return EngineScript(f"{head}CREATE OR REPLACE VIEW {name} AS\n{selects};\n", tuple(notes))


def _secret_place(table: TableDefinition) -> str:
    """Return the parameters of the secret for where the bucket is."""
    place = f", REGION {_quote_text(table.region)}" if table.region else ""
    if table.endpoint_url:
        scheme, _, host = table.endpoint_url.rstrip("/").partition("://")
        is_secure = str(scheme == "https").lower()
        place += f", ENDPOINT {_quote_text(host)}, URL_STYLE 'path', USE_SSL {is_secure}"
    return place


def _select(table: TableDefinition, layout: PathLayout) -> str:
    """Return the SELECT over the objects of one layout.

    Partitions are computed from the objects' names instead of with `hive_partitioning`, so they may
    be in any folder, and their types are not guessed. duckdb still prunes objects by them, if the
    SELECT that reads the objects computes them.
    """
    fields = [f"record.{_quote_name(c.name)} AS {_quote_name(c.name)}" for c in table.columns] or [
        "record"
    ]
    names = [*([table.salt] if table.salt else []), *(p.name for p in table.partition_columns)]
    values = [f"{_record_expression(table)} AS record"]
    if table.salt and not layout.salt_bits:
        values.append(f"'' AS {_quote_name(table.salt)}")
    field_partitions = {
        partition.name for partition in table.partition_columns if partition.folder.is_field
    }
    pattern = _quote_text(f"/{table.path_pattern(layout)}")
    for group, name in enumerate(table.group_names(layout), start=1):
        value = f"regexp_extract(filename, {pattern}, {group})"
        expression = _decode_expression(value) if name in field_partitions else value
        values.append(f"{expression} AS {_quote_name(name)}")
    selected = ", ".join([*fields, *map(_quote_name, names)])
    inner = ",\n    ".join(values)
    inner = (
        f"  SELECT\n    {inner}\n  FROM {_read_expression(table, layout)}"  # all names are quoted
    )
    return f"SELECT {selected}\nFROM (\n{inner}\n)"


def _decode_expression(value: str) -> str:
    """Return an expression that decodes a field's value. A truncated value stays encoded."""
    return f"CASE WHEN contains({value}, '~') THEN {value} ELSE url_decode({value}) END"


def _record_expression(table: TableDefinition) -> str:
    """Return an expression for a record: its text, or its fields, NULL if the type differs."""
    if not table.is_json:
        return "record"
    if not table.columns:
        return "json"
    structure = {column.name: _format_type(column.type) for column in table.columns}
    return f"json_transform(json, {_quote_text(json.dumps(structure, ensure_ascii=False))})"


def _read_expression(table: TableDefinition, layout: PathLayout) -> str:
    """Return the table function that reads the objects."""
    root = f"s3://{table.path}" if table.scheme == "s3" else table.path
    globs = [_quote_text(glob) for glob in table.globs(layout, _GLOB.sub(r"[\g<0>]", root))]
    files = f"[\n    {f',{chr(10)}    '.join(globs)}\n  ]"
    # Given explicitly: duckdb does not see the extension of a path with a question mark
    options = f"filename = true, hive_partitioning = false, compression = '{table.compression}'"
    if table.is_json:
        return f"read_ndjson_objects({files}, {options})"
    return (
        f"read_csv({files}, {options},\n"
        "    columns = {'record': 'VARCHAR'}, auto_detect = false, header = false, delim = '',\n"
        "    quote = '', escape = '', new_line = '\\n', max_line_size = 16777216)\n"
        "  WHERE record IS NOT NULL"  # some empty lines are NULL
    )


def _format_type(column_type: ColumnType) -> object:
    """Return a type in the syntax of `json_transform`."""
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
