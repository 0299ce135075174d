"""Payload: the bytes of one record that a program, or its transform, handed over."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import orjson


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
        return json.dumps(record, separators=(",", ":"), default=_to_json_value).encode()
    except RecursionError:
        msg = "a record is nested too deep to be written as JSON"
        raise TypeError(msg) from None
    except ValueError as error:  # a circular reference
        msg = f"a record cannot be written as JSON: {error}"
        raise TypeError(msg) from None


def _has_nan(record: object) -> bool:
    """Return whether NaN or infinity is in nested dicts and lists, without writing them as text."""
    levels = [iter((record,))]
    while levels:
        for value in levels[-1]:
            if isinstance(value, float) and not isfinite(value):
                return True
            if isinstance(value, dict | list | tuple) and value:
                levels.append(iter(value.values() if isinstance(value, dict) else value))
                break
        else:
            levels.pop()
    return False


def _to_json_value(value: object) -> object:
    """Convert a value that only orjson supports, such as a date, as orjson does."""
    return orjson.loads(orjson.dumps(value))
