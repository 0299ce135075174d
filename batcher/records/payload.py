"""Payload: the bytes of one record that a program, or its transform, handed over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Any

import orjson

_PLAIN_TYPES = {str, int, float, bool, type(None)}


def to_payload(record: object) -> bytes:
    """Return the bytes of a record: bytes unchanged, text in UTF-8, a dict as JSON.

    A dict with NaN or infinity becomes a payload that `validate` finds bad.

    Raises:
        TypeError: the record has another type, or holds a value that JSON cannot express.
        UnicodeEncodeError: the text has a lone surrogate.
    """
    if isinstance(record, bytes):
        return record
    if isinstance(record, str):
        return record.encode()
    if isinstance(record, dict):
        return _dict_to_json(record)
    msg = f"a record is a dict, str or bytes, not {type(record).__name__}"
    raise TypeError(msg)


def _dict_to_json(record: dict[str, Any]) -> bytes:
    """Write a dict as JSON. NaN is written as `NaN`, which validation finds bad."""
    try:
        text = orjson.dumps(record)
        if b"null" not in text or not _has_nan(record):  # orjson writes NaN as null
            return text
    except orjson.JSONEncodeError:  # perhaps deeper than 254, or an integer over 64 bits
        pass
    try:
        text = json.dumps(record, separators=(",", ":"), default=_to_json_value).encode()
    except RecursionError:
        msg = "a record is nested too deep to be written as JSON"
        raise TypeError(msg) from None
    except ValueError as error:  # a circular reference
        msg = f"a record cannot be written as JSON: {error}"
        raise TypeError(msg) from None
    _check_keys(record)
    return text


def _check_keys(record: dict[str, Any]) -> None:
    """Check that no two keys of one dict are the same text in JSON, such as `1` and `"1"`.

    Raises:
        TypeError: two are. Readers of JSON keep one of them, or fail.
    """
    for value in _iter_nested(record):
        if not isinstance(value, dict) or all(isinstance(key, str) for key in value):
            continue
        keys: dict[str, object] = {}
        for key in value:
            text = key if isinstance(key, str) else json.dumps(key)
            if text in keys:
                msg = f"a record has the keys {keys[text]!r} and {key!r}, which are the same in "
                msg += "JSON; use text for all keys"
                raise TypeError(msg)
            keys[text] = key


def _has_nan(record: object) -> bool:
    """Return whether NaN or infinity is in a record, without writing it as text."""
    return any(isinstance(each, float) and not isfinite(each) for each in _iter_nested(record))


def _iter_nested(record: object) -> Iterator[object]:
    """Return a record and every value in it."""
    levels: list[Iterator[object]] = [iter((record,))]
    while levels:
        for value in levels[-1]:
            yield value
            if type(value) in _PLAIN_TYPES:
                continue
            if isinstance(value, list | tuple):
                levels.append(iter(value))
            elif isinstance(value, dict):
                levels.append(iter(value.values()))
            elif isinstance(value, Enum):
                levels.append(iter((value.value,)))
            elif is_dataclass(value) and not isinstance(value, type):
                levels.append(iter(_fields(value).values()))
            else:
                continue
            break
        else:
            levels.pop()


def _fields(instance: Any) -> dict[str, object]:  # noqa: ANN401  # of any dataclass
    """Return the fields of a dataclass that orjson writes."""
    names = (field.name for field in fields(instance))
    return {name: getattr(instance, name) for name in names if not name.startswith("_")}


def _to_json_value(value: object) -> object:
    """Convert a value that only orjson supports, such as a date, as orjson does.

    What is nested in it is left to the caller, which writes NaN and integers over 64 bits.
    """
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    return orjson.loads(orjson.dumps(value))
