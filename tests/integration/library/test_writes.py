"""Batcher as a library: what is submitted is in objects, and receipts say where."""

from __future__ import annotations

import asyncio
import json
import secrets
import zlib
from collections import Counter
from itertools import count
from typing import Any

import pytest

from batcher.batcher import Batcher
from batcher.encoding.zstd import zstd
from batcher.errors import PoisonRecordError
from batcher.stores.memory import MemoryStore
from batcher.writing.budget import BATCH_BYTES
from batcher.writing.object import Receipt
from support.examples import ARRIVAL_S, make_settings
from support.fakes import Call, FakeClock, HookedStore, lines_in, texts_in, yielding

MIB = 1024**2


@pytest.fixture
def store() -> MemoryStore:
    """Return an empty store."""
    return MemoryStore()


def batcher_of(store: MemoryStore | HookedStore, **settings: Any) -> Batcher:  # noqa: ANN401
    """Make a batcher whose batches linger for ever, unless told otherwise."""
    arguments = {name: settings.pop(name) for name in ("clock", "transform") if name in settings}
    chosen = make_settings(**{"linger_s": 3_600, "root": "events", **settings})
    return Batcher(chosen, store=store, wall_clock=lambda: ARRIVAL_S, **arguments)


async def test_records_of_every_type_are_written_as_they_should(store: MemoryStore) -> None:
    """A dict becomes JSON; text and bytes are records already and are not encoded again."""
    async with batcher_of(store) as batcher:
        tickets = [
            await batcher.submit({"user": 7}),
            await batcher.submit('{"b":  "ü"}'),
            await batcher.submit(b"null"),
        ]
        await batcher.flush()
        receipts = [await ticket for ticket in tickets]
    ((key, there),) = store.objects.items()
    assert receipts == [Receipt(key, 3, len(there.body))] * 3
    assert lines_in(store) == [b'{"user":7}', '{"b":  "ü"}'.encode(), b"null"]
    assert key.startswith("events/")
    assert "/dt=2026-11-23/hour=07/" in key
    assert there.attributes.content_type == "application/gzip"


async def test_leaving_drains(store: MemoryStore) -> None:
    """What was admitted is durable then, whether anybody waits or not."""
    async with batcher_of(store) as batcher:
        ticket = await batcher.submit_many([b"%d" % n for n in range(10_000)])
        assert not ticket.is_settled
    assert ticket.is_settled
    assert lines_in(store) == [b"%d" % n for n in range(10_000)]
    assert batcher.counts.flushes == Counter(drain=1)
    assert batcher.budget.held_bytes == 0


async def test_many_records_have_a_receipt_an_object(store: MemoryStore) -> None:
    """Whatever mixture they are; the receipts add up to the records."""
    async with batcher_of(store, max_records=4) as batcher:
        records: list[Any] = [{"n": n} if n % 2 else json.dumps({"n": n}) for n in range(10)]
        ticket = await batcher.submit_many(iter(records))
        await batcher.flush()
        receipts = await ticket
    assert [receipt.records for receipt in receipts] == [4, 4, 2]
    assert {receipt.key for receipt in receipts} == set(store.objects)
    assert sorted(json.loads(line)["n"] for line in lines_in(store)) == list(range(10))
    assert await ticket == receipts  # any number of times
    assert batcher.counts.records == 10
    assert batcher.counts.objects == 3
    assert batcher.counts.bytes_in == sum(map(len, texts_in(store).values()))
    assert batcher.counts.bytes_out == sum(receipt.size_bytes for receipt in receipts)


async def test_no_records_make_no_object(store: MemoryStore) -> None:
    """Their ticket gives no receipt."""
    async with batcher_of(store) as batcher:
        assert await (await batcher.submit_many([])) == []
        await batcher.flush()
    assert store.objects == {}


async def test_order_within_an_object_is_that_of_submission(store: MemoryStore) -> None:
    """Over calls of either kind; objects follow each other by name."""
    numbers = count()
    async with batcher_of(store, max_bytes=20_000, fanout=1) as batcher:
        for size in (1, 100, 1, 5_000, 3):
            await batcher.submit_many([b"%d" % next(numbers) for _ in range(size)])
            await batcher.submit(b"%d" % next(numbers))
    assert lines_in(store) == [b"%d" % n for n in range(next(numbers))]
    assert all(len(text) <= 20_000 for text in texts_in(store).values())
    assert len(store.objects) == 2


