"""What is not durable comes back, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from batcher.errors import RejectedError, RetryableError
from batcher.stores.memory import MemoryStore
from batcher.stores.retrying import Backoff, RetryingStore
from support.examples import fifo_message, kinesis_record, message
from support.fakes import Call, FakeContext, failing, hanging
from support.handler_harness import (
    KIND,
    NO_FAILURES,
    HandlerFactory,
    data_of,
    hooked,
    item_failures,
    quarantine_of,
)

MakeEvent = Callable[..., dict[str, Any]]
BUSY = RetryableError("the store is busy")
SOON = FakeContext(left_ms=400)
"""Time enough to write what can be written to memory, and little to wait."""


def sqs_event(*kinds: str) -> dict[str, Any]:
    """Make an event of one message a kind: `m0`, `m1` and so on."""
    return {"Records": [message(f"m{n}", _body(n, kind)) for n, kind in enumerate(kinds)]}


def kinesis_event(*kinds: str, first: int = 100) -> dict[str, Any]:
    """Make an event of one record a kind, with sequence numbers from `first` on."""
    return {
        "Records": [
            kinesis_record(str(first + n), _body(n, kind).encode()) for n, kind in enumerate(kinds)
        ]
    }


def _body(n: int, kind: str) -> str:
    return json.dumps({"kind": kind, "n": n}) if kind != "bad" else "no json"


@pytest.mark.parametrize("operation", ["put"])
@pytest.mark.parametrize("error", [BUSY, RejectedError("no such bucket"), ValueError("a bug")])
def test_exactly_the_messages_of_failed_objects_come_back(
    handler_factory: HandlerFactory, operation: str, error: Exception
) -> None:
    """In the order of the event, whatever the error was; the others are durable."""
    inner, store = hooked()
    store.before = failing(error, operation, key="kind=b")
    handle = handler_factory.make(store, partition_by=KIND)
    assert handle(sqs_event("a", "b", "a", "b", "c"), None) == item_failures("m1", "m3")
    assert len(data_of(inner)) == 3
    store.before = failing(error)
    again = {"Records": [m for m in sqs_event("a", "b", "a", "b")["Records"] if "b" in m["body"]]}
    assert handle(again, None) == NO_FAILURES
    assert sorted(json.loads(line)["n"] for line in data_of(inner)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("event", [sqs_event("a", "b"), kinesis_event("a", "b")])
def test_without_partial_response_any_failure_raises(
    handler_factory: HandlerFactory, event: dict[str, Any]
) -> None:
    """AWS would ignore the answer; the message says how many, and why."""
    _, store = hooked()
    store.before = failing(BUSY, "put", key="kind=b")
    handle = handler_factory.make(store, partition_by=KIND, partial_response=False)
    with pytest.raises(RetryableError, match=r"1 of 2 records .* the store is busy") as caught:
        handle(event, None)
    assert "\n" not in str(caught.value)


def test_what_will_never_succeed_is_raised_as_such(handler_factory: HandlerFactory) -> None:
    """A rejection counts for more than what may be over soon: somebody must do something."""
    _, store = hooked()
    busy, refused = failing(BUSY, "put", key="kind=a"), failing(RejectedError("no bucket"), "put")

    async def both(call: Call) -> None:
        await busy(call)
        await refused(call)

    store.before = both
    handle = handler_factory.make(store, partition_by=KIND, partial_response=False)
    with pytest.raises(RejectedError, match="no bucket"):
        handle(sqs_event("a", "b"), None)


def test_of_a_fifo_group_all_after_the_first_failure_comes_back(
    handler_factory: HandlerFactory,
) -> None:
    """Even what is durable, for AWS would bring the others after it; other groups are not held."""
    inner, store = hooked()
    store.before = failing(BUSY, "put", key="kind=b")
    handle = handler_factory.make(store, partition_by=KIND)
    rows = [("g", "a"), ("g", "b"), ("h", "a"), ("g", "a"), ("h", "a"), ("i", "b"), ("i", "a")]
    records = [
        fifo_message(f"m{n}", str(1000 + n), group, _body(n, kind))
        for n, (group, kind) in enumerate(rows)
    ]
    answer = handle({"Records": records}, None)
    assert answer == item_failures("m1", "m3", "m5", "m6")
    assert len(data_of(inner)) == 5


def test_a_fifo_object_is_in_the_order_of_its_queue(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Whatever order the event has; numbers of different length count as numbers."""
    numbers = [11, 9, 100, 10]
    records = [fifo_message(f"m{n}", str(n), "g", f'{{"n":{n}}}') for n in numbers]
    assert handler_factory.make(store)({"Records": records}, None) == NO_FAILURES
    assert data_of(store) == ['{"n":9}', '{"n":10}', '{"n":11}', '{"n":100}']
    (key,) = store.objects
    assert "orders.fifo-00000000000000000009-" in key


