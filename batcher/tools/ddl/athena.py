"""Athena: a table by partition projection, its salt a column of which every value is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from batcher.errors import SettingsError
from batcher.tools.ddl.columns import Array, Struct, Type
from batcher.tools.ddl.folders import DIGITS, Folder, Kind, Piece, legal_name
from batcher.tools.ddl.table import MANY_SALTS, RECORD, Answer, Layout, Partition, Table

MOST_ENUM_BYTES = 200_000
"""A longer list would not fit into a statement: Athena takes 262,144 bytes."""


_LETTERS = {"Y": "yyyy", "m": "MM", "d": "dd", "H": "HH", "M": "mm", "S": "ss", "j": "DDD"}
"""Directives of `strftime` as `java.time.format.DateTimeFormatter` has them."""


_UNITS = {"Y": "YEARS", "m": "MONTHS", "d": "DAYS", "H": "HOURS", "M": "MINUTES", "S": "SECONDS"}


_RANGES = {
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


_LOCATION = re.compile(r"[A-Za-z0-9!_.()=+@:,~ /-]+")
"""What needs no quoting in a location, and is neither a glob nor a placeholder."""


_JSON = "org.openx.data.jsonserde.JsonSerDe"


_REGEX = "org.apache.hadoop.hive.serde2.RegexSerDe"


def athena_ddl(table: Table) -> Answer:
    """Write the statements that make the table; each is to be run by itself.

    Raises:
        SettingsError: Athena cannot read from there.
    """
    if table.scheme != "s3":
        raise SettingsError(["engine: athena reads s3:// only"])
    if not _LOCATION.fullmatch(table.path):
        fault = f"root: {table.path!r} has characters that Athena takes for more than a location"
        raise SettingsError([fault])
    if len(table.layouts) == 1:
        statements = [_table(table, table.layouts[0], table.name)]
    else:
        names = [_beside(table.name, layout) for layout in table.layouts]
        tables = [_table(table, *pair) for pair in zip(table.layouts, names, strict=True)]
        statements = [*tables, _view(table, names)]
    return Answer(";\n\n".join(statements) + ";\n", tuple(_notes(table)))


def _beside(name: str, layout: Layout) -> str:
    """Name one of two tables that a view joins."""
    return f"{name}_salted" if layout.salt_bits else f"{name}_unsalted"


def _table(table: Table, layout: Layout, name: str) -> str:
    """Write one table's statement."""
    columns, mapping = _columns(table)
    partitions = table.names(layout)
    declared = _list(f"`{column}` {kind}" for column, kind in columns)
    lines = [f"CREATE EXTERNAL TABLE {_name(name)} (", declared, ")"]
    if partitions:
        lines.append(f"PARTITIONED BY ({', '.join(f'`{name}` string' for name in partitions)})")
    if table.columns:
        serde = {"ignore.malformed.json": "true", **mapping}
        lines += [f"ROW FORMAT SERDE '{_JSON}'", f"WITH SERDEPROPERTIES ({_properties(serde)})"]
    else:  # The line as it is, whatever is in it
        lines += [
            f"ROW FORMAT SERDE '{_REGEX}'",
            "WITH SERDEPROPERTIES ('input.regex' = '(?s)(.*)')",
        ]
    location = f"s3://{table.path}/"
    if not partitions:
        location += "".join(f"{partition.folder.start}/" for partition in table.partitions)
    lines += ["STORED AS TEXTFILE", f"LOCATION {_text(location)}"]
    if partitions:
        lines.append(f"TBLPROPERTIES ({_properties(_projected(table, layout))})")
    return "\n".join(lines)


def _projected(table: Table, layout: Layout) -> dict[str, str]:
    """Give the table's properties: where each partition lies, and all there can be."""
    properties = {"projection.enabled": "true"}
    folders = []
    if layout.salt_bits:
        folders.append(f"${{{table.salt}}}")
        properties |= _prefixed(table.salt, enum(layout.salts))
    for partition in table.partitions:
        value = f"${{{partition.name}}}" if partition.name else ""
        folders.append(f"{partition.folder.start}{value}")
        if partition.name:
            properties |= _prefixed(partition.name, projection_of(partition, table.since))
    location = "/".join([f"s3://{table.path}", *folders])
    return properties | {"storage.location.template": f"{location}/"}


def _prefixed(column: str, properties: Mapping[str, str]) -> dict[str, str]:
    return {f"projection.{column}.{name}": value for name, value in properties.items()}


