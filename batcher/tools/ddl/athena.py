"""Athena: a table with partition projection. The salt is a column with all values listed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from batcher.errors import SettingsError
from batcher.tools.ddl.columns import ArrayType, ColumnType, StructType
from batcher.tools.ddl.folders import (
    DIRECTIVE_DIGITS,
    PartitionFolder,
    PieceKind,
    TemplatePiece,
    to_column_name,
)
from batcher.tools.ddl.table import (
    MANY_SALTS,
    RECORD_COLUMN,
    EngineScript,
    PartitionColumn,
    PathLayout,
    TableDefinition,
)

MAX_ENUM_BYTES = 200_000
"""Longest list of values. A statement in Athena can have 262,144 bytes."""

_JAVA_LETTERS = {"Y": "yyyy", "m": "MM", "d": "dd", "H": "HH", "M": "mm", "S": "ss", "j": "DDD"}
"""Directives of `strftime` as patterns of `java.time.format.DateTimeFormatter`."""

_INTERVAL_UNITS = {
    "Y": "YEARS",
    "m": "MONTHS",
    "d": "DAYS",
    "H": "HOURS",
    "M": "MINUTES",
    "S": "SECONDS",
}

_INTEGER_RANGES = {
    "m": (1, 12),
    "d": (1, 31),
    "j": (1, 366),
    "H": (0, 23),
    "M": (0, 59),
    "S": (0, 59),
    "y": (0, 99),
    "V": (1, 53),
    "U": (0, 53),
    "W": (0, 53),
    "u": (1, 7),
}
"""Smallest and largest value of directives that can be integers by themselves."""

_LOCATION = re.compile(r"[A-Za-z0-9!_.()=+@:,~ /-]+")
"""Paths that need no quoting in a location, and contain neither globs nor placeholders."""

_JSON_SERDE = "org.openx.data.jsonserde.JsonSerDe"

_REGEX_SERDE = "org.apache.hadoop.hive.serde2.RegexSerDe"


def athena_ddl(table: TableDefinition) -> EngineScript:
    """Return the statements that create the table. Athena runs one at a time.

    Raises:
        SettingsError: Athena cannot read the location.
    """
    if table.scheme != "s3":
        raise SettingsError(["engine: athena reads s3:// only; choose another engine for a folder"])
    if not _LOCATION.fullmatch(table.path):
        fault = f"root: {table.path!r} has characters that Athena does not take literally"
        raise SettingsError([fault])
    if len(table.layouts) == 1:
        statements = [_create_table(table, table.layouts[0], table.name)]
    else:
        names = [_layout_table_name(table.name, layout) for layout in table.layouts]
        tables = [_create_table(table, *pair) for pair in zip(table.layouts, names, strict=True)]
        statements = [*tables, _create_view(table, names)]
    return EngineScript(";\n\n".join(statements) + ";\n", tuple(_make_notes(table)))


def _layout_table_name(name: str, layout: PathLayout) -> str:
    """Return the name of one of the two tables that the view combines."""
    return f"{name}_salted" if layout.salt_bits else f"{name}_unsalted"


def _create_table(table: TableDefinition, layout: PathLayout, name: str) -> str:
    """Return the CREATE TABLE statement of one layout."""
    columns, mapping = _format_columns(table)
    partitions = table.group_names(layout)
    declared = _format_list(f"`{column}` {kind}" for column, kind in columns)
    lines = [f"CREATE EXTERNAL TABLE {_quote_table_name(name)} (", declared, ")"]
    if partitions:
        lines.append(f"PARTITIONED BY ({', '.join(f'`{name}` string' for name in partitions)})")
    if table.columns:
        serde = {"ignore.malformed.json": "true", **mapping}
        lines += [
            f"ROW FORMAT SERDE '{_JSON_SERDE}'",
            f"WITH SERDEPROPERTIES ({_format_properties(serde)})",
        ]
    else:  # the whole line, whatever it contains
        lines += [
            f"ROW FORMAT SERDE '{_REGEX_SERDE}'",
            "WITH SERDEPROPERTIES ('input.regex' = '(?s)(.*)')",
        ]
    location = f"s3://{table.path}/"
    if not partitions:
        location += "".join(f"{partition.folder.literal_start}/" for partition in table.partitions)
    lines += ["STORED AS TEXTFILE", f"LOCATION {_quote_text(location)}"]
    if partitions:
        lines.append(f"TBLPROPERTIES ({_format_properties(_table_properties(table, layout))})")
    return "\n".join(lines)


def _table_properties(table: TableDefinition, layout: PathLayout) -> dict[str, str]:
    """Return the properties for projection: the location and the values of all partitions."""
    properties = {"projection.enabled": "true"}
    folders = []
    if layout.salt_bits:
        folders.append(f"${{{table.salt}}}")
        properties |= _prefix_properties(table.salt, enum_projection(layout.salts))
    for partition in table.partitions:
        value = f"${{{partition.name}}}" if partition.name else ""
        folders.append(f"{partition.folder.literal_start}{value}")
        if partition.name:
            properties |= _prefix_properties(
                partition.name, partition_projection(partition, table.since)
            )
    location = "/".join([f"s3://{table.path}", *folders])
    return properties | {"storage.location.template": f"{location}/"}


def _prefix_properties(column: str, properties: Mapping[str, str]) -> dict[str, str]:
    return {f"projection.{column}.{name}": value for name, value in properties.items()}


def _format_columns(table: TableDefinition) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return columns with types, and SerDe properties for fields with other names than theirs."""
    if not table.columns:
        return [(RECORD_COLUMN, "string")], {}
    taken = {table.salt, *(partition.name for partition in table.partition_columns)}
    columns, mapping = [], {}
    for column in table.columns:
        base = name = to_column_name(column.name)
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        columns.append((name, _format_type(column.type)))
        if name != column.name.lower():
            mapping[f"mapping.{name}"] = (
                column.name.lower()
            )  # the SerDe compares names in lower case
    return columns, mapping


