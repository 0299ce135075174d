"""Payload: the bytes of one record, as a program or its transform gives it."""

from __future__ import annotations

import json
from typing import Any

import orjson


def to_payload(record: object) -> bytes:
    """Return the bytes of a record: text and bytes as they are, a dict as JSON.

    Raises:
        TypeError: it is none of these, or holds something that JSON has no form for. NaN is none
            such: it becomes a payload that `check` finds bad.
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
    """Write a dict as JSON; one with NaN in it as what checking will refuse."""
    try:
        text = orjson.dumps(record)
        if b"null" not in text or not _has_nan(record):  # orjson writes NaN as null
            return text
    except orjson.JSONEncodeError:  # deeper than 254, or whole numbers over 64 bits, perhaps
        pass
    try:
        return json.dumps(record, separators=(",", ":"), default=_to_json_value).encode()
    except RecursionError:
        msg = "a record is nested too deep to be written as JSON"
        raise TypeError(msg) from None
    except ValueError as error:  # it holds itself
        msg = f"a record cannot be written as JSON: {error}"
        raise TypeError(msg) from None


def _has_nan(record: object) -> bool:
    try:
        json.dumps(record, allow_nan=False, default=_to_json_value)
    except ValueError:
        return True
    return False


def _to_json_value(value: object) -> object:
    """Write what only orjson knows, dates and the like, as orjson does."""
    return orjson.loads(orjson.dumps(value))