def _columns(table: Table) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Give columns and types, and the properties for those whose field Athena could not name."""
    if not table.columns:
        return [(RECORD, "string")], {}
    taken = {table.salt, *(partition.name for partition in table.named)}
    columns, mapping = [], {}
    for column in table.columns:
        legal = name = legal_name(column.name)
        number = 2
        while name in taken:
            name, number = f"{legal}_{number}", number + 1
        taken.add(name)
        columns.append((name, _type(column.type)))
        if name != column.name.lower():
            mapping[f"mapping.{name}"] = column.name.lower()  # as the SerDe compares names
    return columns, mapping


def _type(kind: Type) -> str:
    """Write a type."""
    match kind:
        case Array(item):
            return f"array<{_type(item)}>"
        case Struct(fields):
            return f"struct<{','.join(f'{name.lower()}:{_type(t)}' for name, t in fields)}>"
    return kind.name


def _view(table: Table, names: list[str]) -> str:
    """Join two tables; the one without salts has an empty one."""
    columns = [_quoted(name) for name, _ in _columns(table)[0]]
    partitions = [_quoted(partition.name) for partition in table.named]
    selects = []
    for layout, name in zip(table.layouts, names, strict=True):
        salt = _quoted(table.salt) if layout.salt_bits else f"'' AS {_quoted(table.salt)}"
        selects.append(f"SELECT {', '.join([*columns, salt, *partitions])} FROM {_quoted(name)}")  # noqa: S608  # all are quoted
    return f"CREATE OR REPLACE VIEW {_quoted(table.name)} AS\n" + "\nUNION ALL\n".join(selects)


def _notes(table: Table) -> Iterator[str]:
    """Say what these tables cannot do by themselves."""
    if len(table.layouts) > 1:
        yield "Athena takes one statement at a time: run each of these by itself."
    projected = {p.name: projection_of(p, table.since) for p in table.named}
    if any(told.get("range", "").startswith("NOW") for told in projected.values()):
        yield "What arrived over a year ago is not found; --since 2025-01-31 looks back further."
    if len(table.salts) > MANY_SALTS:
        yield f"A query lists {len(table.salts):,} folders for each partition that it looks at."
    if table.salt and enum(table.salts)["type"] == "injected":
        yield f"So many salts fit no list: every query must say which {table.salt} it wants."
    for name, told in projected.items():
        if told["type"] == "injected":
            yield (
                f"Every query must say which {name} it wants, by = or IN, as it stands in keys "
                f"(percent-encoded); --values {name}=one,other tells all there are."
            )
    if not table.salt and not projected:
        yield "Nothing is pruned: there is neither a salt nor a partition."


def _list(items: Iterable[str]) -> str:
    return ",\n".join(f"  {item}" for item in items)


def _properties(properties: Mapping[str, str]) -> str:
    items = [f"{_text(name)} = {_text(value)}" for name, value in properties.items()]
    return f"\n{_list(items)}\n"


def _text(value: str) -> str:
    """Quote a text as Hive's statements have it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _name(name: str) -> str:
    """Quote a table's name, and its database's, in a table's statement."""
    return ".".join(f"`{part}`" for part in name.split("."))


def _quoted(name: str) -> str:
    """Quote a name in a view's statement."""
    return ".".join(f'"{part}"' for part in name.split("."))


def projection_of(partition: Partition, since: date | None) -> dict[str, str]:
    """Give the properties for one partition, without `projection.{column}.`.

    Args:
        partition: one that is a column.
        since: the first day; None for a year before each query.
    """
    if partition.values:
        return enum(partition.values)
    folder = partition.folder
    if folder.is_time:
        unit = _unit(folder)
        if unit:
            return _date(folder, unit, since)
        if len(folder.value) == 1 and folder.value[0].text in _RANGES:
            low, high = _RANGES[folder.value[0].text]
            digits = DIGITS[folder.value[0].text]
            return {"type": "integer", "range": f"{low},{high}", "digits": str(digits)}
    return {"type": "injected"}


def enum(values: Sequence[str]) -> dict[str, str]:
    """Give the properties of a column with these values, or, of too many, of one that is asked."""
    text = ",".join(values)
    if len(text) > MOST_ENUM_BYTES:
        return {"type": "injected"}
    return {"type": "enum", "values": text}


def _unit(folder: Folder) -> str:
    """Give the step of a folder that is a date, or nothing: a date has all units above its least.

    Every part of it is written once.
    """
    letters = [piece.text for piece in folder.value if piece.kind is Kind.ARRIVAL]
    if sorted(letters) == ["Y", "j"]:
        return "DAYS"
    ladder = list(_UNITS)[: len(letters)]
    return _UNITS[ladder[-1]] if sorted(letters) == sorted(ladder) else ""


def _date(folder: Folder, unit: str, since: date | None) -> dict[str, str]:
    """Give the properties of a date, in the form that it has in keys."""
    first = (
        "NOW-1YEARS"
        if since is None
        else "".join(_date_expression(piece, since) for piece in folder.value)
    )
    return {
        "type": "date",
        "format": "".join(map(_pattern, folder.value)),
        "range": f"{first},NOW",
        "interval": "1",
        "interval.unit": unit,
    }


def _date_expression(piece: Piece, since: date) -> str:
    """Write one part of the first date."""
    return since.strftime(f"%{piece.text}") if piece.kind is Kind.ARRIVAL else piece.text


def _pattern(piece: Piece) -> str:
    """Write one part as Java's pattern; letters that are meant as such are quoted."""
    if piece.kind is Kind.ARRIVAL:
        return _LETTERS[piece.text]
    return "".join(f"'{char}'" if char.isalpha() else char for char in piece.text)