async def test_a_batch_is_flushed_at_so_many_records(store: MemoryStore) -> None:
    """Without anybody asking for it."""
    async with batcher_of(store, max_records=2) as batcher:
        first = await batcher.submit(b"1")
        assert not first.is_settled
        await batcher.submit(b"2")
        assert (await first).records == 2
        assert batcher.counts.flushes == Counter(records=1)


async def test_a_batch_is_flushed_at_so_many_bytes(store: MemoryStore) -> None:
    """The limit counts newlines, and is never exceeded."""
    async with batcher_of(store, max_bytes=10) as batcher:
        tickets = [await batcher.submit(record) for record in (b"1234", b"5678", b"1234", b"56789")]
        receipts = [await ticket for ticket in tickets[:3]]
        assert [receipt.records for receipt in receipts] == [2, 2, 1]
    assert sorted(texts_in(store).values()) == [b"1234\n", b"1234\n5678\n", b"56789\n"]
    assert batcher.counts.flushes == Counter(bytes=2, drain=1)


async def test_a_batch_lingers_by_the_clock(store: MemoryStore) -> None:
    """It leaves when its oldest record has waited long enough, by the clock that was given."""
    clock = FakeClock()
    ticks = count()

    def ticking() -> float:
        if next(ticks) == 10:
            clock.now_s += 0.01
        return clock()

    async with batcher_of(store, linger_s=0.01, clock=ticking) as batcher:
        ticket = await batcher.submit(b"1")
        assert (await ticket).records == 1
        assert next(ticks) > 10  # the timer went off, and looked, and let it linger
        assert batcher.counts.flushes == Counter(linger=1)


async def test_only_what_is_due_leaves(store: MemoryStore) -> None:
    """A batch that was opened later goes on lingering."""
    clock = FakeClock()
    partition_by = "kind={field:kind}"
    async with batcher_of(store, linger_s=0.01, clock=clock, partition_by=partition_by) as batcher:
        first = await batcher.submit({"kind": "a"})
        clock.now_s += 0.006
        second = await batcher.submit({"kind": "b"})
        clock.now_s += 0.006
        assert "kind=a" in (await first).key
        assert not second.is_settled
        clock.now_s += 0.006
        assert "kind=b" in (await second).key


async def test_no_linger_flushes_each_submit(store: MemoryStore) -> None:
    """Each call is an object of its own, and nobody has to flush."""
    async with batcher_of(store, linger_s=0) as batcher:
        assert (await (await batcher.submit(b"1"))).records == 1
        assert [r.records for r in await (await batcher.submit_many([b"2", b"3"]))] == [2]
    assert len(store.objects) == 2


async def test_records_choose_their_partition_and_nothing_else(store: MemoryStore) -> None:
    """Values are escaped, and records without one have a partition of their own."""
    values: list[Any] = ["x", "../x", "a b", None, "..", 7, "x"]
    async with batcher_of(store, partition_by="c={field:c.id}", fanout=1) as batcher:
        ticket = await batcher.submit_many([{"c": {"id": v}} for v in values] + [{"d": 1}])
        await batcher.flush()
        receipts = await ticket
    assert sum(receipt.records for receipt in receipts) == len(values) + 1
    folders = {key.split("/")[1]: len(texts_in(store)[key].splitlines()) for key in store.objects}
    assert folders == {
        "c=x": 2,
        "c=..%2Fx": 1,
        "c=a%20b": 1,
        "c=7": 1,
        "c=__HIVE_DEFAULT_PARTITION__": 3,
    }
    assert all(key.count("/") == 2 for key in store.objects)


