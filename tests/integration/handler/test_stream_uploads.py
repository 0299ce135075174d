"""A large event of a stream goes up in parts: one object, whole, and no upload left open."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from batcher.errors import RetryableError, UploadLostError
from batcher.limits import MIN_PART_BYTES
from batcher.writing.budget import Budget
from batcher.writing.writer import MAX_UPLOADS
from support.examples import kinesis_record, make_settings
from support.fakes import Call, FakeContext, failing, no_hook
from support.handler_harness import (
    NO_FAILURES,
    HandlerFactory,
    assert_described,
    hooked,
    item_failures,
)

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

LOST = RetryableError("the answer was lost")
BIG = 3 * 1024**2
IN_PARTS = {"multipart_threshold": 1, "part_size": MIN_PART_BYTES, "compression": "none"}


def big_event(*numbers: int) -> dict[str, Any]:
    """Make an event of records of 3 MiB."""
    return {
        "Records": [
            kinesis_record(
                str(n),
                json.dumps(random.Random(n).randbytes(BIG // 2).hex()).encode(),  # noqa: S311
            )
            for n in numbers
        ]
    }


def test_a_large_stream_event_goes_up_in_parts_with_all_its_metadata(
    handler_factory: HandlerFactory,
) -> None:
    """It is encoded before it is sent, so that nothing about it is unknown when it starts."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    assert handle(big_event(1, 2, 3, 4), None) == NO_FAILURES
    operations = store.operations()
    assert operations[0] == "create"
    assert operations[-1] == "complete"
    assert operations.count("part") == 3
    (there,) = inner.objects.values()
    assert_described(there.info.metadata, there.body, ["1", "2", "3", "4"])
    assert inner.uploads == {}
    store.calls.clear()
    assert (
        handle(big_event(1, 2, 3, 4), None) == NO_FAILURES
    )  # refused at Complete, and found to be ours
    assert store.operations()[-3:] == ["complete", "head", "abort"]
    assert list(inner.objects.values()) == [there]
    assert inner.uploads == {}


def test_a_larger_retry_in_parts_replaces_the_object(handler_factory: HandlerFactory) -> None:
    """Complete names what HEAD saw."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    assert handle(big_event(1, 2), None) == NO_FAILURES
    assert handle(big_event(1, 2, 3), None) == NO_FAILURES
    assert store.operations()[-3:] == ["complete", "head", "complete"]
    (there,) = inner.objects.values()
    assert_described(there.info.metadata, there.body, ["1", "2", "3"])
    assert inner.uploads == {}


@pytest.mark.parametrize("operation", ["create", "part", "complete"])
def test_a_failed_upload_leaves_nothing(handler_factory: HandlerFactory, operation: str) -> None:
    """No object, no open upload; the event comes back, and the next try succeeds."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    store.before = failing(RetryableError("busy"), operation, times=2)
    assert handle(big_event(1, 2, 3), None) == item_failures("1")
    assert inner.objects == {}
    assert inner.uploads == {}
    store.before = no_hook
    assert handle(big_event(1, 2, 3), None) == NO_FAILURES
    assert len(inner.objects) == 1


def test_failed_parts_do_not_stop_later_events(handler_factory: HandlerFactory) -> None:
    """The writer lives as long as the environment, and so does what it loses."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS, concurrency=1, deadline_margin_s=0)
    store.before = failing(RetryableError("busy"), "part", times=1)
    assert handle(big_event(1, 2, 3), None) == item_failures("1")
    assert handle(big_event(1, 2, 3), FakeContext(left_ms=30_000)) == NO_FAILURES  # it hangs, else
    assert len(inner.objects) == 1


def test_a_complete_whose_answer_was_lost_is_looked_for(handler_factory: HandlerFactory) -> None:
    """It is there, so nothing is sent again."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    store.after = failing(LOST, "complete", times=1)
    assert handle(big_event(1, 2), None) == NO_FAILURES
    assert store.operations()[-2:] == ["complete", "head"]
    assert len(inner.objects) == 1
    assert inner.uploads == {}


