"""Event fields: columns of the fields of an event's records."""

from __future__ import annotations

import pytest

from batcher.errors import RejectedError
from batcher.sources.event_fields import (
    check_times,
    get_path,
    group_by,
    name_in_arn,
    parse_milliseconds,
    parse_seconds,
    require_identities,
)
from support.examples import make_chunk


def test_a_value_is_looked_up_in_nested_mappings() -> None:
    """None where a step is missing, or no mapping."""
    record = {"a": {"b": 1}, "c": "text"}
    assert get_path(record, "a", "b") == 1
    assert get_path(record, "a", "z") is None
    assert get_path(record, "c", "b") is None
    assert get_path(None, "a") is None
    assert get_path(record) is record


@pytest.mark.parametrize(
    ("value", "read_s"),
    [
        ("1500", 1.5),
        (1500, 1.5),
        (0, 0.0),
        (None, 9.0),
        ("x", 9.0),
        (-1, 9.0),
        ("nan", 9.0),
        ("inf", 9.0),
        (253_402_300_800_000, 9.0),
    ],
)
def test_a_time_is_read_or_has_a_default(value: object, read_s: float) -> None:
    """What no calendar has is no time."""
    assert parse_seconds(value, 1e-3, 9.0) == read_s


def test_whole_milliseconds_are_read_in_one_go() -> None:
    """All of them, or none: then each is looked at by itself."""
    assert list(parse_milliseconds(["1500", "0"])) == [1.5, 0.0]
    for bad in (["1", "x"], ["1", None], ["-1"], ["253402300800000"], ["1.5"]):
        with pytest.raises((TypeError, ValueError)):
            parse_milliseconds(bad)  # type: ignore[arg-type]  # what an event may hold


@pytest.mark.parametrize("times", [[-0.1, 1.0], [1.0, 253_402_300_800.0], [float("inf")]])
def test_times_that_no_calendar_has_are_refused(times: list[float]) -> None:
    """The years are 1970 to 9999."""
    assert check_times([0.0, 253_402_300_799.0]) == [0.0, 253_402_300_799.0]
    with pytest.raises(ValueError, match="1970 to 9999"):
        check_times(times)


class Text(str):
    """Text of a kind of its own, as some parsers give it."""

    __slots__ = ()


def test_identities_are_text_of_any_kind() -> None:
    """But never empty, and never another type."""
    column = ["a", Text("b")]
    assert require_identities(column, "messageId") is column
    for bad in (["a", Text("")], ["a", ""], ["a", None], [7]):
        with pytest.raises(RejectedError, match="has no messageId"):
            require_identities(bad, "messageId")


def test_chunks_are_divided_by_name_in_the_order_of_the_first() -> None:
    """Without envelopes there is nothing to divide by."""
    chunk = make_chunk(b"1", b"2", b"3", envelopes=[{"q": "b"}, {"q": "a"}, {"q": "b"}])
    assert [(n, list(r.payloads)) for n, r in group_by(chunk, lambda e: e["q"])] == [
        ("b", [b"1", b"3"]),
        ("a", [b"2"]),
    ]
    assert group_by(make_chunk(b"1"), lambda e: e["q"]) == []


@pytest.mark.parametrize(
    ("arn", "name"), [("a:b:c", "c"), ("c", "c"), ("a:", "?"), ("", "?"), (None, "?"), (7, "?")]
)
def test_a_name_is_what_follows_the_last_colon(arn: object, name: str) -> None:
    """Or the fallback."""
    assert name_in_arn(arn, "?") == name