async def test_a_bad_record_goes_to_quarantine(store: MemoryStore) -> None:
    """Its own receipt says so; its neighbours' don't."""
    async with batcher_of(store) as batcher:
        good, bad = await batcher.submit(b"1"), await batcher.submit(b"no json")
        many = await batcher.submit_many([b"2", b"NaN", b"3"])
        await batcher.flush()
        assert not (await good).quarantined
        receipt = await bad
        assert receipt.quarantined
        assert "events/_quarantine/library/dt=2026-11-23/" in receipt.key
        assert sorted((r.records, r.quarantined) for r in await many) == [(2, True), (3, False)]
        assert [bad.reason for bad in many.bad] == ["not_json"]
    reasons = [json.loads(line)["reason"] for line in lines_in(store, "_quarantine")]
    assert reasons == ["not_json", "not_json"]
    assert (batcher.counts.records, batcher.counts.quarantined) == (3, 2)


async def test_text_with_half_a_character_goes_to_quarantine(store: MemoryStore) -> None:
    """It has no form in UTF-8, and must not lose its neighbours."""
    async with batcher_of(store) as batcher:
        ticket = await batcher.submit_many(['"a"', '"\ud800"', b"1", {"b": 1}])
        await batcher.flush()
        assert sorted((r.records, r.quarantined) for r in await ticket) == [(1, True), (3, False)]
    assert lines_in(store, "hour=07") == [b'"a"', b"1", b'{"b":1}']


async def test_a_dropped_record_has_an_empty_receipt(store: MemoryStore) -> None:
    """By the user's choice it is nowhere, and counted."""
    async with batcher_of(store, on_bad_record="drop") as batcher:
        assert await (await batcher.submit(b"no json")) == Receipt("", 0, 0)
        ticket = await batcher.submit_many([b"1", b"no json"])
        await batcher.flush()
        assert [receipt.records for receipt in await ticket] == [1]
    assert batcher.counts.dropped == 2
    assert len(store.objects) == 1


async def test_a_refused_record_fails_its_ticket_alone(store: MemoryStore) -> None:
    """Its neighbours are written; leaving raises nothing, for there is nothing left to tell."""
    async with batcher_of(store, on_bad_record="fail") as batcher:
        good, bad = await batcher.submit(b"1"), await batcher.submit(b"no json")
        many = await batcher.submit_many([b"2", b"no json", b"3"])
        await batcher.flush()
        assert (await good).records == 3
        for ticket in (bad, many):
            with pytest.raises(PoisonRecordError, match="not_json"):
                await ticket
    assert lines_in(store) == [b"1", b"2", b"3"]
    assert batcher.counts.rejected == 2


async def test_a_transform_changes_leaves_out_and_spoils(store: MemoryStore) -> None:
    """It gives bytes, text, a dict or None, or raises."""

    def transform(payload: bytes) -> Any:  # noqa: ANN401  # that is the point
        if payload == b"spoil":
            raise ValueError(payload)
        return {b"bytes": b"1", b"text": '"ü"', b"dict": {"a": 1}, b"out": None}[payload]

    async with batcher_of(store, transform=transform) as batcher:
        assert await (await batcher.submit(b"out")) == Receipt("", 0, 0)
        ticket = await batcher.submit_many([b"bytes", "text", b"dict", b"out", b"spoil"])
        await batcher.flush()
        assert sorted((r.records, r.quarantined) for r in await ticket) == [(1, True), (3, False)]
    assert lines_in(store, "hour=07") == [b"1", '"ü"'.encode(), b'{"a":1}']
    assert batcher.counts.filtered == 2
    (line,) = map(json.loads, lines_in(store, "_quarantine"))
    assert (line["reason"], line["payload"]) == ("transform", "spoil")


async def test_what_is_no_record_is_refused_at_once(store: MemoryStore) -> None:
    """It is a mistake of the program, which hears of it where it is."""
    async with batcher_of(store) as batcher:
        wrong: Any
        for wrong in (7, None, [b"1"], {"a": object()}):
            with pytest.raises(TypeError):
                await batcher.submit(wrong)
        await batcher.submit(b"1")
    assert lines_in(store) == [b"1"]


async def test_a_closed_batcher_takes_nothing(store: MemoryStore) -> None:
    """It says so, for such a record would be lost."""
    async with batcher_of(store) as batcher:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await batcher.submit(b"1")
    with pytest.raises(RuntimeError, match="closed"):
        await batcher.submit_many([b"1"])
    assert store.objects == {}


