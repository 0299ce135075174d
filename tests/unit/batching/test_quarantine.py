"""Quarantine: bad records, one JSON line each, with everything needed to send them again."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from batcher.batching.quarantine import quarantine_chunk, quarantine_line
from batcher.batching.transform import apply_transform
from batcher.encoding.text import join_lines
from batcher.keys.names import quarantine_date
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk
from support.examples import (
    ARRIVAL_S,
    QUEUE,
    SHARD,
    fifo_message,
    kinesis_record,
    make_chunk,
    make_chunk_of_text,
    message,
)


def bad_of(chunk: Chunk) -> BadRecord:
    """Call a chunk of one record bad."""
    return BadRecord(chunk, BadRecordReason.NOT_JSON, "not one JSON value")


def test_a_line_holds_all_there_is_to_know() -> None:
    """These fields, in this order, as DESIGN 4 has them."""
    envelope = message("m1", "hello")
    chunk = make_chunk("hello", origin=QUEUE, positions=["m1"], envelopes=[envelope])
    line = json.loads(quarantine_line(bad_of(chunk)))
    kept = {name: value for name, value in envelope.items() if name != "body"}
    assert list(line.items()) == [
        ("reason", "not_json"),
        ("detail", "not one JSON value"),
        ("source", "sqs"),
        ("position", "m1"),
        ("arrival", "2026-11-23T07:00:00+00:00"),
        ("payload", "hello"),
        ("envelope", kept),
    ]
    assert b"\n" not in quarantine_line(bad_of(chunk))
    assert envelope["body"] == "hello"  # the event itself is not touched


@pytest.mark.parametrize("payload", [b"\xff\x00", b"\x1f\x8b\n", "\ud800\u00e9"])
def test_a_payload_that_is_no_utf8_stands_in_base64(payload: bytes | str) -> None:
    """Every byte of it comes back."""
    line = json.loads(quarantine_line(bad_of(make_chunk(payload))))
    assert "payload" not in line
    raw = b64decode(line["payload_b64"])
    assert raw == (payload if isinstance(payload, bytes) else b"\xed\xa0\x80\xc3\xa9")
    assert line["envelope"] is None


@pytest.mark.parametrize("payload", [b"", b"a\nb", "\u00e9\u2028".encode(), b'{"a":NaN}'])
def test_a_payload_that_is_utf8_stands_as_text(payload: bytes) -> None:
    """Newlines are escaped, so that it stays one line."""
    line = quarantine_line(bad_of(make_chunk(payload)))
    assert json.loads(line)["payload"] == payload.decode()
    assert b"\n" not in line


def test_an_envelope_does_not_repeat_the_data() -> None:
    """Of a stream's record only `data` is taken out."""
    envelope = kinesis_record("7", b"hello")
    chunk = make_chunk(b"hello", origin=SHARD, positions=["7"], envelopes=[envelope])
    line = json.loads(quarantine_line(bad_of(chunk)))
    assert "data" not in line["envelope"]["kinesis"]
    assert line["envelope"]["kinesis"]["sequenceNumber"] == "7"
    assert line["envelope"]["eventID"] == envelope["eventID"]


def test_a_body_that_is_no_text_stays_in_its_envelope() -> None:
    """So that the line has it as the source gave it."""
    chunk = make_chunk(b"null", envelopes=[message("m", None)])
    assert json.loads(quarantine_line(bad_of(chunk)))["envelope"]["body"] is None


@pytest.mark.parametrize("odd", ["\ud800", 2**70, {1: 2}])
def test_an_envelope_that_json_has_no_form_for_stands_as_text(odd: object) -> None:
    """The line is written all the same."""
    chunk = make_chunk(b"x", envelopes=[{"messageId": "m", "odd": odd}])
    line = json.loads(quarantine_line(bad_of(chunk)))
    assert isinstance(line["envelope"], str)
    assert "messageId" in line["envelope"]


def test_an_error_of_the_transform_that_is_no_utf8_can_be_written() -> None:
    """The user's exception may quote the record; it must not block the good ones."""

    def transform(payload: bytes) -> bytes:
        name = json.loads(payload)["name"]
        msg = f"unknown name {name}"
        raise ValueError(msg)

    (bad,) = apply_transform(make_chunk(b'{"name":"\\ud800"}'), transform).bad
    assert quarantine_line(bad)


def test_bad_records_of_one_origin_become_one_chunk() -> None:
    """Their lines, positions and times, in the order they were found."""
    records = [
        bad_of(make_chunk(b"a", positions=["1"], arrivals_s=[1.0])),
        bad_of(make_chunk(b"b", positions=["2"], arrivals_s=[2.0], envelopes=[{"n": 2}])),
    ]
    chunk = quarantine_chunk(records)
    assert chunk.payloads == [quarantine_line(r) for r in records]
    assert (list(chunk.positions), list(chunk.arrivals_s)) == (["1", "2"], [1.0, 2.0])
    assert chunk.envelopes is None
    assert chunk.sequence_numbers is None


def test_the_text_of_a_bad_chunk_does_not_stand_in_for_its_line() -> None:
    """The command line hands over lines that are too long as chunks that still have their text."""
    bad = BadRecord(make_chunk_of_text(b"xx\n"), BadRecordReason.TOO_LARGE, "a line of 9999 bytes")
    assert join_lines(quarantine_chunk([bad])) == [quarantine_line(bad) + b"\n"]


def test_quarantine_of_a_fifo_queue_keeps_the_numbers_that_name_it() -> None:
    """One a record."""
    chunks = [
        make_chunk("x", positions=[i], sequence_numbers=[n], envelopes=[fifo_message(i, n)])
        for i, n in (("a", "5"), ("b", "6"))
    ]
    assert quarantine_chunk([bad_of(chunk) for chunk in chunks]).sequence_numbers == ["5", "6"]


def test_quarantine_is_filed_by_the_day_of_arrival() -> None:
    """In UTC."""
    assert quarantine_date(ARRIVAL_S) == "2026-11-23"
    assert quarantine_date(0.0) == "1970-01-01"


def test_control_characters_do_not_make_a_line_six_times_as_large() -> None:
    """They stand in base64; a few among other text stay readable."""
    payload = b"\x01" * 90 + b"text"
    line = quarantine_line(bad_of(make_chunk(payload)))
    assert b64decode(json.loads(line)["payload_b64"]) == payload
    readable = b"\x01" * 5 + b"text" * 30 + b"\n\t" * 50
    assert json.loads(quarantine_line(bad_of(make_chunk(readable))))["payload"] == readable.decode()


@pytest.mark.parametrize("leaf", ["x", "\ud800"])
def test_an_envelope_that_is_nested_too_deep_is_described(leaf: str) -> None:
    """The record is quarantined all the same."""
    deep: object = leaf
    for _ in range(100_000):
        deep = [deep]
    envelope = message("m1", "x") | {"messageAttributes": deep}
    line = json.loads(quarantine_line(bad_of(make_chunk("x", envelopes=[envelope]))))
    assert line["envelope"] == "a dict that is nested too deep to be shown"
    assert line["payload"] == "x"
