"""Each record of a stream is in exactly one object, through repeated and lost answers."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from batcher.backoff import Backoff
from batcher.budget import Budget
from batcher.errors import RetryableError, UploadLostError
from batcher.parts import MIN_PART_BYTES
from batcher.stores import About
from batcher.stores.memory import MemoryStore
from batcher.stores.retrying import RetryingStore
from batcher.writer import UPLOADS
from fakes import Call, FakeContext, failing, nothing
from handler.harness import (
    DONE,
    KIND,
    Environments,
    answered,
    assert_described,
    data_of,
    hooked,
    quarantine_of,
    snapshot,
    text_of,
)
from unit.examples import kinesis_record, message, settings_of

if TYPE_CHECKING:
    from contract.servers import SeaweedFS

LOST = RetryableError("the answer was lost")
BIG = 3 * 1024**2


def event_of(*numbers: int) -> dict[str, Any]:
    """Make an event of records with these sequence numbers."""
    return {"Records": [kinesis_record(str(n), f'{{"n":{n}}}'.encode()) for n in numbers]}


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


IN_PARTS = {"multipart_threshold": 1, "part_size": MIN_PART_BYTES, "compression": "none"}


def numbers_in(store: MemoryStore) -> list[int]:
    """Give the numbers of all records in the store, sorted."""
    return sorted(json.loads(line)["n"] for line in data_of(store))


def test_a_lost_answer_is_found_to_be_our_own_success(environments: Environments) -> None:
    """The retry meets its own object, looks, and writes nothing."""
    inner, store = hooked()
    handle = environments.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1, 2), None) == answered("1")
    ((key, there),) = inner.objects.items()
    store.calls.clear()
    assert handle(event_of(1, 2), None) == DONE
    assert store.operations() == ["put", "head"]
    assert inner.objects[key] is there


def test_a_clean_write_is_one_request(environments: Environments) -> None:
    """Exactly once costs nothing where nothing goes wrong."""
    _, store = hooked()
    assert environments.make(store)(event_of(1, 2), None) == DONE
    assert store.operations() == ["put"]


@pytest.mark.parametrize("first", [(1, 2), (1, 2, 3, 4)])
def test_another_batch_from_the_same_record_replaces_its_object(
    environments: Environments, first: tuple[int, ...]
) -> None:
    """The retry may be longer, by new records, or shorter, by bisect; the rest follows it."""
    inner, store = hooked()
    handle = environments.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(*first), None) == answered("1")
    etag = next(iter(inner.objects.values())).stored.etag
    store.calls.clear()
    assert handle(event_of(1, 2, 3), None) == DONE
    assert store.operations() == ["put", "head", "put"]
    assert store.calls[-1].replaces == etag
    assert len(inner.objects) == 1
    if len(first) > 3:
        assert handle(event_of(4), None) == DONE
    assert numbers_in(inner) == sorted({1, 2, 3, *first})


def test_a_race_that_is_lost_brings_the_event_back(environments: Environments) -> None:
    """Somebody replaced the object after our look: what they wrote stays, ours comes again."""
    inner, store = hooked()
    handle = environments.make(store)
    assert handle(event_of(1, 2), None) == DONE
    ((key, there),) = inner.objects.items()

    async def overtake(call: Call) -> None:
        if call.replaces is not None:
            store.before = nothing
            about = About(metadata={"batcher-digest": "theirs"})
            await inner.put(key, b"theirs", about, replaces=there.stored.etag)

    store.before = overtake
    assert handle(event_of(1, 2, 3), None) == answered("1")
    assert inner.objects[key].body == b"theirs"
    assert handle(event_of(1, 2, 3), None) == DONE
    assert numbers_in(inner) == [1, 2, 3]


def test_a_replacing_put_whose_answer_was_lost_is_looked_for(environments: Environments) -> None:
    """It is sent again, and refused, for the ETag has changed: by our own success."""
    inner, store = hooked()
    handle = environments.make(RetryingStore(store, Backoff(base_s=0.0)))
    assert handle(event_of(1, 2), None) == DONE
    losing = failing(LOST, "put", times=1)

    async def lose(call: Call) -> None:
        if call.replaces is not None:
            await losing(call)

    store.after = lose
    store.calls.clear()
    assert handle(event_of(1, 2, 3), None) == DONE
    assert store.operations() == ["put", "head", "put", "put", "head"]
    assert numbers_in(inner) == [1, 2, 3]


def test_an_object_that_is_gone_after_it_was_in_the_way_brings_the_event_back(
    environments: Environments,
) -> None:
    """Nobody knows what happens there; the next try creates it."""
    inner, store = hooked()
    handle = environments.make(store)
    assert handle(event_of(1), None) == DONE

    async def remove(call: Call) -> None:
        if call.operation == "head":
            inner.objects.clear()

    store.before = remove
    assert handle(event_of(1, 2), None) == answered("1")
    assert handle(event_of(1, 2), None) == DONE
    assert numbers_in(inner) == [1, 2]


def test_no_limit_splits_a_stream_event(environments: Environments) -> None:
    """One object a partition, or a retry could not find what it has written."""
    inner, store = hooked()
    handle = environments.make(store, max_records=1, max_bytes=40, linger_s=0, partition_by=KIND)
    records = [
        kinesis_record(str(n), json.dumps({"kind": "ab"[n % 2], "n": n}).encode())
        for n in range(100, 120)
    ]
    assert handle({"Records": records}, None) == DONE
    assert store.operations() == ["put", "put"]
    for there in inner.objects.values():
        positions = [str(json.loads(line)["n"]) for line in text_of(there).splitlines()]
        assert len(positions) == 10
        assert_described(there.stored.metadata, text_of(there), positions)


def test_limits_split_a_queue_event_the_same_way_each_time(
    environments: Environments, store: MemoryStore
) -> None:
    """The same set of messages makes the same objects, whatever order it comes in."""
    handle = environments.make(store, max_records=7, max_bytes=100)
    records = [message(f"m{n:02}", f'{{"n":{n}}}') for n in range(40)]
    assert handle({"Records": records}, None) == DONE
    once = snapshot(store)
    assert len(once) == 6
    for there in store.objects.values():
        assert int(there.stored.metadata["batcher-records"]) <= 7
        assert len(text_of(there)) <= 100
    random.Random(7).shuffle(records)  # noqa: S311  # no secret
    assert handle({"Records": records}, None) == DONE
    assert snapshot(store) == once


def test_the_same_messages_in_another_order_are_the_same_object(
    environments: Environments,
) -> None:
    """No order of a queue lasts: the second delivery is found to be written already."""
    inner, store = hooked()
    handle = environments.make(store)
    records = [message(f"m{n}", f'{{"n":{n}}}') for n in (3, 1, 2)]
    assert handle({"Records": records}, None) == DONE
    once = snapshot(inner)
    assert handle({"Records": records[::-1]}, None) == DONE
    assert store.operations() == ["put", "put", "head"]
    assert snapshot(inner) == once


def test_a_large_stream_event_goes_up_in_parts_with_all_its_metadata(
    environments: Environments,
) -> None:
    """It is encoded before it is sent, so that nothing about it is unknown when it starts."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    assert handle(big_event(1, 2, 3, 4), None) == DONE
    operations = store.operations()
    assert operations[0] == "create"
    assert operations[-1] == "complete"
    assert operations.count("part") == 3
    (there,) = inner.objects.values()
    assert_described(there.stored.metadata, there.body, ["1", "2", "3", "4"])
    assert inner.uploads == set()
    store.calls.clear()
    assert handle(big_event(1, 2, 3, 4), None) == DONE  # refused at Complete, and found to be ours
    assert store.operations()[-3:] == ["complete", "head", "abort"]
    assert list(inner.objects.values()) == [there]
    assert inner.uploads == set()