def _format_type(column_type: ColumnType) -> str:
    """Return a type in the syntax of Athena."""
    match column_type:
        case ArrayType(item):
            return f"array<{_format_type(item)}>"
        case StructType(fields):
            return f"struct<{','.join(f'{name.lower()}:{_format_type(t)}' for name, t in fields)}>"
    return column_type.name


def _create_view(table: TableDefinition, names: list[str]) -> str:
    """Return the view over both tables. The salt is empty for objects without one."""
    columns = [_quote_view_name(name) for name, _ in _format_columns(table)[0]]
    partitions = [_quote_view_name(partition.name) for partition in table.partition_columns]
    selects = []
    for layout, name in zip(table.layouts, names, strict=True):
        salt = (
            _quote_view_name(table.salt)
            if layout.salt_bits
            else f"'' AS {_quote_view_name(table.salt)}"
        )
        selected = ", ".join([*columns, salt, *partitions])
        selects.append(f"SELECT {selected} FROM {_quote_view_name(name)}")  # noqa: S608  # quoted
    return f"CREATE OR REPLACE VIEW {_quote_view_name(table.name)} AS\n" + "\nUNION ALL\n".join(
        selects
    )


def _make_notes(table: TableDefinition) -> Iterator[str]:
    """Yield the limits of these tables."""
    if len(table.layouts) > 1:
        yield "Athena runs one statement at a time: run these one by one."
    projected = {p.name: partition_projection(p, table.since) for p in table.partition_columns}
    if any(p.get("range", "").startswith("NOW") for p in projected.values()):
        yield "Queries skip records that arrived over a year ago; set the first day with --since."
    if len(table.salts) > MANY_SALTS:
        yield f"A query lists {len(table.salts):,} folders per partition that it reads."
    if table.salt and enum_projection(table.salts)["type"] == "injected":
        yield f"There are too many salts for a list: every query must filter by {table.salt}."
    for name, properties in projected.items():
        if properties["type"] == "injected":
            yield (
                f"Every query must filter by {name}, with = or IN, on the value as it is in keys "
                f"(percent-encoded); --values {name}=one,other lists all values instead."
            )
    if not table.is_json:
        yield (
            "Athena ends lines at carriage returns (0x0D), too, and replaces bytes that are not "
            "UTF-8."
        )
    if not table.salt and not projected:
        yield "Every query reads all objects: there is neither a salt nor a partition."


