"""Each record of a stream is in exactly one object, through repeated and lost answers."""

from __future__ import annotations

import dataclasses
import json
from base64 import b64encode
from typing import Any

import pytest
from msgspec.structs import replace

from batcher.encoding.decoder import Decoder
from batcher.errors import RejectedError, RetryableError
from batcher.records.positions import encode_positions
from batcher.stores.memory import MemoryStore
from support.examples import kinesis_record
from support.fakes import Call, failing, no_hook
from support.handler_harness import (
    KIND,
    NO_FAILURES,
    HandlerFactory,
    assert_described,
    data_of,
    hooked,
    item_failures,
    quarantine_of,
    text_of,
)

LOST = RetryableError("the answer was lost")


def event_of(*numbers: int) -> dict[str, Any]:
    """Make an event of records with these sequence numbers."""
    return {"Records": [kinesis_record(str(n), f'{{"n":{n}}}'.encode()) for n in numbers]}


def bad_record(number: int, arrival_s: float) -> dict[str, Any]:
    """Make a record that is not JSON."""
    record = kinesis_record(str(number), b"no json")
    record["kinesis"]["approximateArrivalTimestamp"] = arrival_s
    return record


def positions_in(store: MemoryStore) -> list[list[str]]:
    """Return the positions in each object with records, from its lines."""
    texts = [decode(key, there.body) for key, there in sorted(store.objects.items())]
    found = [[str(json.loads(line)["n"]) for line in text.splitlines()] for text in texts]
    return sorted(filter(None, found), key=lambda positions: int(positions[0]))


def decode(key: str, body: bytes) -> bytes:
    """Decompress an object."""
    decoder = Decoder(key)
    return b"".join(decoder.feed(body))


def numbers_in(store: MemoryStore) -> list[int]:
    """Return the numbers of all records in the store, sorted."""
    return sorted(json.loads(line)["n"] for line in data_of(store))


def test_a_lost_answer_is_found_to_be_our_own_success(handler_factory: HandlerFactory) -> None:
    """The retry meets its own object, looks, and writes nothing."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1, 2), None) == item_failures("1")
    ((key, there),) = inner.objects.items()
    store.calls.clear()
    assert handle(event_of(1, 2), None) == NO_FAILURES
    assert store.operations() == ["put", "head"]
    assert inner.objects[key] is there


def test_a_clean_write_is_one_request(handler_factory: HandlerFactory) -> None:
    """Exactly once costs nothing where nothing goes wrong."""
    _, store = hooked()
    assert handler_factory.make(store)(event_of(1, 2), None) == NO_FAILURES
    assert store.operations() == ["put"]


def test_what_was_acknowledged_stays_through_a_repeat_in_another_cut(
    handler_factory: HandlerFactory,
) -> None:
    """0 to 4 and then 0 to 2 again, then 5 to 7: each record is in one object."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    assert handle(event_of(*range(5)), None) == NO_FAILURES
    before = dict(inner.objects)
    assert handle(event_of(0, 1, 2), None) == NO_FAILURES
    assert handle(event_of(5, 6, 7), None) == NO_FAILURES
    assert numbers_in(inner) == list(range(8))
    assert inner.objects.items() >= before.items()


def test_a_longer_retry_writes_only_what_is_new(handler_factory: HandlerFactory) -> None:
    """The object that is there stays as it is, and the rest gets the name of its own start."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1, 2), None) == item_failures("1")
    ((key, there),) = inner.objects.items()
    store.calls.clear()
    assert handle(event_of(1, 2, 3, 4), None) == NO_FAILURES
    assert store.operations() == ["put", "head", "put"]
    assert inner.objects[key] is there
    assert numbers_in(inner) == [1, 2, 3, 4]
    assert positions_in(inner) == [["1", "2"], ["3", "4"]]


def test_a_shorter_retry_leaves_a_guard(handler_factory: HandlerFactory) -> None:
    """It holds no records, and keeps those after it from being written again."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1, 2, 3, 4), None) == item_failures("1")
    (key,) = inner.objects
    store.calls.clear()
    assert handle(event_of(1, 2), None) == NO_FAILURES
    assert store.operations() == ["put", "head", "put"]
    (guard,) = (there for name, there in inner.objects.items() if name != key)
    assert text_of(guard) == b""
    assert guard.info.metadata["batcher-kind"] == "guard"
    assert guard.info.metadata["batcher-of"] == key
    assert handle(event_of(3, 4, 5), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 3, 4, 5]


def test_a_guard_of_a_guard_names_the_object(handler_factory: HandlerFactory) -> None:
    """However often a batch is halved."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    assert handle(event_of(1, 2, 3, 4), None) == NO_FAILURES
    (key,) = inner.objects
    for numbers in ((1,), (2,), (3,), (4,), (5,)):
        assert handle(event_of(*numbers), None) == NO_FAILURES
    of = [there.info.metadata.get("batcher-of") for there in inner.objects.values()]
    assert sorted(of, key=str) == [None, None, key, key, key]
    assert numbers_in(inner) == [1, 2, 3, 4, 5]


def test_a_guard_that_cannot_be_written_brings_the_event_back(
    handler_factory: HandlerFactory,
) -> None:
    """It exists before the answer."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    assert handle(event_of(1, 2, 3), None) == NO_FAILURES
    store.before = failing(LOST, "put", key="-" + "2".zfill(64))
    assert handle(event_of(1), None) == item_failures("1")
    store.before = no_hook
    assert handle(event_of(1), None) == NO_FAILURES
    assert handle(event_of(2, 3), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 3]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_list_of_many_records_is_in_the_body(
    handler_factory: HandlerFactory, compression: str
) -> None:
    """A shorter redelivery reads it there, and so does one that begins with the guard."""
    inner, store = hooked()
    handle = handler_factory.make(store, compression=compression)
    many = [n * n * n for n in range(1, 700)]
    assert handle(event_of(*many), None) == NO_FAILURES
    assert not any("batcher-positions" in o.info.metadata for o in inner.objects.values())
    store.calls.clear()
    assert handle(event_of(*many[:20]), None) == NO_FAILURES
    assert store.operations() == ["put", "head", "read", "put"]
    assert handle(event_of(*many[20:]), None) == NO_FAILURES
    assert len(inner.objects) == 2
    assert positions_in(inner) == [[str(n) for n in many]]


