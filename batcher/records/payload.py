"""Payload: the bytes of one record that a program, or its transform, handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import orjson

from batcher.records.json_values import (
    DUMPS_OPTIONS,
    convert_common,
    has_nan,
    is_dataclass_instance,
    is_model,
)

JsonDefault = Callable[[Any], Any]
"""The user's function from a value that JSON lacks to one that JSON has, as for `json.dumps`."""

_NO_OBJECT = list, tuple, set, frozenset, int, float, bytearray, memoryview, type(None)
"""What is refused as a record whatever `default` does: most likely several records, or none."""


class Dataclass(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Model(Protocol):
    """An instance of a pydantic model, of version 1 or 2: both have its JSON Schema."""

    @classmethod
    def parse_obj(cls, obj: Any) -> Any: ...  # noqa: ANN401, D102  # as pydantic has it


Record = bytes | str | Mapping[str, Any] | Dataclass | Model
"""What can be submitted, and what a transform can return."""


def to_payload(record: object, default: JsonDefault | None = None) -> bytes:
    """Return the bytes of a record: bytes unchanged, text in UTF-8, anything else as JSON.

    A record with NaN or infinity becomes a payload that `validate` finds bad. The record is not
    changed, and what changes in it later does not change the payload.

    Args:
        record: bytes, text, a mapping, a dataclass, a pydantic model, or what `default` converts.
        default: called with each value that JSON lacks and that is not converted anyway.

    Raises:
        TypeError: the record has another type, or holds a value that JSON cannot express. The
            message starts with the path of its field.
        UnicodeEncodeError: the text has a lone surrogate.
        MemoryError, RetryableError: `default` raised it.
    """
    if isinstance(record, bytes):
        return record
    if isinstance(record, str):
        return record.encode()
    if not isinstance(record, dict):
        _check_type(record, default)
    try:
        text = orjson.dumps(record, convert_common, DUMPS_OPTIONS)
        if b"null" not in text or not has_nan(record, {}):  # orjson writes NaN as null
            return text
    except Exception:  # noqa: BLE001, S110  # the writer raises it again, and names the field
        pass
    from batcher.records.json_writer import JsonWriter  # noqa: PLC0415  # for few records

    return JsonWriter(default).write(record)


def _check_type(record: object, default: JsonDefault | None) -> None:
    """Raise TypeError if a value is no record."""
    if isinstance(record, Mapping) or is_dataclass_instance(record) or is_model(record):
        return
    if default is None or isinstance(record, _NO_OBJECT):
        msg = "a record is a dict, dataclass, pydantic model, str or bytes, not "
        raise TypeError(msg + type(record).__name__)