async def test_closing_twice_does_nothing_the_second_time(store: MemoryStore) -> None:
    """A program may close before it leaves."""
    async with batcher_of(store) as batcher:
        await batcher.submit(b"1")
        await batcher.aclose()
    await batcher.aclose()
    assert len(store.objects) == 1


async def test_the_store_is_closed_with_the_batcher(store: MemoryStore) -> None:
    """Whoever gave it need not."""
    hooked = HookedStore(store, yielding, yielding)
    async with batcher_of(hooked) as batcher:
        await batcher.submit(b"1")
    assert hooked.is_closed


async def test_flush_waits_for_all_that_was_submitted(store: MemoryStore) -> None:
    """Then it can go on."""
    hooked = HookedStore(store, yielding, yielding)
    async with batcher_of(hooked, max_records=3) as batcher:
        for n in range(10):
            await batcher.submit(b"%d" % n)
        await batcher.flush()
        assert len(lines_in(store)) == 10
        assert batcher.budget.held_bytes == 0
        await batcher.flush()
        await batcher.submit(b"10")
    assert len(lines_in(store)) == 11
    assert batcher.counts.flushes == Counter(records=3, flush=1, drain=1)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("multipart_threshold", [5 * MIB, 50 * MIB])
async def test_an_object_that_was_written_while_it_grew_is_one_member_or_frame(
    store: MemoryStore, compression: str, multipart_threshold: int
) -> None:
    """Some decoders stop after the first one; some need the size of the text, if it is one PUT."""
    lines = [secrets.token_hex(500).encode() for _ in range(12_000)]
    async with batcher_of(
        store,
        compression=compression,
        multipart_threshold=multipart_threshold,
        part_size=5 * MIB,
        format="lines",
    ) as batcher:
        tickets = []
        for start in range(0, len(lines), 1_000):
            tickets.append(await batcher.submit_many(lines[start : start + 1_000]))
            for _ in range(5):
                await asyncio.sleep(0)  # the writer begins before the batch is sealed
    ((_, there),) = store.objects.items()
    assert {receipt.size_bytes for ticket in tickets for receipt in await ticket} == {
        len(there.body)
    }
    assert len(there.body) > 5 * MIB
    decoder = zlib.decompressobj(31) if compression == "gzip" else zstd.ZstdDecompressor()
    assert decoder.decompress(there.body) == b"".join(line + b"\n" for line in lines)
    assert decoder.eof
    assert not decoder.unused_data
    if compression == "zstd":
        is_one_put = multipart_threshold > len(there.body)
        size = zstd.get_frame_info(there.body).decompressed_size
        assert size == (1_001 * len(lines) if is_one_put else None)


async def test_compressors_of_open_batches_count_against_the_budget(store: MemoryStore) -> None:
    """One for each batch that is being encoded while it is open takes 2 MiB of zstd's memory."""
    async with batcher_of(
        store, compression="zstd", budget_bytes=32 * MIB, partition_by="n={field:n}"
    ) as batcher:
        for partition in range(32):
            await batcher.submit_many([b'{"n":%d,"text":"%s"}' % (partition, b"x" * 1_000)] * 600)
            for _ in range(5):
                await asyncio.sleep(0)
        assert batcher.counts.flushes["pressure"]
    assert batcher.budget.peak_bytes < 40 * MIB
    assert batcher.budget.held_bytes == 0
    assert len(lines_in(store)) == 32 * 600


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_a_body_that_is_being_sent_is_all_that_is_held(
    store: MemoryStore, compression: str
) -> None:
    """Its text and its compressor are gone by then."""
    held_bytes = []

    async def note(_: Call) -> None:
        held_bytes.append(batcher.budget.held_bytes)

    async with batcher_of(
        HookedStore(store, before=note), compression=compression, format="lines"
    ) as batcher:
        await batcher.submit_many([secrets.token_hex(500).encode()] * 2_000)
        await asyncio.sleep(0)
    ((_, there),) = store.objects.items()
    names_size_bytes = 4 if compression == "zstd" else 0  # added to the frame's header
    assert held_bytes == [len(there.body) - names_size_bytes + BATCH_BYTES]
