"""Columns: names and types of a table, as `user bigint, tags array<string>` says them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import orjson

from batcher.errors import SettingsError

_BIGINT_RANGE = range(-(2**63), 2**63)


_MAX_DEPTH = 16
"""Objects within objects beyond this are one text."""


_MAX_STRUCT_FIELDS = 100
"""An object with more names than this is no struct: its names are values."""


SCALAR_NAMES = ("boolean", "int", "bigint", "double", "string")


FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a field of a struct may be called: Athena has no way to quote one."""


_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)|"(?P<double>(?:[^"]|"")+)"|`(?P<back>(?:[^`]|``)+)`"""
    r"""|(?P<mark>[<>,:]))"""
)


@dataclass(frozen=True, slots=True)
class ScalarType:
    """One value; `string` also takes objects and arrays, as their JSON."""

    name: str


@dataclass(frozen=True, slots=True)
class ArrayType:
    """Values of one type."""

    item: ColumnType


@dataclass(frozen=True, slots=True)
class StructType:
    """An object whose names are known."""

    fields: tuple[tuple[str, ColumnType], ...]


ColumnType = ScalarType | ArrayType | StructType


STRING = ScalarType("string")


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One field of the records, under its name there."""

    name: str
    type: ColumnType


def parse_columns(text: str) -> tuple[TableColumn, ...]:
    """Read `user bigint, "odd name" string, where struct<city:string,at:array<double>>`.

    Raises:
        SettingsError: it says something else; the message shows where.
    """
    parser = _ColumnParser(text)
    columns = [parser.parse_column()]
    while parser.accept(","):
        columns.append(parser.parse_column())
    if parser.rest:
        parser.fail("',' or the end")
    return require_distinct(columns)


def require_distinct(columns: Sequence[TableColumn]) -> tuple[TableColumn, ...]:
    """Return the columns as they are.

    Raises:
        SettingsError: two have one name; the engines take no notice of upper and lower case.
    """
    names = [column.name.lower() for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError([f"columns: {name!r} is there twice" for name in twice])
    return tuple(columns)


class _ColumnParser:
    """Takes a text apart, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0

    @property
    def rest(self) -> str:
        """What has not been read."""
        return self._text[self._offset :].strip()

    def fail(self, expected: str) -> NoReturn:
        """Return what should stand here."""
        found = repr(self.rest[:30]) if self.rest else "the end"
        msg = f"columns: expected {expected}, found {found} in {self._text!r:.200}"
        raise SettingsError([msg])

    def accept(self, symbol: str) -> bool:
        """Take a mark if it is the next token."""
        token = _TOKEN.match(self._text, self._offset)
        if token is None or token["mark"] != symbol:
            return False
        self._offset = token.end()
        return True

    def parse_column(self) -> TableColumn:
        """Read `name type`."""
        name = self._parse_name()
        if not name.isprintable():
            self.fail(f"a printable name before a type, not {name!r}")
        return TableColumn(name, self._parse_type())

    def _parse_name(self) -> str:
        """Read a bare or a quoted name."""
        token = _TOKEN.match(self._text, self._offset)
        if token is None or token["mark"]:
            self.fail("a name")
        self._offset = token.end()
        bare, double, back = token["word"], token["double"], token["back"]
        return bare or (double.replace('""', '"') if double else back.replace("``", "`"))

    def _parse_type(self) -> ColumnType:
        """Read a type, whatever it holds."""
        word = self._parse_word()
        if word in SCALAR_NAMES:
            return ScalarType(word)
        if word == "array":
            self._expect("<")
            item = self._parse_type()
            self._expect(">")
            return ArrayType(item)
        if word == "struct":
            self._expect("<")
            fields = [self._parse_field()]
            while self.accept(","):
                fields.append(self._parse_field())
            self._expect(">")
            return StructType(tuple((field.name, field.type) for field in require_distinct(fields)))
        self._offset -= len(word)
        return self.fail(f"a type: {', '.join(SCALAR_NAMES)}, array<…> or struct<name:…>")

    def _parse_field(self) -> TableColumn:
        """Read `name:type`."""
        name = self._parse_word(lowercase=False)
        self._expect(":")
        return TableColumn(name, self._parse_type())

    def _parse_word(self, *, lowercase: bool = True) -> str:
        """Read a bare word."""
        token = _TOKEN.match(self._text, self._offset)
        if token is None or not token["word"]:
            self.fail("a word")
        self._offset = token.end()
        return token["word"].lower() if lowercase else token["word"]

    def _expect(self, symbol: str) -> None:
        """Read a mark."""
        if not self.accept(symbol):
            self.fail(repr(symbol))


_NULL, _BOOLEAN, _BIGINT, _DOUBLE = map(ScalarType, ("null", "boolean", "bigint", "double"))


_SCALAR_TYPES = {type(None): _NULL, bool: _BOOLEAN, float: _DOUBLE}


def infer_columns(lines: Iterable[bytes]) -> tuple[TableColumn, ...]:
    """Infer columns from records, with care: what disagrees, or could not be named, is a string.

    Lines that are no JSON object are passed over. Of names that differ in upper and lower case
    alone the first is taken. A field that is always null is a string.
    """
    seen: dict[str, ColumnType] = {}
    spelled: dict[str, str] = {}
    for line in lines:
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            for name, value in record.items():
                if name and name.isprintable() and spelled.setdefault(name.lower(), name) == name:
                    seen[name] = _merge_types(seen.get(name, _NULL), _infer_type(value))
    return tuple(TableColumn(name, _null_to_string(found)) for name, found in seen.items())


def _infer_type(value: object, depth: int = 1) -> ColumnType:
    """Return the type of one value."""
    match value:
        case None | bool() | float():
            return _SCALAR_TYPES[type(value)]
        case int():
            return _BIGINT if value in _BIGINT_RANGE else _DOUBLE
        case list() if depth < _MAX_DEPTH:
            item: ColumnType = _NULL
            for element in value:
                item = _merge_types(item, _infer_type(element, depth + 1))
            return ArrayType(item)
        case dict() if depth < _MAX_DEPTH and _can_be_struct(value):
            fields = ((name, _infer_type(inner, depth + 1)) for name, inner in value.items())
            return StructType(tuple(fields))
    return STRING


def _can_be_struct(value: Mapping[str, object]) -> bool:
    """Return whether every engine can name each field, and tell it from the others."""
    names = {name.lower() for name in value}
    return 0 < len(names) == len(value) <= _MAX_STRUCT_FIELDS and all(
        map(FIELD_NAME.fullmatch, value)
    )


def _merge_types(one: ColumnType, other: ColumnType) -> ColumnType:
    """Return a type that holds both."""
    if other in (one, _NULL):
        return one
    match one, other:
        case ScalarType("null"), _:
            return other
        case ScalarType(), ScalarType() if {one, other} == {_BIGINT, _DOUBLE}:
            return _DOUBLE
        case ArrayType(first), ArrayType(second):
            return ArrayType(_merge_types(first, second))
        case StructType(first), StructType(second):
            fields = dict(first)
            for name, inner in second:
                fields[name] = _merge_types(fields.get(name, _NULL), inner)
            return StructType(tuple(fields.items())) if _can_be_struct(fields) else STRING
    return STRING


def _null_to_string(column_type: ColumnType) -> ColumnType:
    """Make a string of what was always null."""
    match column_type:
        case ArrayType(item):
            return ArrayType(_null_to_string(item))
        case StructType(fields):
            return StructType(tuple((name, _null_to_string(inner)) for name, inner in fields))
    return STRING if column_type == _NULL else column_type
