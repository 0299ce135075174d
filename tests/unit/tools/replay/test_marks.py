"""Lines of quarantine objects: parsed, filtered, marked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batcher.batching.quarantine import quarantine_line
from batcher.reading.times import parse_time
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.tools.replay.marks import (
    RecordFilter,
    ReplayMark,
    ReplayState,
    incomplete_reason,
    join_lines,
    missing_transform_reason,
    parse_lines,
)
from support.examples import ARRIVAL_S, QUEUE, make_chunk, message

STARTED = ReplayMark("0123", ReplayState.STARTED, key="events/x")


def raw_of(**changes: Any) -> bytes:  # noqa: ANN401
    """Return a line as the handler writes it, with these changes."""
    run = make_chunk("hello", origin=QUEUE, positions=["m1"], envelopes=[message("m1", "hello")])
    line = json.loads(quarantine_line(BadRecord(run, BadRecordReason.NOT_JSON, "no JSON")))
    return json.dumps({**line, **changes}).encode()


def test_a_line_is_read_as_it_was_written() -> None:
    """Every field, and the payload as bytes."""
    (line,) = parse_lines(raw_of() + b"\n")
    assert (line.number, line.identity, line.position, line.reason) == (1, "m1", "m1", "not_json")
    assert (line.payload, line.arrival_s, line.mark, line.fault) == (b"hello", ARRIVAL_S, None, "")
    assert line.is_unstarted


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"{", "unexpected end of data"),
        (b"[]", "not a JSON object"),
        (raw_of(reason=None), "no reason"),
        (raw_of(position=7), "no position"),
        (raw_of(position=""), "no position"),
        (raw_of(payload=None), "no payload"),
        (raw_of(payload=None, payload_b64="*"), "payload_b64"),
        (raw_of(arrival="soon"), "Invalid isoformat"),
        (raw_of(replay="yes"), "not a mark of replay"),
        (raw_of(replay={"id": "1", "state": "half"}), "'half' is not a valid ReplayState"),
        (raw_of(replay={"id": "1", "state": "done", "key": 7}), "not a mark of replay"),
    ],
)
def test_a_damaged_line_says_what_is_wrong_and_keeps_its_bytes(raw: bytes, fault: str) -> None:
    """The lines around it are read."""
    lines = parse_lines(b"\n".join([raw_of(), raw, raw_of(), b""]))
    assert fault in lines[1].fault
    assert not lines[1].is_unstarted
    assert join_lines(lines).split(b"\n")[1] == raw
    assert [line.identity for line in lines] == ["m1", "", "m1#2"]


def test_every_line_has_its_own_identity() -> None:
    """Even if a position looks like a numbered one."""
    positions = ["f:1#2", "f:1", "f:1", "f:1", "f:1#2"]
    lines = parse_lines(b"\n".join(raw_of(position=position) for position in positions))
    assert [line.identity for line in lines] == ["f:1#2", "f:1", "f:1#3", "f:1#4", "f:1#2#2"]


@pytest.mark.parametrize(
    "mark", [STARTED, STARTED.as_done(), ReplayMark("1", ReplayState.DONE, queue="u")]
)
def test_a_mark_is_read_back_and_all_other_fields_stay(mark: ReplayMark) -> None:
    """It can be removed again."""
    (line,) = parse_lines(raw_of())
    (again,) = parse_lines(line.with_mark(mark).raw)
    assert again.mark == mark
    assert not again.is_unstarted
    assert again.with_mark(None).fields == line.fields


def test_a_done_mark_keeps_its_target() -> None:
    """So a reader of quarantine finds the record."""
    assert STARTED.as_done().as_dict() == {"id": "0123", "state": "done", "key": "events/x"}
    assert ReplayMark("1", ReplayState.DONE).is_filtered
    assert not ReplayMark("1", ReplayState.DONE, queue="u").is_filtered


def test_the_filter_uses_only_reason_source_and_arrival() -> None:
    """The start of the time range is inclusive, its end exclusive."""
    (line,) = parse_lines(raw_of(replay=STARTED.as_dict()))
    assert RecordFilter().matches(line)
    assert RecordFilter({"not_json", "empty"}, "sqs", ARRIVAL_S, ARRIVAL_S + 1).matches(line)
    assert not RecordFilter({"empty"}).matches(line)
    assert not RecordFilter(source="kinesis").matches(line)
    assert not RecordFilter(since_s=ARRIVAL_S + 1).matches(line)
    assert not RecordFilter(until_s=ARRIVAL_S).matches(line)


@pytest.mark.parametrize(
    ("changes", "incomplete", "untransformed"),
    [
        ({}, None, None),
        ({"reason": "too_large", "detail": "99 bytes"}, None, None),
        ({"reason": "too_large", "detail": "99 bytes; only its start is kept here"}, "only", None),
        ({"reason": "malformed"}, "--transform", None),
        ({"reason": "bad_base64"}, "--transform", None),
        ({"reason": "transform"}, None, "the corrected one"),
        ({"detail": "what the transform gave: no JSON"}, None, "the corrected one"),
        ({"detail": None}, None, None),
    ],
)
def test_an_incomplete_payload_has_a_reason(
    changes: dict[str, Any], incomplete: str | None, untransformed: str | None
) -> None:
    """A transform helps, unless the payload is truncated."""
    (line,) = parse_lines(raw_of(**changes))
    found = incomplete_reason(line, transformed=False)
    assert found is None if incomplete is None else incomplete in str(found)
    assert (incomplete_reason(line, transformed=True) is None) == (incomplete != "only")
    found = missing_transform_reason(line)
    assert found is None if untransformed is None else untransformed in str(found)


@pytest.mark.parametrize(
    "text", ["2026-11-23T07:00", "2026-11-23T07:00:00Z", "2026-11-23T09:00+02:00", "20261123T07"]
)
def test_times_without_a_zone_are_utc(text: str) -> None:
    """In ISO 8601."""
    assert parse_time(text) == ARRIVAL_S


def test_a_date_is_its_first_second() -> None:
    """Of the day in UTC."""
    assert parse_time("2026-11-23") == ARRIVAL_S - 7 * 3_600