def test_a_complete_that_never_got_there_brings_the_event_back(
    handler_factory: HandlerFactory,
) -> None:
    """We look for the object, abort what is open, and the next try makes it."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    store.before = failing(LOST, "complete", times=1)
    assert handle(big_event(1, 2), None) == item_failures("1")
    assert store.operations()[-3:] == ["complete", "head", "abort"]
    assert inner.uploads == {}
    assert handle(big_event(1, 2), None) == NO_FAILURES
    assert len(inner.objects) == 1


def test_an_upload_that_the_store_has_lost_is_made_anew(handler_factory: HandlerFactory) -> None:
    """Its parts are still held; what is left of the first one is aborted."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    store.before = failing(UploadLostError("gone"), "complete", times=1)
    assert handle(big_event(1, 2), None) == NO_FAILURES
    assert store.operations().count("create") == 2
    assert inner.uploads == {}
    (there,) = inner.objects.values()
    assert there.info.metadata["batcher-records"] == "2"


def test_parts_that_may_be_sent_again_stay_in_the_budget(
    handler_factory: HandlerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are held until the object is there, so the budget has them until then."""
    budgets: list[Budget] = []
    held_bytes: list[int] = []

    def make(limit_bytes: int) -> Budget:
        budgets.append(Budget(limit_bytes))
        return budgets[-1]

    async def look(call: Call) -> None:
        if call.operation == "complete":
            held_bytes.append(budgets[0].held_bytes)

    monkeypatch.setattr("batcher.handler.event_writer.Budget", make)
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    store.before = look
    assert handle(big_event(1, 2), None) == NO_FAILURES
    (there,) = inner.objects.values()
    assert held_bytes == [len(there.body)]
    assert budgets[0].held_bytes == 0


def test_an_upload_that_is_lost_again_and_again_brings_the_event_back(
    handler_factory: HandlerFactory,
) -> None:
    """Whatever loses them, it is not going to stop; the deadline is not spent on it."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    store.before = failing(UploadLostError("gone"), "complete")
    assert handle(big_event(1, 2), None) == item_failures("1")
    assert store.operations().count("create") == MAX_UPLOADS
    assert inner.uploads == {}
    assert inner.objects == {}


def test_a_replacing_complete_whose_answer_was_lost_is_looked_for(
    handler_factory: HandlerFactory,
) -> None:
    """The ETag has changed by our own success: that is not somebody else's write."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    assert handle(big_event(1, 2), None) == NO_FAILURES

    async def lose(call: Call) -> None:
        if call.operation == "complete" and call.if_match is not None:
            store.after = no_hook
            raise LOST

    store.after = lose
    assert handle(big_event(1, 2, 3), None) == NO_FAILURES
    (there,) = inner.objects.values()
    assert there.info.metadata["batcher-records"] == "3"
    assert inner.uploads == {}


def test_parts_of_a_stream_event_reach_a_real_bucket(
    handler_factory: HandlerFactory,
    seaweedfs: SeaweedFS,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First [a, b, c], then [a, b]: the second replaces the first, then [c] follows by itself."""
    from batcher.stores.s3.store import S3Store  # noqa: PLC0415  # half a second to import

    seaweedfs.create_bucket(bucket)
    for variable, value in seaweedfs.environ.items():
        monkeypatch.setenv(variable, value)
    handle = handler_factory.make(S3Store(make_settings(bucket=bucket)), **IN_PARTS)

    def objects() -> dict[str, Any]:
        found = seaweedfs.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        keys = [each["Key"] for each in found]
        return {key: seaweedfs.client.get_object(Bucket=bucket, Key=key) for key in keys}

    for numbers in ((1, 2, 3), (1, 2, 3), (1, 2), (1, 2)):
        assert handle(big_event(*numbers), None) == NO_FAILURES
        ((key, there),) = objects().items()
        assert "orders-shardId-000000000003-" in key
        assert_described(there["Metadata"], there["Body"].read(), [str(n) for n in numbers])
    assert handle(big_event(3), None) == NO_FAILURES
    assert len(objects()) == 2
    assert not seaweedfs.client.list_multipart_uploads(Bucket=bucket).get("Uploads")