@pytest.mark.parametrize("key", ["kind=a", "kind=b", "kind=c"])
def test_any_failure_of_a_stream_brings_all_of_it_back(
    handler_factory: HandlerFactory, key: str
) -> None:
    """The answer is its first record, whichever object failed, so the retry starts there too."""
    inner, store = hooked()
    store.before = failing(BUSY, "put", key=key)
    handle = handler_factory.make(store, partition_by=KIND)
    event = kinesis_event("a", "b", "c", "a")
    assert handle(event, None) == item_failures("100")
    store.before = failing(BUSY)
    assert handle(event, None) == NO_FAILURES
    assert sorted(json.loads(line)["n"] for line in data_of(inner)) == [0, 1, 2, 3]
    assert len(inner.objects) == 3


def test_a_stream_that_the_deadline_cut_is_raised(handler_factory: HandlerFactory) -> None:
    """Only an error makes bisect halve it, so that the halves may be in time."""
    inner, store = hooked()
    store.before = hanging("put", key="kind=b")
    handle = handler_factory.make(store, partition_by=KIND, deadline_margin_s=0)
    with pytest.raises(RetryableError, match="deadline"):
        handle(kinesis_event("a", "b"), SOON)
    store.before = failing(BUSY)
    assert handle(kinesis_event("a", "b"), None) == NO_FAILURES
    assert len(data_of(inner)) == 2


@pytest.mark.parametrize("concurrency", [1, 16])
def test_messages_that_the_deadline_cut_come_back(
    handler_factory: HandlerFactory, concurrency: int
) -> None:
    """Exactly those that are not durable, those whose turn never came among them."""
    inner, store = hooked()
    store.before = hanging("put", key="kind=b")
    handle = handler_factory.make(
        store, partition_by=KIND, deadline_margin_s=0, concurrency=concurrency
    )
    answer = handle(sqs_event("a", "b", "a", "c"), SOON)
    durable = {f"m{json.loads(line)['n']}" for line in data_of(inner)}
    back = [f"m{n}" for n in range(4) if f"m{n}" not in durable]
    assert "m1" in back
    assert answer == item_failures(*back)
    store.before = failing(BUSY)
    assert handle(sqs_event("a", "b", "a", "c"), None) == NO_FAILURES  # nothing of it is in the way
    assert len({json.loads(line)["n"] for line in data_of(inner)}) == 4


def test_a_deadline_that_has_passed_brings_all_back(handler_factory: HandlerFactory) -> None:
    """Nothing has been written by then, or it is not named."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    answer = handle(sqs_event("a", "b"), FakeContext(left_ms=100))  # less than the margin
    assert answer == item_failures("m0", "m1")
    assert data_of(inner) == []


def test_without_partial_response_a_cut_raises(handler_factory: HandlerFactory) -> None:
    """As any failure does."""
    _, store = hooked()
    store.before = hanging("put")
    handle = handler_factory.make(store, partial_response=False, deadline_margin_s=0)
    with pytest.raises(RetryableError, match=r"2 of 2 records .* deadline"):
        handle(sqs_event("a", "b"), FakeContext(left_ms=50))


@pytest.mark.parametrize("make", [sqs_event, kinesis_event])
def test_bad_records_are_acknowledged_only_when_their_quarantine_is_durable(
    handler_factory: HandlerFactory, make: MakeEvent
) -> None:
    """A quarantine that cannot be written is a failure like any other."""
    inner, store = hooked()
    store.before = failing(BUSY, "put", key="/_quarantine/")
    handle = handler_factory.make(store)
    event = make("a", "bad", "a", "bad")
    is_stream = make is kinesis_event
    assert handle(event, None) == (item_failures("100") if is_stream else item_failures("m1", "m3"))
    assert len(data_of(inner)) == 2
    store.before = failing(BUSY)
    assert handle(event, None) == NO_FAILURES
    assert [line["reason"] for line in quarantine_of(inner)] == ["not_json", "not_json"]


def test_refused_messages_come_back_and_the_others_do_not(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """With `on_bad_record=fail`; a dead-letter queue is then where they end."""
    handle = handler_factory.make(store, on_bad_record="fail")
    assert handle(sqs_event("a", "bad", "a"), None) == item_failures("m1")
    assert len(data_of(store)) == 2
    assert len(store.objects) == 1


def test_a_refused_record_blocks_its_stream(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """By the user's choice; the good ones are written all the same, once."""
    handle = handler_factory.make(store, on_bad_record="fail")
    event = kinesis_event("a", "bad", "a")
    assert handle(event, None) == item_failures("100")
    assert handle(event, None) == item_failures("100")
    assert len(data_of(store)) == 2


