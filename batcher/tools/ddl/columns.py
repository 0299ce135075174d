"""Columns: names and types, parsed from `user bigint, tags array<string>` or inferred."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import NoReturn

import orjson

from batcher.errors import SettingsError

_BIGINT_RANGE = range(-(2**63), 2**63)

_EXACT_DIGITS = 15
"""A double keeps every number of this many digits."""

_MAX_INT_DIGITS = 400
"""Longer integers have no double."""

_UNTYPED = Decimal(0)
"""Stands for a value whose column must be a string, such as a number that a double would round."""

_MAX_DEPTH = 16
"""Values that are nested deeper than this become a string."""

_MAX_STRUCT_FIELDS = 100
"""An object with more fields than this is not a struct: its names are probably values."""

_MAX_COLUMNS = 1_000
"""A sample with more fields than this is no table."""

SCALAR_NAMES = ("boolean", "int", "bigint", "double", "string")

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A valid name of a struct's field. Athena cannot quote such names."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)|"(?P<double>(?:[^"]|"")+)"|`(?P<back>(?:[^`]|``)+)`"""
    r"""|(?P<mark>[<>,:]))"""
)


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A single value. A `string` can also hold the JSON of objects and arrays."""

    name: str


@dataclass(frozen=True, slots=True)
class ArrayType:
    """An array of values of one type."""

    item: ColumnType


@dataclass(frozen=True, slots=True)
class StructType:
    """An object with known fields."""

    fields: tuple[tuple[str, ColumnType], ...]


ColumnType = ScalarType | ArrayType | StructType

STRING = ScalarType("string")

_NULL, _BOOLEAN, _BIGINT, _DOUBLE = map(ScalarType, ("null", "boolean", "bigint", "double"))
_LONG = ScalarType("long")
"""The `bigint` of a sample with a value that a double would round. It becomes `bigint`."""
_WIDER_TYPES = {frozenset((_BIGINT, _DOUBLE)): _DOUBLE, frozenset((_BIGINT, _LONG)): _LONG}
_SCALAR_TYPES = {type(None): _NULL, bool: _BOOLEAN, float: _DOUBLE}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column for one field of the records, named like the field."""

    name: str
    type: ColumnType


def parse_columns(text: str) -> tuple[TableColumn, ...]:
    """Parse `user bigint, "odd name" string, where struct<city:string,at:array<double>>`.

    Raises:
        SettingsError: the syntax is wrong; the message shows where.
    """
    parser = _ColumnParser(text)
    columns = [parser.parse_column()]
    while parser.accept(","):
        columns.append(parser.parse_column())
    if parser.rest:
        parser.fail("',' or the end")
    return require_distinct(columns)


def require_distinct(columns: Sequence[TableColumn]) -> tuple[TableColumn, ...]:
    """Return the columns unchanged if their names are distinct.

    Raises:
        SettingsError: two columns have the same name; engines ignore upper and lower case.
    """
    names = [column.name.lower() for column in columns]
    duplicates = sorted(name for name, count in Counter(names).items() if count > 1)
    if duplicates:
        raise SettingsError([f"columns: duplicate name {name!r}" for name in duplicates])
    return tuple(columns)


