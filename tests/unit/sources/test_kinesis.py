"""Kinesis: records of one shard, in order; any failure brings the whole invocation back."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from batcher.batching.validation import validate
from batcher.records.bad_record import BadRecordReason
from batcher.records.chunk import NamingScheme, Origin
from batcher.sources import Event, read_event
from batcher.sources.event import Ledger
from support.examples import ARRIVAL_S, STREAM_ARN, event_from, kinesis_record

NOW_S = 1.0


def read(*records: dict[str, Any]) -> Event:
    """Read records of a stream."""
    return read_event({"Records": list(records)}, NOW_S)


def test_records_are_read_into_columns() -> None:
    """Data is decoded; stream and shard are the stem."""
    event = read_event(event_from("kinesisStreamEvent"), NOW_S)
    (chunk,) = event.chunks
    assert chunk.origin == Origin(
        "kinesis", NamingScheme.SEQUENCE, "lambda-stream-shardId-000000000006"
    )
    assert list(chunk.payloads) == [b"Hello, this is a test.", b"This is only a test."]
    assert list(chunk.positions) == [
        "49590338271490256608559692538361571095921575989136588898",
        "49590338271490256608559692540925702759324208523137515618",
    ]
    assert list(chunk.arrivals_s) == [1545084650.987, 1545084711.166]
    assert event.all_or_nothing


def test_records_of_cloudwatch_logs_are_recognized_as_gzip() -> None:
    """They come packed; the hint says what to do."""
    event = read_event(event_from("kinesisStreamCloudWatchLogsEvent"), NOW_S)
    checked = validate(event.chunks[0], is_json=True, max_bytes=10**6)
    assert [bad.reason for bad in checked.bad] == [BadRecordReason.GZIP, BadRecordReason.GZIP]
    assert "transform=gzip.decompress" in checked.bad[0].detail


def test_a_record_that_comes_twice_is_read_once() -> None:
    """By its sequence number."""
    event = read(kinesis_record("1", b"a"), kinesis_record("2", b"b"), kinesis_record("1", b"a"))
    assert list(event.positions) == ["1", "2"]
    assert list(event.chunks[0].payloads) == [b"a", b"b"]


def unpacked(number: str, sub_number: int, data: object) -> dict[str, Any]:
    """Create a record as aws_kinesis_agg unpacks it from an aggregate."""
    record = kinesis_record(number)
    record["kinesis"] |= {"subSequenceNumber": sub_number, "aggregated": True, "data": data}
    return record


def test_unpacked_records_of_one_sequence_number_are_all_read() -> None:
    """Also those with equal content, which the number in the aggregate tells apart."""
    records = [unpacked("5", n, b64encode(data)) for n, data in enumerate([b"a", b"b", b"a"])]
    event = read(*records, kinesis_record("6", b"c"), *records)
    assert list(event.chunks[0].payloads) == [b"a", b"b", b"a", b"c"]
    assert list(event.positions) == ["5", "5/1", "5/2", "6"]
    assert event.identities == {"5/1": "5", "5/2": "5"}


def test_records_of_one_sequence_number_are_compared_by_what_they_hold() -> None:
    """However the data is given, and whether it can be decoded or not."""
    odd = [kinesis_record("5") for _ in range(8)]
    given = ["YQ==", b"YQ==", b"a!", "no base64!", b"a!", "no base64!", None, 7]
    for record, data in zip(odd, given, strict=True):
        record["kinesis"]["data"] = data
    event = read(*odd)
    assert list(event.chunks[0].payloads) == [b"a", b"a!"]
    assert [bad.position for bad in event.bad] == ["5/3", "5/4", "5/2"]
    assert list(event.positions) == ["5", "5/1", "5/2", "5/3", "5/4"]


def test_records_of_two_shards_share_no_identity() -> None:
    """Each is written, and the answer has their number once."""
    event = read(kinesis_record("5", b"a", shard="s1"), kinesis_record("5", b"a", shard="s2"))
    assert [list(chunk.payloads) for chunk in event.chunks] == [[b"a"], [b"a"]]
    assert event.failed_identities(Ledger(event.positions)) == ["5"]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_data_may_be_bytes(kind: type) -> None:
    """Base64 as Lambda has it, or else the payload itself."""
    records = [kinesis_record(str(n)) for n in range(3)]
    for record, data in zip(records, [b"eyJhIjoxfQ==", b'{"a":2}', b""], strict=True):
        record["kinesis"]["data"] = kind(data)
    event = read(*records, kinesis_record("3", b"3"))
    assert list(event.chunks[0].payloads) == [b'{"a":1}', b'{"a":2}', b"", b"3"]
    assert set(map(type, event.chunks[0].payloads)) == {bytes}
    assert event.bad == []


def test_records_of_several_shards_are_chunks_of_their_own() -> None:
    """Each in its order."""
    event = read(
        kinesis_record("1", shard="shardId-1"),
        kinesis_record("2", shard="shardId-2"),
        kinesis_record("3", shard="shardId-1"),
    )
    assert [(chunk.origin.stem, list(chunk.positions)) for chunk in event.chunks] == [
        ("orders-shardId-1", ["1", "3"]),
        ("orders-shardId-2", ["2"]),
    ]


@pytest.mark.parametrize(
    ("arn", "stem"),
    [
        (STREAM_ARN, "orders-s"),
        (f"{STREAM_ARN}/consumer/fast:1545084650", "orders-s"),
        ("arn:aws:kinesis", "stream-s"),
        (None, "stream-s"),
        ("a:stream/x~/y", "x%7E-s"),
    ],
)
def test_a_stem_is_the_stream_and_the_shard(arn: Any, stem: str) -> None:  # noqa: ANN401  # anything
    """An enhanced consumer has the stream's name; what is none has a name all the same."""
    (chunk,) = read(kinesis_record("1", shard="s", arn=arn)).chunks
    assert chunk.origin.stem == stem


