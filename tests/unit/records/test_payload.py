"""Payloads: the bytes of what a program gives as a record."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Any

import pytest

from batcher.batching.validation import validate
from batcher.records.bad_record import BadRecordReason
from batcher.records.payload import to_payload
from support.examples import make_chunk


def test_a_payload_is_text_bytes_or_a_dict() -> None:
    """Text and bytes are records already and never encoded again."""
    assert to_payload(b"a") == b"a"
    assert to_payload('"\u00e9"') == b'"\xc3\xa9"'
    assert to_payload({"a": "\u00e9"}) == b'{"a":"\xc3\xa9"}'
    with pytest.raises(TypeError, match=r"a record is a dict, .*str or bytes, not list"):
        to_payload([1])
    with pytest.raises(UnicodeEncodeError):
        to_payload("\ud800")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_bad_in_a_dict_too(number: float) -> None:
    """DESIGN 4 calls a NaN a bad record; it is never turned into null without a word."""
    payload = to_payload({"x": number, "y": None})
    checked = validate(make_chunk(payload), is_json=True, max_bytes=1_000)
    assert len(checked.good) == 0
    assert [bad.reason for bad in checked.bad] == [BadRecordReason.NOT_JSON]


def test_null_in_a_dict_is_null() -> None:
    """Also beside what only orjson can write."""
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    assert to_payload({"x": None, "t": moment}) == b'{"x":null,"t":"2026-11-23T00:00:00+00:00"}'


def test_a_dict_that_json_has_no_form_for_is_the_callers_mistake() -> None:
    """It is told at once, where the caller stands."""
    with pytest.raises(TypeError, match="x: object of type 'object' is not JSON serializable"):
        to_payload({"x": object()})
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(TypeError, match="too deep"):
        to_payload(deep)
    loop: dict[str, object] = {}
    loop["itself"] = loop
    with pytest.raises(TypeError, match="itself: a circular reference"):
        to_payload(loop)


class Colour(Enum):
    """A value of no type that JSON has."""

    RED = 1
    NONE = float("nan")


@dataclass
class Point:
    """A record within a record."""

    x: object
    _hidden: int = 0


NAN, OTHER_NAN = float("nan"), float("nan")


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({1: "a", "1": "b"}, "1 and '1'"),
        ({"1": "a", 1: "b"}, "'1' and 1"),
        ({1.5: "a", "1.5": "b"}, "1.5 and '1.5'"),
        ({True: "a", "true": "b"}, "True and 'true'"),
        ({"false": "a", False: "b"}, "'false' and False"),
        ({None: "a", "null": "b"}, "None and 'null'"),
        ({NAN: "a", OTHER_NAN: "b"}, "nan and nan"),
        ({IntEnum("Number", "ONE").ONE: "a", "1": "b"}, "ONE.* and '1'"),  # type: ignore[attr-defined]
    ],
)
@pytest.mark.parametrize("nest", ["", "dict", "list", "dataclass", "big"])
def test_keys_that_are_the_same_in_json_are_refused(
    keys: dict[Any, str], named: str, nest: str
) -> None:
    """At any depth, and beside values that orjson cannot write. The error names both keys."""
    records: dict[str, dict[Any, Any]] = {
        "": keys,
        "dict": {"a": {"b": keys}},
        "list": {"a": [[], (keys,)]},
        "dataclass": {"a": Point(Point(keys))},
        "big": {"n": 2**70, "a": keys},
    }
    with pytest.raises(TypeError, match=f"the keys .*{named}, which are the same in JSON"):
        to_payload(records[nest])


def test_other_keys_than_text_are_written_as_text() -> None:
    """If none of them is the same as another one."""
    record: Any = {"01": "b", None: 1, 1.5: 3}
    assert json.loads(to_payload(record)) == {"01": "b", "null": 1, "1.5": 3}
    record = {True: {2: 2}}
    assert to_payload(record) == b'{"true":{"2":2}}'


@pytest.mark.parametrize(
    "value", [Point(NAN), Point([Point({"a": NAN})]), Colour.NONE, [Colour.NONE]]
)
def test_a_nan_within_a_dataclass_or_an_enum_is_bad_too(value: object) -> None:
    """Orjson writes it as null."""
    checked = validate(make_chunk(to_payload({"x": value})), is_json=True, max_bytes=1_000)
    assert [bad.reason for bad in checked.bad] == [BadRecordReason.NOT_JSON]


def test_a_dataclass_and_an_enum_beside_a_large_number_are_written_as_by_orjson() -> None:
    """Only the number is different."""
    value = [Point(Colour.RED), Point(Point(None))]
    expected = b'{"n":%d,"x":[{"x":1},{"x":{"x":null}}]}'
    assert to_payload({"n": 1, "x": value}) == expected % 1
    assert to_payload({"n": 2**70, "x": value}) == expected % 2**70
    assert to_payload({"x": Point(2**70)}) == b'{"x":{"x":%d}}' % 2**70


@pytest.mark.parametrize("levels", [0, 300])
def test_a_dict_that_is_json_is_a_record(levels: int) -> None:
    """1,024 levels are allowed, and whole numbers have no limit, as in text."""
    record: dict[str, object] = {"n": 2**64}
    if levels:
        record = {"n": 1}
    for _ in range(levels):
        record = {"a": record}
    assert to_payload(record)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("beside", [None, 1.5])
def test_nan_is_found_wherever_it_is(number: float, beside: float | None) -> None:
    """Orjson would write null, which is another value."""
    records: list[dict[str, object]] = [
        {"a": number, "b": None},
        {"b": None, "a": [beside, {"x": [], "y": (beside, number)}]},
        {"b": None, "a": [{}, [], {"x": {"y": [[number]]}}, beside]},
    ]
    for record in records:
        assert validate(make_chunk(to_payload(record)), is_json=True, max_bytes=10**6).bad
    assert to_payload({"a": [None, [{}], (1.5,)]}) == b'{"a":[null,[{}],[1.5]]}'
