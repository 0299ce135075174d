"""Shards of a DynamoDB stream whose records share sequence numbers: none is taken for another.

`eventID` alone tells such records apart. Every test gives two shards the same numbers.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import random
from base64 import b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from batcher.batching.validation import Transform
from batcher.errors import RetryableError
from batcher.handler import make_handler
from batcher.keys.parse import parse_key
from batcher.reading.read_objects import read_objects
from batcher.records.chunk import positions_digest
from batcher.records.positions import encode_positions
from batcher.stores.file import FileStore
from batcher.stores.memory import MemoryStore
from integration.tools.replay.replay_harness import handle, replay
from support.examples import dynamodb_record, make_settings
from support.fakes import failing, no_hook
from support.handler_harness import (
    NO_FAILURES,
    HandlerFactory,
    data_of,
    hooked,
    item_failures,
    quarantine_of,
)
from support.planted_objects import counted, verify

BUSY = RetryableError("the store is busy")
KIND = "kind={field:dynamodb.NewImage.kind.S}"


def change(shard: str, number: int, kind: str = "a") -> dict[str, Any]:
    """Create a record of a shard. Its `eventID` ends with its shard, as that of another does."""
    image = {"kind": {"S": kind}, "of": {"S": f"{shard}{number}"}}
    record = dynamodb_record(str(number), image)
    record["eventID"] = f"{number:031d}{shard}"
    return record


def event_of(shard: str, numbers: Iterable[int]) -> dict[str, Any]:
    """Create an event of records of one shard."""
    return {"Records": [change(shard, number) for number in numbers]}


def names(shard: str, numbers: Iterable[int]) -> list[str]:
    """Return what `records_in` returns of these records."""
    return sorted(f"{shard}{number}" for number in numbers)


def records_in(store: MemoryStore) -> list[str]:
    """Return shard and number of all records in objects of data, sorted."""
    return sorted(json.loads(line)["dynamodb"]["NewImage"]["of"]["S"] for line in data_of(store))


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("count", [3, 400])
def test_both_shards_are_written_once(
    handler_factory: HandlerFactory, count: int, compression: str
) -> None:
    """A list of 400 records is in the body, or nowhere. Each event can come again."""
    inner, store = hooked()
    deliver = handler_factory.make(store, compression="gzip" if count == 3 else compression)
    for _ in range(2):
        for shard in "abc":
            assert deliver(event_of(shard, range(count)), None) == NO_FAILURES
    assert len(inner.objects) == 3
    assert sum(int(there.info.metadata["batcher-records"]) for there in inner.objects.values()) == (
        3 * count
    )


def test_a_clean_write_is_one_request(handler_factory: HandlerFactory) -> None:
    """Another shard's object in the way costs a look and a second PUT."""
    _, store = hooked()
    deliver = handler_factory.make(store)
    assert deliver(event_of("a", range(3)), None) == NO_FAILURES
    assert store.operations() == ["put"]
    store.calls.clear()
    assert deliver(event_of("b", range(2)), None) == NO_FAILURES
    assert store.operations() == ["put", "head", "put"]


