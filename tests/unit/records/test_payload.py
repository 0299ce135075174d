"""Payloads: the bytes of what a program gives as a record."""

from __future__ import annotations

import math
from datetime import UTC, datetime

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
    with pytest.raises(TypeError, match="a record is a dict, str or bytes, not list"):
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
    with pytest.raises(TypeError):
        to_payload({"x": {1, 2}})
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(TypeError, match="too deep"):
        to_payload(deep)
    loop: dict[str, object] = {}
    loop["itself"] = loop
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        to_payload(loop)


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
