"""Records of a program: their JSON is that of other encoders."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.records.payload import to_payload


class Colour(Enum):
    """An enum."""

    RED = "red"
    SEVEN = 7


@dataclass
class Pair:
    """A dataclass."""

    first: object
    second: object


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=9)
PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
SMALL = st.integers(-(2**63), 2**64 - 1)
SHARED = PLAIN | DECIMALS | st.dates() | st.uuids() | st.sampled_from(Colour)
SETS = st.frozensets(st.integers(-9, 9)) | st.frozensets(st.text(max_size=2))
ARRAYS = st.lists(st.integers(-9, 9)).map(np.array)
OTHERS = SHARED | st.integers() | st.datetimes() | SETS | ARRAYS | st.complex_numbers()


def nest(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw values within lists, tuples, dicts and dataclasses."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.tuples(inner)
            | st.builds(Pair, inner, inner)
            | st.dictionaries(keys, inner, max_size=4)
        ),
        max_leaves=8,
    )


def reference(value: Any) -> Any:  # noqa: ANN401, PLR0911  # any
    """Return what `json.dumps` writes for a value that it lacks."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return vars(value)
    assert isinstance(value, complex | uuid.UUID)
    return str(value)


KEYS = st.text(max_size=3) | st.sampled_from([1, 2.5, True, None])


def has_twins(value: Any) -> bool:  # noqa: ANN401  # any
    """Return whether keys of a dict are the same in JSON."""
    if isinstance(value, Pair):
        value = [value.first, value.second]
    if isinstance(value, dict):
        texts = [key if isinstance(key, str) else json.dumps(key) for key in value]
        return len({*texts}) < len(texts) or has_twins(list(value.values()))
    return isinstance(value, list | tuple) and any(map(has_twins, value))


@given(nest(OTHERS, KEYS))
def test_json_is_that_of_json_dumps_with_an_equivalent_default(value: object) -> None:
    """Whether orjson writes a record, or it is written value by value."""
    record = {"x": value}
    if has_twins(record):
        with pytest.raises(TypeError, match="the same in JSON"):
            to_payload(record, str)
        return
    expected = json.loads(json.dumps(record, default=reference))
    assert json.loads(to_payload(record, str)) == expected


@given(nest(SHARED | SMALL, st.text(max_size=3)))
def test_numbers_have_the_digits_that_msgspec_writes(value: object) -> None:
    """Each digit of a Decimal is in the text."""
    text = msgspec.json.Encoder(decimal_format="number").encode({"x": value})
    payload = to_payload({"x": value})
    assert json.loads(payload, parse_float=Decimal) == json.loads(text, parse_float=Decimal)


@given(nest(PLAIN, st.text(max_size=3)), st.data())
def test_the_path_in_an_error_leads_to_the_value(value: object, data: st.DataObject) -> None:
    """The path is Python, so that it can be tried."""
    record: Any = {"x": asdict(value) if isinstance(value, Pair) else value}
    path, at = "", record
    while True:
        key = data.draw(st.sampled_from([*(at if isinstance(at, dict) else range(len(at)))]))
        is_name = isinstance(key, str) and key.isidentifier()
        path += f".{key}" if is_name else f"[{key!r}]"
        if not isinstance(at[key], dict | list) or not at[key]:
            break
        at = at[key]
    at[key] = object()
    with pytest.raises(TypeError) as caught:
        to_payload(record)
    shown = str(caught.value).partition(": object of type 'object'")[0]
    path = path.removeprefix(".")
    assert shown == path or "..." in shown