class _ColumnParser:
    """A recursive descent parser of column lists."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0

    @property
    def rest(self) -> str:
        """The text that was not parsed yet."""
        return self._text[self._offset :].strip()

    def fail(self, expected: str) -> NoReturn:
        """Raise SettingsError that names what was expected at the current position."""
        found = repr(self.rest[:30]) if self.rest else "the end"
        msg = f"columns: expected {expected}, found {found} in {self._text!r:.200}"
        raise SettingsError([msg])

    def accept(self, symbol: str) -> bool:
        """Return whether the next token is this symbol, and consume it if so."""
        token = _TOKEN.match(self._text, self._offset)
        if token is None or token["mark"] != symbol:
            return False
        self._offset = token.end()
        return True

    def parse_column(self) -> TableColumn:
        """Parse `name type`."""
        name = self._parse_name()
        if not name.isprintable():
            self.fail(f"a printable name before a type, not {name!r}")
        return TableColumn(name, self._parse_type())

    def _parse_name(self) -> str:
        """Parse a bare or a quoted name."""
        token = _TOKEN.match(self._text, self._offset)
        if token is None or token["mark"]:
            self.fail("a name")
        self._offset = token.end()
        bare, double, back = token["word"], token["double"], token["back"]
        return bare or (double.replace('""', '"') if double else back.replace("``", "`"))

    def _parse_type(self) -> ColumnType:
        """Parse a type, nested types included."""
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
        """Parse `name:type`."""
        name = self._parse_word(lowercase=False)
        self._expect(":")
        return TableColumn(name, self._parse_type())

    def _parse_word(self, *, lowercase: bool = True) -> str:
        """Parse a bare word."""
        token = _TOKEN.match(self._text, self._offset)
        if token is None or not token["word"]:
            self.fail("a word")
        self._offset = token.end()
        return token["word"].lower() if lowercase else token["word"]

    def _expect(self, symbol: str) -> None:
        """Consume a symbol."""
        if not self.accept(symbol):
            self.fail(repr(symbol))


def infer_columns(
    lines: Iterable[bytes], left_out: dict[str, str] | None = None
) -> tuple[TableColumn, ...]:
    """Return the columns of the fields in a sample of records.

    Lines that are not a JSON object are skipped. A field becomes a string if its values have
    incompatible types, if it is always null, if an engine could not name a field inside of it, or
    if a number would lose digits. Of names that differ only in upper and lower case, only the first
    becomes a column.

    Args:
        lines: the records.
        left_out: receives the names of fields that become no column, each with the reason.

    Raises:
        SettingsError: the records have more than `_MAX_COLUMNS` different fields.
    """
    types: dict[str, ColumnType] = {}
    spellings: dict[str, str] = {}
    left_out = {} if left_out is None else left_out
    for line in lines:
        record = _parse_record(line)
        if record is None:
            continue
        for name, value in record.items():
            if not (name and name.isprintable()):
                problem = "the name is empty or has a character that cannot be printed"
            elif (first := spellings.setdefault(name.lower(), name)) != name:
                problem = f"engines cannot tell it from {first!r}"
            else:
                types[name] = _merge_types(types.get(name, _NULL), _infer_type(value))
                if len(types) > _MAX_COLUMNS:
                    msg = (
                        f"columns: the sample has more than {_MAX_COLUMNS:,} different fields; "
                        "their names are probably values. Name the columns by --columns"
                    )
                    raise SettingsError([msg])
                continue
            if len(left_out) <= _MAX_COLUMNS:
                left_out[name] = problem
    return tuple(TableColumn(name, _finish_type(inferred)) for name, inferred in types.items())


def _parse_record(line: bytes) -> dict[str, object] | None:
    """Return a record, or None if the line is not a JSON object.

    Numbers that a double would round, unless they are integers, and values of a name that an object
    has twice are `_UNTYPED`.
    """
    try:
        record = json.loads(
            line,
            parse_float=_parse_float,
            parse_int=_parse_int,
            parse_constant=_refuse_constant,
            object_pairs_hook=_make_object,
        )
    except RecursionError:  # nested deeper than the stack: only the outermost levels matter
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _refuse_constant(text: str) -> NoReturn:
    msg = f"{text} is not JSON"
    raise ValueError(msg)


def _make_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object. Of a name that it has twice, engines take different values."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        fields |= {name: _UNTYPED for name, count in counts.items() if count > 1}
    return fields


def _parse_int(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MAX_INT_DIGITS else _UNTYPED


def _parse_float(text: str) -> float | Decimal:
    """Return a number as a double, or `_UNTYPED` if a double would not keep its digits."""
    value = float(text)
    if len(text) <= _EXACT_DIGITS and math.isfinite(value) and "e" not in text.lower():
        return value
    try:
        is_exact = math.isfinite(value) and Decimal(repr(value)) == Decimal(text)
    except ArithmeticError:  # an exponent of many digits
        is_exact = False
    return value if is_exact else _UNTYPED


def _infer_type(value: object, depth: int = 1) -> ColumnType:
    """Return the type of one value."""
    match value:
        case None | bool() | float():
            return _SCALAR_TYPES[type(value)]
        case int():
            return _infer_int(value)
        case list() if depth < _MAX_DEPTH:
            # Each type once: merging a million types would take longer than finding them
            null: ColumnType = _NULL
            items = dict.fromkeys(_infer_type(element, depth + 1) for element in value)
            return ArrayType(reduce(_merge_types, items, null))
        case dict() if depth < _MAX_DEPTH and _can_be_struct(value):
            fields = ((name, _infer_type(inner, depth + 1)) for name, inner in value.items())
            return StructType(tuple(fields))
    return STRING


def _infer_int(value: int) -> ScalarType:
    """Return the type of an integer: `_BIGINT` if a double would keep it as well."""
    if abs(value) <= 2**53:
        return _BIGINT
    is_exact = abs(value) < 2**1023 and int(float(value)) == value
    if value in _BIGINT_RANGE:
        return _BIGINT if is_exact else _LONG
    return _DOUBLE if is_exact else STRING


def _can_be_struct(value: Mapping[str, object]) -> bool:
    """Return whether every engine can name and distinguish all fields."""
    names = {name.lower() for name in value}
    return 0 < len(names) == len(value) <= _MAX_STRUCT_FIELDS and all(
        map(FIELD_NAME.fullmatch, value)
    )


def _merge_types(one: ColumnType, other: ColumnType) -> ColumnType:
    """Return a type that can hold values of both types."""
    if other in (one, _NULL):
        return one
    match one, other:
        case ScalarType("null"), _:
            return other
        case ScalarType(), ScalarType():
            return _WIDER_TYPES.get(frozenset((one, other)), STRING)
        case ArrayType(first), ArrayType(second):
            return ArrayType(_merge_types(first, second))
        case StructType(first), StructType(second):
            fields = dict(first)
            for name, inner in second:
                fields[name] = _merge_types(fields.get(name, _NULL), inner)
            return StructType(tuple(fields.items())) if _can_be_struct(fields) else STRING
    return STRING


def _finish_type(column_type: ColumnType) -> ColumnType:
    """Return the type with string in place of null, for values that were always null."""
    match column_type:
        case ArrayType(item):
            return ArrayType(_finish_type(item))
        case StructType(fields):
            return StructType(tuple((name, _finish_type(inner)) for name, inner in fields))
    if column_type == _LONG:
        return _BIGINT
    return STRING if column_type == _NULL else column_type
