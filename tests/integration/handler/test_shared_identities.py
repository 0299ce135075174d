"""Records that share an identity are all written, and acknowledged together."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from batcher.errors import RetryableError
from batcher.keys.parse import parse_key
from batcher.reading.overlap import read_sequence_range
from batcher.stores.memory import MemoryStore
from support.examples import SEQUENCE, dynamodb_record, fifo_message, kinesis_record, message
from support.fakes import failing, no_hook
from support.handler_harness import (
    KIND,
    NO_FAILURES,
    HandlerFactory,
    data_of,
    hooked,
    item_failures,
    quarantine_of,
    snapshot,
)

BUSY = RetryableError("the store is busy")
MakeRecord = Callable[[dict[str, Any]], dict[str, Any]]


def in_kinesis(body: dict[str, Any]) -> dict[str, Any]:
    """Create a record of Kinesis as Lambda has it."""
    return kinesis_record(SEQUENCE, json.dumps(body).encode())


def unpacked(body: dict[str, Any]) -> dict[str, Any]:
    """Create a record as aws_kinesis_agg unpacks it: the data is base64, and bytes."""
    record = kinesis_record(SEQUENCE)
    data = b64encode(json.dumps(body).encode())
    record["kinesis"] |= {"subSequenceNumber": body["n"], "aggregated": True, "data": data}
    return record


def in_dynamodb(body: dict[str, Any]) -> dict[str, Any]:
    """Create a change whose place in the partition is beside the item."""
    return dynamodb_record(SEQUENCE, {"n": {"N": str(body["n"])}}) | body


def in_queue(body: dict[str, Any]) -> dict[str, Any]:
    """Create a message of a standard queue."""
    return message(SEQUENCE, json.dumps(body))


def in_fifo_queue(body: dict[str, Any]) -> dict[str, Any]:
    """Create a message of a FIFO queue."""
    return fifo_message(SEQUENCE, "18873177232222703872", body=json.dumps(body))


STREAMS = [in_kinesis, unpacked, in_dynamodb]
SOURCES = [*STREAMS, in_queue, in_fifo_queue]


def event_of(make: MakeRecord, kinds: Sequence[str]) -> dict[str, Any]:
    """Create an event of one record per kind, all with one identity."""
    return {"Records": [make({"kind": kind, "n": n}) for n, kind in enumerate(kinds)]}


def numbers_in(store: MemoryStore) -> list[int]:
    """Return the numbers of all records in objects of data, sorted."""
    return sorted(json.loads(line)["n"] for line in data_of(store))


@pytest.mark.parametrize("make", SOURCES)
def test_all_records_of_one_identity_are_written(
    handler_factory: HandlerFactory, store: MemoryStore, make: MakeRecord
) -> None:
    """Each once, however often it is in the event and the event is delivered."""
    handle = handler_factory.make(store, partition_by=KIND)
    event = event_of(make, "aabba")
    assert handle(event, None) == NO_FAILURES
    assert numbers_in(store) == [0, 1, 2, 3, 4]
    once = snapshot(store)
    assert handle({"Records": [*event["Records"], *event["Records"][2:]]}, None) == NO_FAILURES
    assert snapshot(store) == once


@pytest.mark.parametrize("make", SOURCES)
@pytest.mark.parametrize("failed", ["kind=a", "kind=b"])
def test_an_identity_is_acknowledged_when_all_of_it_is_durable(
    handler_factory: HandlerFactory, make: MakeRecord, failed: str
) -> None:
    """Whichever of its objects fails, it comes back, and once."""
    inner, store = hooked()
    store.before = failing(BUSY, "put", key=failed)
    handle = handler_factory.make(store, partition_by=KIND)
    event = event_of(make, "abab")
    assert handle(event, None) == item_failures(SEQUENCE)
    assert len(numbers_in(inner)) == 2
    store.before = no_hook
    assert handle(event, None) == NO_FAILURES
    assert numbers_in(inner) == [0, 1, 2, 3]


@pytest.mark.parametrize("make", SOURCES)
def test_a_bad_record_shares_its_identity_with_good_ones(
    handler_factory: HandlerFactory, store: MemoryStore, make: MakeRecord
) -> None:
    """It is quarantined under its own position, and they are written."""

    def transform(payload: bytes) -> bytes:
        if json.loads(payload)["n"] in {1, 3}:
            raise ValueError
        return payload

    handle = handler_factory.make(store, transform=transform)
    assert handle(event_of(make, "aaaaa"), None) == NO_FAILURES
    assert numbers_in(store) == [0, 2, 4]
    positions = {
        line["position"]: json.loads(line["payload"])["n"] for line in quarantine_of(store)
    }
    assert positions == {f"{SEQUENCE}/1": 1, f"{SEQUENCE}/3": 3}
    rejecting = handler_factory.make(MemoryStore(), transform=transform, on_bad_record="fail")
    assert rejecting(event_of(make, "aaaaa"), None) == item_failures(SEQUENCE)


@pytest.mark.parametrize("make", STREAMS)
def test_names_and_ranges_of_objects_have_the_plain_sequence_number(
    handler_factory: HandlerFactory, store: MemoryStore, make: MakeRecord
) -> None:
    """Also where the first or the last record has an index: readers compare them as numbers."""
    handle = handler_factory.make(store, partition_by=KIND)
    assert handle(event_of(make, "abb"), None) == NO_FAILURES
    assert len(store.objects) == 2
    for key, stored in store.objects.items():
        parsed = parse_key(key, "events")
        assert parsed.first == int(SEQUENCE)
        metadata = stored.info.metadata
        assert metadata["batcher-first"] == metadata["batcher-last"] == SEQUENCE
        found = read_sequence_range(parsed, metadata)
        assert found is not None
        assert (found.first, found.last) == (int(SEQUENCE), int(SEQUENCE))
    digests = {stored.info.metadata["batcher-digest"] for stored in store.objects.values()}
    assert len(digests) == 2


def test_a_queue_has_the_same_objects_in_any_order(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """A message that comes again may have its records in another order."""
    handle = handler_factory.make(store, partition_by=KIND, max_records=1)
    event = event_of(in_queue, "abcab")
    assert handle(event, None) == NO_FAILURES
    once = snapshot(store)
    assert handle({"Records": event["Records"][::-1]}, None) == NO_FAILURES
    assert snapshot(store) == once


@pytest.mark.parametrize("seed", range(25))
def test_other_cuts_of_a_stream_lose_and_double_nothing(
    handler_factory: HandlerFactory, seed: int
) -> None:
    """Each cut has all records of its sequence numbers, and begins where one began or ended."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    parts = [chance.randint(1, 4) for _ in range(8)]
    numbers = iter(range(100))
    shard = [
        [
            kinesis_record(str(100 + n), json.dumps({"kind": kind, "n": next(numbers)}).encode())
            for kind in chance.choices("ab", k=count)
        ]
        for n, count in enumerate(parts)
    ]
    inner, store = hooked()
    handle = handler_factory.make(store, partition_by=KIND)
    bounds, acknowledged = [0], 0
    while acknowledged < len(shard):
        start = chance.choice([bound for bound in bounds if bound <= acknowledged])
        stop = chance.randint(start + 1, len(shard))
        store.before = failing(BUSY, "put", key=chance.choice(["kind=a", "kind=b", "none"]))
        event = {"Records": [record for records in shard[start:stop] for record in records]}
        bounds.append(start)
        if handle(event, None) == NO_FAILURES:
            bounds.append(stop)
            acknowledged = max(acknowledged, stop)
        done = {json.loads(line)["n"] for line in data_of(inner)}
        assert done >= set(range(sum(parts[:acknowledged]))), "an acknowledged record is missing"
    assert numbers_in(inner) == list(range(sum(parts)))
