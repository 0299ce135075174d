"""Event fields: columns of the fields of an event's records."""

from __future__ import annotations

import pytest

from batcher.errors import RejectedError, UnknownSourceError
from batcher.sources import read_event
from batcher.sources.event_fields import (
    check_times,
    get_path,
    group_by,
    name_in_arn,
    parse_milliseconds,
    parse_seconds,
    require_identities,
)
from support.examples import dynamodb_record, kinesis_record, make_chunk, message


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


def deep_list() -> object:
    """Return a list that neither `repr` nor `json` can write."""
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "event",
    [
        {"detail-type": "x", "source": "s" * 10**6},
        {"detail-type": "x", "source": deep_list()},
        {"records": [], "eventSource": "s" * 10**6},
        {"records": [], "eventSource": deep_list()},
        {"eventSource": "aws:" + "s" * 10**6},
        {"Records": [{"eventSource": f"{n}" + "s" * 10**6} for n in range(30)]},
        {"Records": [{"eventSource": deep_list()}]},
    ],
)
def test_a_message_holds_little_of_an_event(event: object) -> None:
    """Errors are logged, and Lambda returns them."""
    with pytest.raises(UnknownSourceError) as raised:
        read_event(event, 0.0)
    assert len(str(raised.value)) < 1_000


@pytest.mark.parametrize("source", ["sqs", "kinesis", "dynamodb"])
def test_a_value_that_is_nested_too_deep_does_not_block_the_others(source: str) -> None:
    """It is a bad record; the good one beside it is written."""
    if source == "sqs":
        records = [message("m1", "{}"), message("m2", "{}") | {"body": deep_list()}]
    elif source == "kinesis":
        records = [kinesis_record("1", b"{}"), kinesis_record("2", b"{}")]
        records[1]["kinesis"]["data"] = deep_list()
    else:
        records = [dynamodb_record("1"), dynamodb_record("2")]
        records[1]["dynamodb"]["NewImage"] = deep_list()
    event = read_event({"Records": records}, 0.0)
    assert [len(chunk) for chunk in event.chunks] == [1]
    assert [bad.position for bad in event.bad] == [event.positions[1]]
