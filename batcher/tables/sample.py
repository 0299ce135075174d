"""Sample: columns and their types, from records that stand for the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from batcher.tables.columns import FIELD, STRING, Array, Column, Scalar, Struct, Type

_NULL, _BOOLEAN, _BIGINT, _DOUBLE = map(Scalar, ("null", "boolean", "bigint", "double"))
_PLAIN = {type(None): _NULL, bool: _BOOLEAN, float: _DOUBLE}
_WHOLE = range(-(2**63), 2**63)
_DEEPEST = 16
"""Objects within objects beyond this are one text."""
_WIDEST = 100
"""An object with more names than this is no struct: its names are values."""


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