def test_a_larger_retry_in_parts_replaces_the_object(environments: Environments) -> None:
    """Complete names what HEAD saw."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    assert handle(big_event(1, 2), None) == DONE
    assert handle(big_event(1, 2, 3), None) == DONE
    assert store.operations()[-3:] == ["complete", "head", "complete"]
    (there,) = inner.objects.values()
    assert_described(there.stored.metadata, there.body, ["1", "2", "3"])
    assert inner.uploads == set()


@pytest.mark.parametrize("operation", ["create", "part", "complete"])
def test_a_failed_upload_leaves_nothing(environments: Environments, operation: str) -> None:
    """No object, no open upload; the event comes back, and the next try succeeds."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    store.before = failing(RetryableError("busy"), operation, times=2)
    assert handle(big_event(1, 2, 3), None) == answered("1")
    assert inner.objects == {}
    assert inner.uploads == set()
    store.before = nothing
    assert handle(big_event(1, 2, 3), None) == DONE
    assert len(inner.objects) == 1


def test_failed_parts_do_not_stop_later_events(environments: Environments) -> None:
    """The writer lives as long as the environment, and so does what it loses."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS, concurrency=1, deadline_margin_s=0)
    store.before = failing(RetryableError("busy"), "part", times=1)
    assert handle(big_event(1, 2, 3), None) == answered("1")
    assert handle(big_event(1, 2, 3), FakeContext(left_ms=1_000)) == DONE  # it hangs, else
    assert len(inner.objects) == 1


def test_a_complete_whose_answer_was_lost_is_looked_for(environments: Environments) -> None:
    """It is there, so nothing is sent again."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    store.after = failing(LOST, "complete", times=1)
    assert handle(big_event(1, 2), None) == DONE
    assert store.operations()[-2:] == ["complete", "head"]
    assert len(inner.objects) == 1
    assert inner.uploads == set()


