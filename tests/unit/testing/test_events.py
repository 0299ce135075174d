"""Events of the kit have the shape that Lambda delivers, and batcher reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from batcher.sources import read_event
from batcher.testing import (
    dynamodb_records,
    event_of,
    fifo_messages,
    kinesis_records,
    sqs_messages,
)
from batcher.testing.events import Payload
from support.examples import event_from

PAYLOADS: list[Payload] = [{"n": 0}, '{"n": 1}', b'{"n": 2}']
IMAGES = [{"Id": {"N": "101"}}, {"Id": {"N": "102"}}]


def shape(value: object) -> object:
    """Return the names and types of all fields."""
    if isinstance(value, Mapping):
        return {name: shape(inner) for name, inner in value.items()}
    return type(value).__name__


@pytest.mark.parametrize(
    ("records", "sample", "optional"),
    [
        (sqs_messages(PAYLOADS), "sqsEvent", {"messageAttributes"}),
        (fifo_messages(PAYLOADS), "snsSqsFifoEvent", {"messageAttributes"}),
        (kinesis_records(PAYLOADS), "kinesisStreamEvent", set()),
        (dynamodb_records(IMAGES), "dynamoStreamEvent", {"dynamodb"}),
    ],
)
def test_records_have_the_fields_of_a_real_event(
    records: Sequence[Mapping[str, Any]], sample: str, optional: set[str]
) -> None:
    """With the same types; free content is left out."""
    real = event_from(sample)["Records"][0]
    for record in records:
        assert record.keys() == real.keys()
        for name in record.keys() - optional:
            assert shape(record[name]) == shape(real[name]), name
    if "dynamodb" in optional:
        assert records[0]["dynamodb"].keys() == real["dynamodb"].keys()


def test_payloads_arrive_as_they_are() -> None:
    """Of any type, in order; each record has a position of its own."""
    for make in (sqs_messages, fifo_messages, kinesis_records):
        event = read_event(event_of(make(PAYLOADS)), 0.0)
        (chunk,) = event.chunks
        payloads = [p.encode() if isinstance(p, str) else p for p in chunk.payloads]
        assert payloads == [b'{"n":0}', b'{"n": 1}', b'{"n": 2}']
        assert len(set(chunk.positions)) == 3


def test_numbers_grow() -> None:
    """As in a shard and in a FIFO queue."""
    kinesis = [int(r["kinesis"]["sequenceNumber"]) for r in kinesis_records(PAYLOADS)]
    dynamodb = [int(r["dynamodb"]["SequenceNumber"]) for r in dynamodb_records(IMAGES)]
    fifo = [int(r["attributes"]["SequenceNumber"]) for r in fifo_messages(PAYLOADS)]
    for numbers in (kinesis, dynamodb, fifo):
        assert numbers == sorted(set(numbers))


def test_groups_take_turns() -> None:
    """As many messages as payloads, however many groups."""
    messages = fifo_messages(PAYLOADS, groups=["a", "b"])
    assert [m["attributes"]["MessageGroupId"] for m in messages] == ["a", "b", "a"]


def test_a_seed_gives_the_same_ids() -> None:
    """And another seed others."""
    assert sqs_messages(PAYLOADS) == sqs_messages(PAYLOADS)
    ids = {m["messageId"] for seed in (0, 1) for m in sqs_messages(PAYLOADS, seed=seed)}
    assert len(ids) == 6
