"""Each record of a stream is in exactly one object, through repeated and lost answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batcher.errors import RetryableError
from batcher.stores import ObjectAttributes
from batcher.stores.memory import MemoryStore
from batcher.stores.retrying import Backoff, RetryingStore
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
    text_of,
)

LOST = RetryableError("the answer was lost")


def event_of(*numbers: int) -> dict[str, Any]:
    """Make an event of records with these sequence numbers."""
    return {"Records": [kinesis_record(str(n), f'{{"n":{n}}}'.encode()) for n in numbers]}


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


@pytest.mark.parametrize("first", [(1, 2), (1, 2, 3, 4)])
def test_another_batch_from_the_same_record_replaces_its_object(
    handler_factory: HandlerFactory, first: tuple[int, ...]
) -> None:
    """The retry may be longer, by new records, or shorter, by bisect; the rest follows it."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(*first), None) == item_failures("1")
    etag = next(iter(inner.objects.values())).info.etag
    store.calls.clear()
    assert handle(event_of(1, 2, 3), None) == NO_FAILURES
    assert store.operations() == ["put", "head", "put"]
    assert store.calls[-1].if_match == etag
    assert len(inner.objects) == 1
    if len(first) > 3:
        assert handle(event_of(4), None) == NO_FAILURES
    assert numbers_in(inner) == sorted({1, 2, 3, *first})


def test_a_race_that_is_lost_brings_the_event_back(handler_factory: HandlerFactory) -> None:
    """Somebody replaced the object after our look: what they wrote stays, ours comes again."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    assert handle(event_of(1, 2), None) == NO_FAILURES
    ((key, there),) = inner.objects.items()

    async def overtake(call: Call) -> None:
        if call.if_match is not None:
            store.before = no_hook
            about = ObjectAttributes(metadata={"batcher-digest": "theirs"})
            await inner.put(key, b"theirs", about, if_match=there.info.etag)

    store.before = overtake
    assert handle(event_of(1, 2, 3), None) == item_failures("1")
    assert inner.objects[key].body == b"theirs"
    assert handle(event_of(1, 2, 3), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 3]


def test_a_replacing_put_whose_answer_was_lost_is_looked_for(
    handler_factory: HandlerFactory,
) -> None:
    """It is sent again, and refused, for the ETag has changed: by our own success."""
    inner, store = hooked()
    handle = handler_factory.make(RetryingStore(store, Backoff(base_s=0.0)))
    assert handle(event_of(1, 2), None) == NO_FAILURES
    losing = failing(LOST, "put", times=1)

    async def lose(call: Call) -> None:
        if call.if_match is not None:
            await losing(call)

    store.after = lose
    store.calls.clear()
    assert handle(event_of(1, 2, 3), None) == NO_FAILURES
    assert store.operations() == ["put", "head", "put", "put", "head"]
    assert numbers_in(inner) == [1, 2, 3]


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
