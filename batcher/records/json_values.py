"""JSON values: what is written for values that JSON lacks, such as a Decimal or a numpy array.

orjson writes str, numbers, lists, dicts, UUIDs and enums by itself. Dates, times and dataclasses
are read here: orjson crashes the process if a time zone or an attribute raises. The package of a
value is not imported: the class of a value is loaded, or there is no such value.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

UNKNOWN: Any = object()
"""What `convert` returns for a value that only the user's `default` can convert."""

DUMPS_OPTIONS: int = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
"""For each call of `orjson.dumps` with values of a user."""

_TIMES = {date, datetime, time}

_PLAIN_TYPES = {str, int, float, bool, type(None)}


def convert_common(value: Any) -> Any:  # noqa: ANN401  # any
    """Return what is written for a date, a time or a dataclass.

    Raises:
        TypeError: it is something else.
    """
    if type(value) in _TIMES:
        return value.isoformat()
    if is_dataclass_instance(value):
        return dataclass_values(value)
    raise TypeError


def convert(value: Any, fallback: Callable[[Any], Any]) -> Any:  # noqa: ANN401, C901, PLR0911  # one type after the other
    """Return what is written for a value that orjson does not write, or `UNKNOWN`.

    NaN, and NaT of numpy and pandas, become a float NaN, which makes a bad record. What is nested
    in the value is not converted.

    Args:
        value: any value.
        fallback: converts what pydantic does not know within its models.
    """
    if is_dataclass_instance(value):
        return dataclass_values(value)
    if isinstance(value, tuple):  # orjson leaves named tuples out
        return list(value)
    if isinstance(value, set | frozenset):
        return _sort_set(value)
    if isinstance(value, Mapping):
        return dict(value)
    if _is_instance(value, "decimal", "Decimal"):
        if value.is_finite():
            return orjson.Fragment(sys.modules["decimal"].Decimal.__str__(value))
        return math.nan if value.is_nan() else float(value)
    if is_model(value):
        return _convert_model(value, fallback)
    if _is_instance(value, "numpy", "ndarray") or _is_instance(value, "numpy", "generic"):
        return _convert_numpy(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat() if value == value else math.nan  # noqa: PLR0124  # pandas' NaT
    if _is_instance(value, "uuid", "UUID") or _is_instance(value, "pathlib", "PurePath"):
        return str(value)
    return UNKNOWN


def is_model(value: object) -> bool:
    """Return whether a value is a pydantic model, of version 1 or 2."""
    return _is_instance(value, "pydantic.main", "BaseModel") or _is_instance(
        value, "pydantic.v1.main", "BaseModel"
    )


def is_dataclass_instance(value: object) -> bool:
    """Return whether a value is an instance of a dataclass."""
    return hasattr(type(value), "__dataclass_fields__")


def dataclass_values(instance: Any) -> dict[str, object]:  # noqa: ANN401  # of any dataclass
    """Return the attributes of a dataclass that are written: those that orjson would write."""
    if "__slots__" in vars(type(instance)) or not hasattr(instance, "__dict__"):
        from dataclasses import fields  # noqa: PLC0415  # imported before, by the instance's class

        names = [field.name for field in fields(instance)]
    else:
        names = list(vars(instance))
    return {name: getattr(instance, name) for name in names if not name.startswith("_")}


def has_nan(record: object, converted: Mapping[int, tuple[object, object]]) -> bool:
    """Return whether NaN or infinity is in a record, without writing it as text.

    Args:
        record: a record that orjson has written.
        converted: by the `id` of a value that orjson does not write: the value, and what was
            written for it.
    """
    for value in _iter_nested(record, converted):
        if isinstance(value, float) and not isfinite(value):
            return True
    return False


def _iter_nested(
    record: object, converted: Mapping[int, tuple[object, object]]
) -> Iterator[object]:
    """Return a record and every value in it."""
    levels: list[Iterator[object]] = [iter((record,))]
    while levels:
        for value in levels[-1]:
            yield value
            if type(value) in _PLAIN_TYPES:
                continue
            if id(value) in converted:
                levels.append(iter((converted[id(value)][1],)))
            elif isinstance(value, list | tuple):
                levels.append(iter(value))
            elif isinstance(value, dict):
                levels.append(iter(value.values()))
            elif isinstance(value, Enum):
                levels.append(iter((value.value,)))
            elif is_dataclass_instance(value):
                levels.append(iter(dataclass_values(value).values()))
            else:
                continue
            break
        else:
            levels.pop()


def _is_instance(value: object, module: str, name: str) -> bool:
    """Return whether a value is of a class of that name, without an import of its module."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _sort_set(values: set[Any] | frozenset[Any]) -> list[Any]:
    """Return the members in an order that does not depend on the hashes of this process."""
    kinds = set(map(type, values))
    return sorted(values, key=None if kinds <= {str} or kinds <= {int} else repr)


def _convert_model(model: Any, fallback: Callable[[Any], Any]) -> Any:  # noqa: ANN401  # any
    """Return the JSON values of a pydantic model, by its own rules."""
    if not hasattr(model, "model_dump"):
        return json.loads(model.json())  # version 1
    try:
        return model.model_dump(mode="json")
    except ValueError:  # it has a value of a type that pydantic does not know
        return model.model_dump(mode="json", fallback=fallback)  # since pydantic 2.10


def _convert_numpy(value: Any) -> Any:  # noqa: ANN401  # an array or a scalar
    """Return numbers as orjson writes them, times in numpy's own form, anything else as a list."""
    kind, numpy = value.dtype.kind, sys.modules["numpy"]
    is_masked = isinstance(value, numpy.ndarray) and type(value) is not numpy.ndarray
    if kind in "OUST" or (is_masked and kind in "biuf"):
        return value.tolist()
    if kind == "M" and not is_masked:
        value = numpy.asarray(value, value.dtype.newbyteorder("="))  # numpy reads others wrongly
        texts = numpy.asarray(numpy.datetime_as_string(value)).astype(object)
        texts[numpy.isnat(value)] = math.nan
        return texts.tolist()
    if kind not in "biuf" or value.dtype.itemsize > 8:  # noqa: PLR2004  # long doubles
        return UNKNOWN
    if isinstance(value, numpy.ndarray):  # orjson writes C arrays of native numbers
        value = numpy.asarray(value, value.dtype.newbyteorder("="), order="C")[()]
    text = orjson.dumps(value, None, orjson.OPT_SERIALIZE_NUMPY)
    return value.tolist() if b"null" in text else orjson.Fragment(text)