def test_a_complete_that_never_got_there_brings_the_event_back(environments: Environments) -> None:
    """We look for the object, abort what is open, and the next try makes it."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    store.before = failing(LOST, "complete", times=1)
    assert handle(big_event(1, 2), None) == answered("1")
    assert store.operations()[-3:] == ["complete", "head", "abort"]
    assert inner.uploads == set()
    assert handle(big_event(1, 2), None) == DONE
    assert len(inner.objects) == 1


def test_an_upload_that_the_store_has_lost_is_made_anew(environments: Environments) -> None:
    """Its parts are still held; what is left of the first one is aborted."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    store.before = failing(UploadLostError("gone"), "complete", times=1)
    assert handle(big_event(1, 2), None) == DONE
    assert store.operations().count("create") == 2
    assert inner.uploads == set()
    (there,) = inner.objects.values()
    assert there.stored.metadata["batcher-records"] == "2"


def test_parts_that_may_be_sent_again_stay_in_the_budget(
    environments: Environments, monkeypatch: pytest.MonkeyPatch
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

    monkeypatch.setattr("batcher.delivery.Budget", make)
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    store.before = look
    assert handle(big_event(1, 2), None) == DONE
    (there,) = inner.objects.values()
    assert held_bytes == [len(there.body)]
    assert budgets[0].held_bytes == 0


def test_an_upload_that_is_lost_again_and_again_brings_the_event_back(
    environments: Environments,
) -> None:
    """Whatever loses them, it is not going to stop; the deadline is not spent on it."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    store.before = failing(UploadLostError("gone"), "complete")
    assert handle(big_event(1, 2), None) == answered("1")
    assert store.operations().count("create") == UPLOADS
    assert inner.uploads == set()
    assert inner.objects == {}


def test_a_replacing_complete_whose_answer_was_lost_is_looked_for(
    environments: Environments,
) -> None:
    """The ETag has changed by our own success: that is not somebody else's write."""
    inner, store = hooked()
    handle = environments.make(store, **IN_PARTS)
    assert handle(big_event(1, 2), None) == DONE

    async def lose(call: Call) -> None:
        if call.operation == "complete" and call.replaces is not None:
            store.after = nothing
            raise LOST

    store.after = lose
    assert handle(big_event(1, 2, 3), None) == DONE
    (there,) = inner.objects.values()
    assert there.stored.metadata["batcher-records"] == "3"
    assert inner.uploads == set()


def test_parts_of_a_stream_event_reach_a_real_bucket(
    environments: Environments, seaweedfs: SeaweedFS, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First [a, b, c], then [a, b]: the second replaces the first, then [c] follows by itself."""
    from batcher.stores.s3 import S3Store  # noqa: PLC0415  # half a second to import

    seaweedfs.create_bucket(bucket)
    for variable, value in seaweedfs.environ.items():
        monkeypatch.setenv(variable, value)
    handle = environments.make(S3Store(settings_of(bucket=bucket)), **IN_PARTS)

    def objects() -> dict[str, Any]:
        found = seaweedfs.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        keys = [each["Key"] for each in found]
        return {key: seaweedfs.client.get_object(Bucket=bucket, Key=key) for key in keys}

    for numbers in ((1, 2, 3), (1, 2, 3), (1, 2), (1, 2)):
        assert handle(big_event(*numbers), None) == DONE
        ((key, there),) = objects().items()
        assert "orders-shardId-000000000003-" in key
        assert_described(there["Metadata"], there["Body"].read(), [str(n) for n in numbers])
    assert handle(big_event(3), None) == DONE
    assert len(objects()) == 2
    assert not seaweedfs.client.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_bad_records_of_every_kind_are_named_by_the_first(environments: Environments) -> None:
    """Design, section 4: a quarantine object is named by its first bad record.

    A delivery of [1, 2] that failed comes again as [1, 2, 3]. Record 1 is no JSON, and record 3 no
    base64, which another stage finds, and finds earlier. Named by record 3, the object of the
    second delivery would stand beside that of the first, with record 1 in both.
    """
    inner, store = hooked()
    handle = environments.make(store)
    bad_json, good = kinesis_record("1", b"no json"), kinesis_record("2")
    bad_base64 = kinesis_record("3")
    bad_base64["kinesis"]["data"] = "*"
    store.after = failing(LOST, "put", key="/_quarantine/", times=1)
    assert handle({"Records": [bad_json, good]}, None) == answered("1")
    assert handle({"Records": [bad_json, good, bad_base64]}, None) == DONE
    assert [line["position"] for line in quarantine_of(inner)] == ["1", "3"]
