"""Columns: names and types of a table, as `user bigint, tags array<string>` says them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import orjson

from batcher.errors import SettingsError

_WHOLE = range(-(2**63), 2**63)


_DEEPEST = 16
"""Objects within objects beyond this are one text."""


_WIDEST = 100
"""An object with more names than this is no struct: its names are values."""


SCALARS = ("boolean", "int", "bigint", "double", "string")


FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a field of a struct may be called: Athena has no way to quote one."""


_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)|"(?P<double>(?:[^"]|"")+)"|`(?P<back>(?:[^`]|``)+)`"""
    r"""|(?P<mark>[<>,:]))"""
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; `string` also takes objects and arrays, as their JSON."""

    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type."""

    item: Type


@dataclass(frozen=True, slots=True)
class Struct:
    """An object whose names are known."""

    fields: tuple[tuple[str, Type], ...]


Type = Scalar | Array | Struct


STRING = Scalar("string")


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the records, under its name there."""

    name: str
    type: Type


def parse_columns(text: str) -> tuple[Column, ...]:
    """Read `user bigint, "odd name" string, where struct<city:string,at:array<double>>`.

    Raises:
        SettingsError: it says something else; the message shows where.
    """
    parser = _Parser(text)
    columns = [parser.column()]
    while parser.took(","):
        columns.append(parser.column())
    if parser.rest:
        parser.fail("',' or the end")
    return distinct(columns)


def distinct(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Give the columns as they are.

    Raises:
        SettingsError: two have one name; the engines take no notice of upper and lower case.
    """
    names = [column.name.lower() for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError([f"columns: {name!r} is there twice" for name in twice])
    return tuple(columns)


class _Parser:
    """Takes a text apart, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def rest(self) -> str:
        """What has not been read."""
        return self._text[self._at :].strip()

    def fail(self, expected: str) -> NoReturn:
        """Say what should stand here."""
        found = repr(self.rest[:30]) if self.rest else "the end"
        msg = f"columns: expected {expected}, found {found} in {self._text!r:.200}"
        raise SettingsError([msg])

    def took(self, mark: str) -> bool:
        """Take a mark if it is the next token."""
        token = _TOKEN.match(self._text, self._at)
        if token is None or token["mark"] != mark:
            return False
        self._at = token.end()
        return True

    def column(self) -> Column:
        """Read `name type`."""
        name = self._name()
        if not name.isprintable():
            self.fail(f"a printable name before a type, not {name!r}")
        return Column(name, self._type())

    def _name(self) -> str:
        """Read a bare or a quoted name."""
        token = _TOKEN.match(self._text, self._at)
        if token is None or token["mark"]:
            self.fail("a name")
        self._at = token.end()
        bare, double, back = token["word"], token["double"], token["back"]
        return bare or (double.replace('""', '"') if double else back.replace("``", "`"))

    def _type(self) -> Type:
        """Read a type, whatever it holds."""
        word = self._word()
        if word in SCALARS:
            return Scalar(word)
        if word == "array":
            self._take("<")
            item = self._type()
            self._take(">")
            return Array(item)
        if word == "struct":
            self._take("<")
            fields = [self._field()]
            while self.took(","):
                fields.append(self._field())
            self._take(">")
            return Struct(tuple((field.name, field.type) for field in distinct(fields)))
        self._at -= len(word)
        return self.fail(f"a type: {', '.join(SCALARS)}, array<…> or struct<name:…>")

    def _field(self) -> Column:
        """Read `name:type`."""
        name = self._word(lower=False)
        self._take(":")
        return Column(name, self._type())

    def _word(self, *, lower: bool = True) -> str:
        """Read a bare word."""
        token = _TOKEN.match(self._text, self._at)
        if token is None or not token["word"]:
            self.fail("a word")
        self._at = token.end()
        return token["word"].lower() if lower else token["word"]

    def _take(self, mark: str) -> None:
        """Read a mark."""
        if not self.took(mark):
            self.fail(repr(mark))


_NULL, _BOOLEAN, _BIGINT, _DOUBLE = map(Scalar, ("null", "boolean", "bigint", "double"))


_PLAIN = {type(None): _NULL, bool: _BOOLEAN, float: _DOUBLE}


def columns_of(lines: Iterable[bytes]) -> tuple[Column, ...]:
    """Infer columns from records, with care: what disagrees, or could not be named, is a string.

    Lines that are no JSON object are passed over. Of names that differ in upper and lower case
    alone the first is taken. A field that is always null is a string.
    """
    seen: dict[str, Type] = {}
    spelled: dict[str, str] = {}
    for line in lines:
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            for name, value in record.items():
                if name and name.isprintable() and spelled.setdefault(name.lower(), name) == name:
                    seen[name] = _merged(seen.get(name, _NULL), _type_of(value))
    return tuple(Column(name, _settled(found)) for name, found in seen.items())


def _type_of(value: object, depth: int = 1) -> Type:
    """Give the type of one value."""
    match value:
        case None | bool() | float():
            return _PLAIN[type(value)]
        case int():
            return _BIGINT if value in _WHOLE else _DOUBLE
        case list() if depth < _DEEPEST:
            item: Type = _NULL
            for element in value:
                item = _merged(item, _type_of(element, depth + 1))
            return Array(item)
        case dict() if depth < _DEEPEST and _can_be_struct(value):
            fields = ((name, _type_of(inner, depth + 1)) for name, inner in value.items())
            return Struct(tuple(fields))
    return STRING


def _can_be_struct(value: Mapping[str, object]) -> bool:
    """Say whether every engine can name each field, and tell it from the others."""
    names = {name.lower() for name in value}
    return 0 < len(names) == len(value) <= _WIDEST and all(map(FIELD.fullmatch, value))


def _merged(one: Type, other: Type) -> Type:
    """Give a type that holds both."""
    if other in (one, _NULL):
        return one
    match one, other:
        case Scalar("null"), _:
            return other
        case Scalar(), Scalar() if {one, other} == {_BIGINT, _DOUBLE}:
            return _DOUBLE
        case Array(first), Array(second):
            return Array(_merged(first, second))
        case Struct(first), Struct(second):
            fields = dict(first)
            for name, inner in second:
                fields[name] = _merged(fields.get(name, _NULL), inner)
            return Struct(tuple(fields.items())) if _can_be_struct(fields) else STRING
    return STRING


def _settled(found: Type) -> Type:
    """Make a string of what was always null."""
    match found:
        case Array(item):
            return Array(_settled(item))
        case Struct(fields):
            return Struct(tuple((name, _settled(inner)) for name, inner in fields))
    return STRING if found == _NULL else found