def test_the_name_continues_with_the_fingerprint_of_the_first_record(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """The number in the name stays, and the key can be parsed."""
    deliver = handler_factory.make(store)
    for shard in "ab":
        assert deliver(event_of(shard, range(5, 8)), None) == NO_FAILURES
    keys = sorted(store.objects, key=len)
    fingerprint = store.objects[keys[1]].info.metadata["batcher-fingerprint"]
    assert keys[1].removesuffix(".ndjson.gz").endswith(f"{5:064d}~{fingerprint}")
    parsed = [parse_key(key, "events") for key in keys]
    assert [(found.first, found.stem) for found in parsed] == [(5, parsed[0].stem)] * 2


@pytest.mark.parametrize("seed", range(40))
def test_other_cuts_of_both_shards_lose_and_double_nothing(
    handler_factory: HandlerFactory, seed: int
) -> None:
    """With failures of single objects, bad records, and shorter and longer redeliveries."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    count = 9
    kinds = {
        (shard, n): chance.choice(["a", "b", "\ud800"]) for shard in "ab" for n in range(count)
    }
    inner, store = hooked()
    deliver = handler_factory.make(store, partition_by=KIND)
    bounds: dict[str, list[int]] = {"a": [0], "b": [0]}
    ends = {"a": 0, "b": 0}
    while min(ends.values()) < count:
        shard = chance.choice("ab")
        start = chance.choice([bound for bound in bounds[shard] if bound < count])
        stop = chance.randint(start + 1, count)
        fault = chance.choice(["kind=a", "kind=b", "_quarantine", "none", "none"])
        store.before = failing(BUSY, "put", key=fault)
        store.after = failing(BUSY, "put", key=chance.choice(["kind=a", "none"]), times=1)
        event = {"Records": [change(shard, n, kinds[shard, n]) for n in range(start, stop)]}
        bounds[shard].append(start)
        if deliver(event, None) == NO_FAILURES:
            bounds[shard].append(stop)
            ends[shard] = max(ends[shard], stop)
        done = set(written(inner))
        assert done >= {f"{each}{n}" for each in "ab" for n in range(ends[each])}
    assert sorted(written(inner)) == sorted(f"{shard}{n}" for shard in "ab" for n in range(count))


def written(store: MemoryStore) -> list[str]:
    """Return shard and number of all records, the bad ones included."""
    bad = [json.loads(line["payload"]) for line in quarantine_of(store)]
    return [*records_in(store), *(line["dynamodb"]["NewImage"]["of"]["S"] for line in bad)]


def test_what_a_process_remembers_of_one_shard_says_nothing_of_another(
    handler_factory: HandlerFactory,
) -> None:
    """It remembers the objects of a failed event, by their route."""
    inner, store = hooked()
    deliver = handler_factory.make(store, partition_by=KIND)
    kinds = "ab"
    store.before = failing(BUSY, "put", key="kind=b")
    for shard in "ab":
        records = [change(shard, n, kinds[n]) for n in range(2)]
        assert deliver({"Records": records}, None) == item_failures("0")
    store.before = no_hook
    for shard in "ba":
        records = [change(shard, n, kinds[n]) for n in range(2)]
        assert deliver({"Records": records}, None) == NO_FAILURES
    assert records_in(inner) == ["a0", "a1", "b0", "b1"]


@pytest.mark.parametrize("retried", [(1, 2, 3), (1, 2), (1, 2, 3, 4)])
def test_an_object_of_an_earlier_version_proves_nothing(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture, retried: Sequence[int]
) -> None:
    """Its digest and list have numbers only. A retry is written once more, and then found."""
    inner, store = hooked()
    deliver = handler_factory.make(store)
    assert deliver(event_of("a", (1, 2, 3)), None) == NO_FAILURES
    as_before(inner, ["1", "2", "3"])
    with caplog.at_level(logging.WARNING, "batcher"):
        for shard in "bab":
            assert deliver(event_of(shard, retried), None) == NO_FAILURES
    assert "positions_unknown" in caplog.text
    expected = [*names("a", (1, 2, 3)), *names("a", retried), *names("b", retried)]
    assert records_in(inner) == sorted(expected)


def as_before(store: MemoryStore, positions: Sequence[str]) -> None:
    """Replace the metadata of the only object by that of the version that knew numbers only."""
    ((key, there),) = store.objects.items()
    positions_list = encode_positions(positions)
    assert positions_list is not None
    metadata = {
        **there.info.metadata,
        "batcher-digest": positions_digest(positions),
        "batcher-positions": b64encode(positions_list).decode(),
    }
    del metadata["batcher-fingerprint"]
    store.objects[key] = dataclasses.replace(there, info=replace(there.info, metadata=metadata))


def test_records_without_event_id_are_known_by_their_number(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """As a test event of the console may be. They can come again, in another cut, too."""
    deliver = handler_factory.make(store)
    for numbers in ((1, 2, 3), (1, 2), (3, 4)):
        event = event_of("a", numbers)
        for record in event["Records"]:
            del record["eventID"]
        assert deliver(event, None) == NO_FAILURES
    assert records_in(store) == names("a", range(1, 5))


def write_folder(
    folder: Path, cuts: Iterable[tuple[str, int, int]], transform: Transform | None = None
) -> None:
    """Deliver records of shards, each from a number up to another, into a folder."""
    handler = make_handler(make_settings(), transform=transform, store=FileStore(folder))
    try:
        for shard, start, stop in cuts:
            assert handler(event_of(shard, range(start, stop)), None) == NO_FAILURES
    finally:
        handler.close()


def test_all_of_it_is_read_back_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The objects' ranges are equal, and a guard is among them. No record is in two objects."""
    write_folder(tmp_path, [("a", 0, 300), ("b", 0, 2), ("b", 2, 300), ("a", 0, 2), ("a", 2, 302)])
    code, report = verify(tmp_path, capsys)
    assert (code, report["findings"], report["duplicates"], report["guards"]) == (0, [], 0, 1)
    found = asyncio.run(read_all(f"file://{tmp_path}"))
    assert found == sorted([*names("a", range(302)), *names("b", range(300))])


def test_equal_lines_of_both_shards_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their records are different, although a transform has made them equal."""

    def keep_kind(payload: bytes) -> bytes:
        image = json.loads(payload)["dynamodb"]["NewImage"]
        return json.dumps({"dynamodb": {"NewImage": {"of": {"S": image["kind"]["S"]}}}}).encode()

    write_folder(tmp_path, [("a", 0, 5), ("b", 0, 5), ("b", 2, 6)], keep_kind)
    assert asyncio.run(read_all(f"file://{tmp_path}")) == ["a"] * 11
    assert verify(tmp_path, capsys)[1]["duplicates"] == 3


def test_a_guard_names_the_object_of_its_own_shard(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Also where its plain name belongs to an object of the other."""
    deliver = handler_factory.make(store)
    for shard, start, stop in [("a", 0, 4), ("b", 0, 2), ("b", 2, 4), ("a", 0, 2)]:
        assert deliver(event_of(shard, range(start, stop)), None) == NO_FAILURES
    (of_key,) = [
        there.info.metadata["batcher-of"]
        for there in store.objects.values()
        if "batcher-of" in there.info.metadata
    ]
    assert store.objects[of_key].info.metadata["batcher-records"] == "4"


async def read_all(place: str) -> list[str]:
    """Return shard and number of all records that `read_objects` returns, sorted."""
    found: list[str] = []
    async with read_objects(place) as objects:
        async for each in objects:
            async for lines in each:
                found += [json.loads(line)["dynamodb"]["NewImage"]["of"]["S"] for line in lines]
    return sorted(found)


def test_verify_counts_the_records_that_are_there_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the same shard alone."""
    write_folder(tmp_path, [("a", 0, 5), ("b", 0, 5), ("a", 3, 6)])
    code, report = verify(tmp_path, capsys)
    assert (code, report["duplicates"], counted(report)) == (1, 2, {"duplicate": 1})


def fail(payload: bytes) -> bytes:
    """Make a record bad."""
    raise ValueError(payload)


def test_marks_leave_a_long_list_in_the_body(store: MemoryStore) -> None:
    """So bad records that come again in another cut are not written twice, or replayed twice."""
    records = event_of("a", range(300))["Records"]
    for event in (records, records[:20], records[20:]):
        handle(store, event, transform=fail)
        replay(store, transform=lambda payload: payload)
    assert len(quarantine_of(store)) == 300
    assert records_in(store) == names("a", range(300))


def test_bad_records_of_both_shards_are_replayed(store: MemoryStore) -> None:
    """Also where each is the only one of its object that is left."""
    for shard in "ab":
        for number in (7, 8):
            handle(store, [change(shard, number)], transform=fail)
    replay(store, transform=lambda payload: payload)
    assert records_in(store) == ["a7", "a8", "b7", "b8"]