@pytest.mark.parametrize("make", [sqs_event, kinesis_event])
def test_dropped_records_are_acknowledged(
    handler_factory: HandlerFactory, store: MemoryStore, make: MakeEvent
) -> None:
    """With `on_bad_record=drop`, nothing of them is kept."""
    handle = handler_factory.make(store, on_bad_record="drop")
    assert handle(make("a", "bad", "a"), None) == NO_FAILURES
    assert len(data_of(store)) == 2
    assert len(store.objects) == 1
    assert handle(make("bad"), None) == NO_FAILURES


def test_a_transform_that_gives_none_settles_its_record(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Those on which it raises are bad, and their payload is kept as it came."""

    def transform(payload: bytes) -> bytes | None:
        record = json.loads(payload)
        return None if record["kind"] == "leave" else payload.upper()

    handle = handler_factory.make(store, transform=transform, partition_by="")
    assert handle(sqs_event("a", "leave", "bad", "b"), None) == NO_FAILURES
    assert sorted(json.loads(line)["KIND"] for line in data_of(store)) == ["A", "B"]
    (line,) = quarantine_of(store)
    assert (line["reason"], line["position"], line["payload"]) == ("transform", "m2", "no json")


def test_a_message_that_comes_twice_in_an_event_counts_once(
    handler_factory: HandlerFactory,
) -> None:
    """It is written once, and answered once."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    event = {"Records": sqs_event("a", "b")["Records"] + sqs_event("a", "b")["Records"]}
    store.before = failing(BUSY, "put")
    assert handle(event, None) == item_failures("m0", "m1")
    store.before = failing(BUSY)
    assert handle(event, None) == NO_FAILURES
    assert len(data_of(inner)) == 2


def test_a_record_that_comes_twice_in_a_stream_event_counts_once(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """The object is the one of the event without the repetition."""
    handle = handler_factory.make(store)
    records = kinesis_event("a", "b")["Records"]
    assert handle({"Records": [records[0], *records]}, None) == NO_FAILURES
    once = dict(store.objects)
    assert handle({"Records": records}, None) == NO_FAILURES
    assert store.objects == once
    assert len(data_of(store)) == 2


def test_a_stream_event_over_the_budget_fails_before_its_first_put(
    handler_factory: HandlerFactory,
) -> None:
    """Whatever `partial_response` says; the message says what to do."""
    _, store = hooked()
    handle = handler_factory.make(store, budget_bytes=1_000, partition_by=KIND)
    event = kinesis_event(*"abcdefgh" * 10)
    with pytest.raises(RetryableError, match="nothing written"):
        handle(event, None)
    assert store.calls == []
    assert handle(kinesis_event("a", "b"), None) == NO_FAILURES


def test_a_queue_event_over_the_budget_is_written_in_turn(handler_factory: HandlerFactory) -> None:
    """Messages have objects of their own, which need not be held at once."""
    inner, store = hooked()
    handle = handler_factory.make(store, budget_bytes=1_000, partition_by=KIND)
    assert handle(sqs_event(*"abcdefgh" * 20), None) == NO_FAILURES
    assert len(data_of(inner)) == 160


def test_nothing_is_under_way_when_the_handler_has_answered(
    handler_factory: HandlerFactory,
) -> None:
    """The environment is frozen then; the harness looks for tasks as well."""
    _, store = hooked()
    entered = left = 0

    async def enter(call: Call) -> None:
        del call
        nonlocal entered
        entered += 1
        await asyncio.sleep(0)

    async def leave(call: Call) -> None:
        del call
        nonlocal left
        await asyncio.sleep(0)
        left += 1

    store.before, store.after = enter, leave
    handle = handler_factory.make(store, partition_by=KIND)
    handle(sqs_event(*"abcdef"), None)
    assert entered == left == 6


def test_a_retry_that_the_deadline_would_cut_is_not_waited_for(
    handler_factory: HandlerFactory,
) -> None:
    """The records go back with what the store said, not with a time-out that hides it."""
    _, store = hooked()
    store.before = failing(RetryableError("503 SlowDown"), "put")
    patient = RetryingStore(store, Backoff(base_s=20.0, cap_s=20.0), jitter=lambda: 1.0)
    handle = handler_factory.make(patient, partial_response=False)
    with pytest.raises(RetryableError, match=r"503 SlowDown .*gave up after"):
        handle({"Records": [message("1", "1")]}, FakeContext(2_500))
    assert store.operations() == ["put"]