def test_data_that_is_no_base64_is_bad_and_its_neighbours_go_on() -> None:
    """The detail says what was wrong; the payload is kept as it came."""
    records = [kinesis_record(str(n), b"%d" % n) for n in range(5)]
    records[1]["kinesis"]["data"] = "no base64!"
    records[3]["kinesis"]["data"] = "\u00e9"
    event = read(*records)
    assert list(event.chunks[0].payloads) == [b"0", b"2", b"4"]
    assert list(event.chunks[0].positions) == ["0", "2", "4"]
    assert [(b.position, b.reason) for b in event.bad] == [
        ("1", BadRecordReason.BAD_BASE64),
        ("3", BadRecordReason.BAD_BASE64),
    ]
    assert event.bad[0].detail.startswith("data: ")
    assert event.bad[0].chunk.payloads == ["no base64!"]
    assert event.bad[0].chunk.origin == event.chunks[0].origin


@pytest.mark.parametrize("data", [None, 7, {"a": 1}])
def test_data_that_is_no_text_is_bad(data: object) -> None:
    """Also where it is missing."""
    odd = kinesis_record("2")
    odd["kinesis"]["data"] = data
    event = read(kinesis_record("1", b"1"), odd)
    assert [(b.position, b.reason) for b in event.bad] == [("2", BadRecordReason.MALFORMED)]
    assert list(event.chunks[0].payloads) == [b"1"]
    del odd["kinesis"]["data"]
    assert [b.reason for b in read(odd).bad] == [BadRecordReason.MALFORMED]


def test_a_record_without_a_time_has_the_clocks() -> None:
    """And one without an id no shard."""
    odd = kinesis_record("1")
    del odd["kinesis"]["approximateArrivalTimestamp"]
    del odd["eventID"]
    (chunk,) = read(odd).chunks
    assert list(chunk.arrivals_s) == [NOW_S]
    assert chunk.origin.stem == "orders"
    assert ARRIVAL_S != NOW_S


def test_a_record_without_a_time_has_the_events_first() -> None:
    """A redelivery in another hour finds the same partition, and the same key."""
    odd, late = kinesis_record("1"), kinesis_record("3")
    odd["kinesis"]["approximateArrivalTimestamp"] = None
    late["kinesis"]["approximateArrivalTimestamp"] = ARRIVAL_S + 9
    (chunk,) = read(odd, kinesis_record("2"), late).chunks
    assert list(chunk.arrivals_s) == [ARRIVAL_S, ARRIVAL_S, ARRIVAL_S + 9]


def test_any_failure_answers_with_the_first_record() -> None:
    """So that the retry starts where this delivery did, and the batch is kept whole."""
    event = read(kinesis_record("1"), kinesis_record("2"), kinesis_record("3"))
    ledger = Ledger(event.positions)
    ledger.settle(["1", "2"])
    assert event.select_failures(ledger, event.positions) == ["1"]
    ledger.settle(["3"])
    assert event.select_failures(ledger, event.positions) == []
