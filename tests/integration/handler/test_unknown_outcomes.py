"""An exception of neither S3 nor ours leaves a write: what is durable is answered as durable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batcher.batcher import Batcher
from batcher.stores.memory import MemoryStore
from support.examples import kinesis_record, make_settings, message
from support.fakes import HookedStore, failing
from support.handler_harness import KIND, NO_FAILURES, HandlerFactory, item_failures, lines_of
from support.numbered_events import kinesis, sqs

Event = dict[str, Any]


class AlreadyEndedError(Exception):
    """What a tracing library raises when a request has been carried out."""


def kinesis_across_an_hour(*kinds: str) -> Event:
    """Create an event whose records arrived in different hours."""
    event = kinesis(*kinds)
    for n, record in enumerate(event["Records"]):
        record["kinesis"]["approximateArrivalTimestamp"] += 3600.0 * n
    return event


@pytest.mark.parametrize("operation", ["put", "put or head"])
@pytest.mark.parametrize("make", [sqs, kinesis, kinesis_across_an_hour])
def test_objects_that_are_durable_are_not_answered_as_failed(
    handler_factory: HandlerFactory, make: Callable[..., Event], operation: str
) -> None:
    """Several objects of one event; the look may meet the exception, too, but only when it raises.

    A look that fails shows nothing, so the records come back, and are found durable then.
    """
    inner = MemoryStore()
    names = operation.split(" or ")
    store = HookedStore(inner, after=failing(AlreadyEndedError("x"), *names, times=3))
    handle = handler_factory.make(store, partition_by=KIND)
    event = make("a", "b", "c")
    answer = handle(event, None)
    if operation == "put":
        assert answer == NO_FAILURES
    assert handle(event, None) == NO_FAILURES
    assert len(lines_of(inner)) == 3


def test_objects_that_are_not_there_are_answered_as_failed(handler_factory: HandlerFactory) -> None:
    """Nothing is acknowledged because an exception was no answer of S3."""
    inner = MemoryStore()
    store = HookedStore(inner, before=failing(AlreadyEndedError("x"), "put", key="kind=b"))
    handle = handler_factory.make(store, partition_by=KIND)
    assert handle(sqs("a", "b", "c"), None) == item_failures("m1")
    assert len(lines_of(inner)) == 2


def test_a_quarantine_object_that_is_durable_is_not_answered_as_failed(
    handler_factory: HandlerFactory,
) -> None:
    """It is written by the same rule."""
    inner = MemoryStore()
    store = HookedStore(inner, after=failing(AlreadyEndedError("x"), "put"))
    handle = handler_factory.make(store)
    assert handle({"Records": [message("a", "bad"), message("b", "{}")]}, None) == NO_FAILURES
    assert handle({"Records": [kinesis_record("1", b"bad")]}, None) == NO_FAILURES
    assert len(lines_of(inner, "_quarantine")) == 2


async def test_a_receipt_of_the_library_is_given_for_a_durable_object() -> None:
    """For one PUT, and for an upload in parts."""
    inner = MemoryStore()
    store = HookedStore(inner, after=failing(AlreadyEndedError("x"), "put", "complete"))
    settings = make_settings(multipart_threshold="6MiB", compression="none", format="lines")
    async with Batcher(settings, store=store) as batcher:
        small = await batcher.submit_many([b"a"])
        await batcher.flush()
        large = await batcher.submit_many([b"x" * 1024**2] * 12)
        await batcher.flush()
        receipts = [*await small, *await large]
    assert {receipt.key for receipt in receipts} == set(inner.objects)
    assert "complete" in store.operations()