def test_records_are_written_twice_where_no_list_can_be_stored(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A long list has no place in a body without compression: nothing is lost, and it is logged."""
    inner, store = hooked()
    handle = handler_factory.make(store, compression="none")
    many = [n * n * n for n in range(1, 700)]
    assert handle(event_of(*many), None) == NO_FAILURES
    assert handle(event_of(*many[:20]), None) == NO_FAILURES
    assert handle(event_of(*many[:20]), None) == NO_FAILURES
    assert sorted(positions_in(inner), key=len) == [
        [str(n) for n in many[:20]],
        [str(n) for n in many],
    ]
    assert "positions_unknown" in caplog.text


def test_records_are_written_twice_where_the_list_may_not_be_read(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """S3 refuses the body of an archived object for good: the stream goes on, and nothing is lost.

    The log line has fields, so that it can be found.
    """
    inner, store = hooked()
    handle = handler_factory.make(store)
    many = [n * n * n for n in range(1, 700)]
    assert handle(event_of(*many), None) == NO_FAILURES
    store.before = failing(RejectedError("403 InvalidObjectState: it is archived"), "read")
    for _ in range(2):
        for cut in (many[:20], many[20:]):
            assert handle(event_of(*cut), None) == NO_FAILURES
    assert numbers_in(inner) == sorted(many * 2)
    unknown = [line for line in caplog.records if "positions_unknown" in line.msg]
    assert [line.msg for line in unknown] == ["positions_unknown key=%s of=%s reason=%s"] * 2
    assert "archived" in unknown[0].getMessage()


@pytest.mark.parametrize("first", [(1, 2), (1, 2, 3)])
def test_an_object_of_an_earlier_version_is_known_by_its_digest(
    handler_factory: HandlerFactory, first: tuple[int, ...]
) -> None:
    """It has no list. If it is the start of the redelivery, only the rest is written."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    assert handle(event_of(*first), None) == NO_FAILURES
    for key, there in inner.objects.items():
        metadata = {n: v for n, v in there.info.metadata.items() if n != "batcher-positions"}
        inner.objects[key] = dataclasses.replace(there, info=replace(there.info, metadata=metadata))
    for _ in range(2):
        assert handle(event_of(1, 2, 3), None) == NO_FAILURES
        assert numbers_in(inner) == [1, 2, 3]
    assert handle(event_of(1), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 1, 2, 3]  # a shorter one is written once more


@pytest.mark.parametrize("damage", ["AAAA", "not base64", "%s"])
def test_a_list_that_is_not_the_objects_own_is_not_believed(
    handler_factory: HandlerFactory, damage: str
) -> None:
    """Damaged, or of other positions: whatever it says, no record is lost."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    assert handle(event_of(1, 2), None) == NO_FAILURES
    others = encode_positions(["1", "2", "3", "4"])
    assert others is not None
    text = damage if damage != "%s" else b64encode(others).decode()
    for key, there in inner.objects.items():
        metadata = {**there.info.metadata, "batcher-positions": text}
        inner.objects[key] = dataclasses.replace(there, info=replace(there.info, metadata=metadata))
    assert handle(event_of(1, 2, 3), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 3]


def test_bad_records_follow_the_same_rule(handler_factory: HandlerFactory) -> None:
    """Through midnight, too: each is in one object of its own date."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    midnight_s = 1_795_478_400

    def bad_event(start: int, end: int) -> dict[str, Any]:
        return {"Records": [bad_record(n, midnight_s + 60 * (n - 3)) for n in range(start, end)]}

    for cut in ((1, 6), (1, 4), (4, 8), (1, 2), (2, 3), (2, 8)):
        assert handle(bad_event(*cut), None) == NO_FAILURES
    assert sorted(int(line["position"]) for line in quarantine_of(inner)) == list(range(1, 8))
    assert {key.split("/")[3] for key in inner.objects} == {"dt=2026-11-23", "dt=2026-11-24"}


def test_an_object_that_is_gone_after_it_was_in_the_way_brings_the_event_back(
    handler_factory: HandlerFactory,
) -> None:
    """Nobody knows what happens there; the next try creates it."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    assert handle(event_of(1), None) == NO_FAILURES

    async def remove(call: Call) -> None:
        if call.operation == "head":
            inner.objects.clear()

    store.before = remove
    assert handle(event_of(1, 2), None) == item_failures("1")
    assert handle(event_of(1, 2), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2]


def test_no_limit_splits_a_stream_event(handler_factory: HandlerFactory) -> None:
    """One object a partition, or a retry could not find what it has written."""
    inner, store = hooked()
    handle = handler_factory.make(store, max_records=1, max_bytes=40, linger_s=0, partition_by=KIND)
    records = [
        kinesis_record(str(n), json.dumps({"kind": "ab"[n % 2], "n": n}).encode())
        for n in range(100, 120)
    ]
    assert handle({"Records": records}, None) == NO_FAILURES
    assert store.operations() == ["put", "put"]
    for there in inner.objects.values():
        positions = [str(json.loads(line)["n"]) for line in text_of(there).splitlines()]
        assert len(positions) == 10
        assert_described(there.info.metadata, text_of(there), positions)