def _format_list(items: Iterable[str]) -> str:
    return ",\n".join(f"  {item}" for item in items)


def _format_properties(properties: Mapping[str, str]) -> str:
    items = [f"{_quote_text(name)} = {_quote_text(value)}" for name, value in properties.items()]
    return f"\n{_format_list(items)}\n"


def _quote_text(value: str) -> str:
    """Return a string literal of a Hive statement."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quote_table_name(name: str) -> str:
    """Return a quoted table name for CREATE TABLE, with its database if it has one."""
    return ".".join(f"`{part}`" for part in name.split("."))


def _quote_view_name(name: str) -> str:
    """Return a quoted name for CREATE VIEW."""
    return ".".join(f'"{part}"' for part in name.split("."))


def partition_projection(partition: PartitionColumn, since: date | None) -> dict[str, str]:
    """Return the projection properties of a partition, without `projection.{column}.`.

    Args:
        partition: a partition that is a column.
        since: the first day; None: one year before each query.
    """
    if partition.values:
        return enum_projection(partition.values)
    folder = partition.folder
    if folder.is_time:
        unit = _date_unit(folder)
        if unit:
            return _date_projection(folder, unit, since)
        if len(folder.value_pieces) == 1 and folder.value_pieces[0].text in _INTEGER_RANGES:
            low, high = _INTEGER_RANGES[folder.value_pieces[0].text]
            digits = DIRECTIVE_DIGITS[folder.value_pieces[0].text]
            return {"type": "integer", "range": f"{low},{high}", "digits": str(digits)}
    return {"type": "injected"}


def enum_projection(values: Sequence[str]) -> dict[str, str]:
    """Return the properties of a column with these values, or injected if they are too many."""
    text = ",".join(values)
    if len(text) > MAX_ENUM_BYTES:
        return {"type": "injected"}
    return {"type": "enum", "values": text}


def _date_unit(folder: PartitionFolder) -> str:
    """Return the interval unit of a folder that is a date, or an empty text if it is not.

    A date has each unit from the year down to its smallest one, exactly once.
    """
    letters = [piece.text for piece in folder.value_pieces if piece.kind is PieceKind.ARRIVAL]
    if sorted(letters) == ["Y", "j"]:
        return "DAYS"
    needed = list(_INTERVAL_UNITS)[: len(letters)]
    return _INTERVAL_UNITS[needed[-1]] if sorted(letters) == sorted(needed) else ""


def _date_projection(folder: PartitionFolder, unit: str, since: date | None) -> dict[str, str]:
    """Return the properties of a date, in its format in keys."""
    first = (
        "NOW-1YEARS"
        if since is None
        else "".join(_format_piece(piece, since) for piece in folder.value_pieces)
    )
    return {
        "type": "date",
        "format": "".join(map(_java_pattern, folder.value_pieces)),
        "range": f"{first},NOW",
        "interval": "1",
        "interval.unit": unit,
    }


def _format_piece(piece: TemplatePiece, since: date) -> str:
    """Return one piece of the first date."""
    return since.strftime(f"%{piece.text}") if piece.kind is PieceKind.ARRIVAL else piece.text


def _java_pattern(piece: TemplatePiece) -> str:
    """Return one piece as a Java pattern, with literal letters quoted."""
    if piece.kind is PieceKind.ARRIVAL:
        return _JAVA_LETTERS[piece.text]
    return "".join(f"'{char}'" if char.isalpha() else char for char in piece.text)
