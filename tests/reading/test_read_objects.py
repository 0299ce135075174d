"""Reading objects back: which, in which order, and what happens when something goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import batcher
from batcher.backoff import Backoff
from batcher.errors import (
    BatcherError,
    DamagedError,
    NotFoundError,
    RejectedError,
    RetryableError,
    SettingsError,
)
from batcher.reading.fetch import BLOCKS_AHEAD
from batcher.reading.findings import Finding, Kind
from batcher.reading.read_object import ReadObject
from batcher.reading.read_objects import ReadObjects
from batcher.reading.selection import select
from batcher.reading.steady import Reopening
from batcher.stores import About
from batcher.stores.base import Opened
from batcher.stores.file import FileStore
from reading.shelf import (
    HOUR,
    HOUR_S,
    SETTINGS,
    Shelf,
    key_of,
    put,
    put_range,
    queue_name,
    stream_name,
)

MIB = 1024**2


class Reading:
    """What was read of a shelf, and what was told."""

    def __init__(self, shelf: Shelf) -> None:
        """Read this shelf; a store that fails is asked again at once."""
        self.shelf = shelf
        self.findings: list[Finding] = []
        self.delays_s: list[float] = []
        self.keys: list[str] = []
        self.lines: list[bytes] = []
        self.errors: dict[str, BatcherError] = {}

    async def _sleep(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)

    def objects(self, partition: str | None = None, **chosen: Any) -> ReadObjects:  # noqa: ANN401
        """Make what is iterated."""
        selection = select(None, None, partition, is_quarantine=False, now_s=HOUR_S)
        reopening = Reopening(3, Backoff(), lambda: 1.0, self._sleep)
        return ReadObjects(
            self.shelf,
            SETTINGS,
            selection,
            on_finding=self.findings.append,
            reopening=reopening,
            **chosen,
        )

    async def run(self, partition: str | None = None, **chosen: Any) -> Reading:  # noqa: ANN401
        """Read everything."""
        async with self.objects(partition, **chosen) as objects:
            async for found in objects:
                self.keys.append(found.key)
                try:
                    async for lines in found:
                        self.lines += lines
                except BatcherError as error:
                    self.errors[found.key] = error
        assert self.shelf.at_once == 0
        assert self.shelf.is_closed
        return self

    def told(self, kind: Kind) -> list[str]:
        """Give the keys of findings of a kind, sorted."""
        return sorted(finding.key for finding in self.findings if finding.kind is kind)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def numbers(*ranges: range) -> list[bytes]:
    """Give the lines of these ranges, sorted as text is."""
    return sorted(b"%d" % number for numbers in ranges for number in numbers)


async def put_large(shelf: Shelf) -> None:
    """Write objects that are not read ahead to their ends."""
    text = (b"x" * 1023 + b"\n") * 10_000
    for number in range(8):
        await shelf.put(key_of(queue_name(HOUR_S + number))[:-3], text, About())


@pytest.mark.parametrize("is_ordered", [True, False])
async def test_every_record_is_given_once(
    shelf: Shelf,
    is_ordered: bool,  # noqa: FBT001  # a case
) -> None:
    """Whatever wrote it."""
    for number in range(30):
        name = queue_name(HOUR_S + number, number)
        await put(shelf, key_of(name), b"q%d\n" % number)
        await put_range(shelf, number * 10, number * 10 + 9)
    reading = await Reading(shelf).run(is_ordered=is_ordered)
    assert sorted(reading.lines) == sorted(numbers(range(300)) + [b"q%d" % n for n in range(30)])
    assert not reading.findings
    assert len(set(reading.keys)) == len(reading.keys) == 60


async def test_order_is_that_of_time_and_of_numbers(shelf: Shelf) -> None:
    """Though an early object may take longest to read."""
    for first in range(0, 600, 10):
        hour = first // 300
        await put_range(shelf, first, first + 9, f"dt=2026-11-23/hour=0{hour}")
    big = key_of(queue_name(HOUR_S))
    await put(shelf, big, b"".join(b"%d\n" % n for n in range(600, 400_000)))
    await put(shelf, key_of(queue_name(HOUR_S + 1)), b"400000\n")
    reading = await Reading(shelf).run(is_ordered=True)
    assert reading.lines == [b"%d" % n for n in range(400_001)]


async def test_without_order_a_slow_object_holds_nobody_up(shelf: Shelf) -> None:
    """The others come first."""
    slow = await put_range(shelf, 0, 9)
    rest = [await put_range(shelf, first, first + 9) for first in range(10, 100, 10)]
    is_last = asyncio.Event()

    class Slow(Shelf):
        @asynccontextmanager
        async def reading(self, key: str) -> AsyncIterator[Opened]:
            if key == slow:
                await is_last.wait()
            async with super().reading(key) as opened:
                yield opened

    slow_shelf = Slow()
    slow_shelf.objects = shelf.objects
    keys = []
    async with Reading(slow_shelf).objects(with_covered=True) as objects:
        async for found in objects:
            keys.append(found.key)
            if len(keys) == len(rest):
                is_last.set()
    assert sorted(keys[:-1]) == sorted(rest)
    assert keys[-1] == slow


async def test_an_object_tells_what_it_is(shelf: Shelf) -> None:
    """As far as its key, the listing and its metadata do."""
    key = await put(shelf, key_of(stream_name(5)), b"1\n2\n", records="2", first="5")
    await put(shelf, key_of(queue_name(HOUR_S + 1)), b"1\n")
    shelf.modified[key] = HOUR_S + 5.0
    told = []
    async with Reading(shelf).objects(is_ordered=True) as objects:
        async for found in objects:
            told.append((found.key, found.partition, found.records, found.modified_s))
            assert found.size_bytes == len(shelf.objects[found.key].body)
            assert found.metadata == shelf.objects[found.key].about.metadata
            assert found.key in repr(found)
    assert told[0] == (key, HOUR, 2, HOUR_S + 5.0)
    assert told[1][2] is None


@pytest.mark.parametrize("is_ordered", [True, False])
async def test_no_more_objects_are_open_than_allowed(
    shelf: Shelf,
    is_ordered: bool,  # noqa: FBT001  # a case
) -> None:
    """And no fewer, where there are enough that are not read to their ends."""
    await put_large(shelf)
    count = 0
    async with Reading(shelf).objects(is_ordered=is_ordered) as objects:
        async for found in objects:
            async for lines in found:
                count += len(lines)
    assert count == 8 * 10_000
    assert shelf.most_at_once == SETTINGS.concurrency


async def test_what_is_read_ahead_is_bounded_however_large_the_objects_are(shelf: Shelf) -> None:
    """While one of 10 MB is read, no other one gets far."""
    await put_large(shelf)
    async with Reading(shelf).objects(is_ordered=True) as objects:
        async for found in objects:
            async for _ in found:
                ahead = {key: n for key, n in shelf.pieces.items() if key != found.key}
                assert max(ahead.values(), default=0) <= BLOCKS_AHEAD + 2
            break
    assert len(shelf.pieces) == SETTINGS.concurrency


async def test_what_lies_within_anothers_range_and_text_is_left_out(shelf: Shelf) -> None:
    """Wherever it begins there; a checkpoint fell back over all of them."""
    outer = await put_range(shelf, 100, 199)
    for first, last in [(100, 149), (120, 130), (150, 199), (199, 199)]:
        await put_range(shelf, first, last, fanout=64 if first == 100 else 16)
    after = await put_range(shelf, 200, 210)
    for is_ordered in (True, False):
        reading = await Reading(shelf).run(is_ordered=is_ordered)
        assert sorted(reading.keys) == sorted([outer, after])
        assert sorted(reading.lines) == numbers(range(100, 211))
        assert len(reading.told(Kind.COVERED)) == 4
        assert not reading.told(Kind.OVERLAP)
        assert f"its records are all in {outer}" in reading.findings[0].detail


async def test_all_are_given_where_that_is_wanted(shelf: Shelf) -> None:
    """Then nothing is compared: each object is opened once."""
    await put_range(shelf, 1, 9)
    await put_range(shelf, 2, 8)
    shelf.asked.clear()
    reading = await Reading(shelf).run(with_covered=True)
    assert sorted(reading.lines) == numbers(range(1, 10), range(2, 9))
    assert not reading.findings
    assert shelf.count("read") == 2


async def test_ranges_that_follow_each_other_cost_no_request_of_their_own(shelf: Shelf) -> None:
    """The end of a range stands on the object that is opened anyway."""
    for first in range(0, 200, 10):
        await put_range(shelf, first, first + 9)
    await Reading(shelf).run()
    assert shelf.count("read") == 20


async def test_a_partial_overlap_is_given_and_told(shelf: Shelf) -> None:
    """Else records would be lost."""
    first = await put_range(shelf, 1, 10)
    later = await put_range(shelf, 6, 15)
    reading = await Reading(shelf).run(is_ordered=True)
    assert reading.lines == [b"%d" % n for n in (*range(1, 11), *range(6, 16))]
    (told,) = reading.findings
    assert (told.kind, told.key) == (Kind.OVERLAP, later)
    assert told.detail == f"6 to 15 overlaps 1 to 10 of {first}; both are given"


async def test_what_has_records_of_its_own_is_given_though_its_range_lies_within_anothers(
    shelf: Shelf,
) -> None:
    """Batches that are taken side by side, by a parallelization factor: odd and even numbers."""
    for start in (0, 1):
        text = b"".join(b"%d\n" % number for number in range(start, 100 - 10 * start, 2))
        last = 98 if start == 0 else 89
        key = key_of(stream_name(start))
        await put(shelf, key, text, first=str(start), last=str(last))
    reading = await Reading(shelf).run()
    assert sorted(reading.lines) == numbers(range(0, 100, 2), range(1, 90, 2))
    (told,) = reading.findings
    assert told.kind is Kind.OVERLAP
    assert told.detail.endswith("; its records are others: both are given")


async def test_shards_of_a_table_that_overlap_by_themselves_are_not_told_of(shelf: Shelf) -> None:
    """The names of DynamoDB's objects have no shard; what is covered there is left out as well."""
    for first, last, text in [
        (1, 9, b"a\nb\nc\n"),
        (2, 8, b"x\n"),
        (3, 7, b"b\nc\n"),
        (5, 12, b"y\n"),
    ]:
        name = f"Orders-2026-11-23T06%3A48%3A05.899-{first:064d}"
        await put(shelf, key_of(name), text, first=str(first), last=str(last))
    reading = await Reading(shelf).run(is_ordered=True)
    assert reading.lines == [b"a", b"b", b"c", b"x", b"y"]
    assert [finding.kind for finding in reading.findings] == [Kind.COVERED]


async def test_other_shards_and_partitions_are_no_overlap(shelf: Shelf) -> None:
    """They hold other records of the same range."""
    await put_range(shelf, 1, 9)
    await put_range(shelf, 2, 8, "dt=2026-11-23/hour=08")
    await put_range(shelf, 3, 7, f"{HOUR}/customer=a")
    await put(shelf, key_of(stream_name(2, shard=4)), b"2\n3\n", first="2", last="3")
    reading = await Reading(shelf).run()
    assert len(reading.keys) == 4
    assert not reading.findings


@pytest.mark.parametrize("wrong", ["damaged", "gone", "long"])
async def test_what_covers_an_object_must_be_there_to_be_read(
    shelf: Shelf, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what it covers is all there is of these records."""
    outer = await put_range(shelf, 1, 9)
    inner = await put_range(shelf, 2, 8)
    if wrong == "damaged":
        there = shelf.objects[outer]
        await shelf.put(outer, there.body[:-3], there.about, replaces=there.stored.etag)
    elif wrong == "long":
        monkeypatch.setattr("batcher.reading.covering.MAX_COMPARED_BYTES", 16)
    else:
        shelf.failing = lambda asked, times: (
            NotFoundError("gone") if asked == f"read {outer}" and times > 1 else None
        )
    reading = await Reading(shelf).run(is_ordered=True)
    assert reading.keys == [outer, inner]
    assert reading.lines[-7:] == [b"%d" % n for n in range(2, 9)]
    (told,) = reading.findings
    assert "cannot be compared" in told.detail


async def test_the_longest_of_those_that_begin_together_is_given(shelf: Shelf) -> None:
    """The fanout was changed between a failure and its retry, so the shorter was not replaced."""
    for fanout, last in [(1, 4), (16, 12), (64, 7), (4, 12)]:
        await put_range(shelf, 1, last, fanout=fanout)
    reading = await Reading(shelf).run()
    assert sorted(reading.lines) == numbers(range(1, 13))
    assert len(reading.told(Kind.COVERED)) == 3


async def test_metadata_that_tells_no_end_covers_nothing(shelf: Shelf) -> None:
    """A copy without it, or a number that is none."""
    for first, last in [(1, "x"), (2, "3"), (5, "")]:
        await put(shelf, key_of(stream_name(first)), b"%d\n" % first, last=last)
    reading = await Reading(shelf).run()
    assert len(reading.keys) == 3
    assert not reading.findings


@pytest.mark.parametrize("is_ordered", [True, False])
async def test_an_object_whose_body_breaks_off_is_read_on_where_it_broke(
    shelf: Shelf,
    is_ordered: bool,  # noqa: FBT001  # a case
) -> None:
    """No line is given twice, and none is missing."""
    text = b"".join(b"%d\n" % number for number in range(1_500_000))
    key = key_of(queue_name(HOUR_S))
    await shelf.put(f"{key[:-3]}", text, About())  # not compressed, so that halves are given
    shelf.failing = lambda asked, times: (
        RetryableError("reset") if asked.startswith("read") and times <= 2 else None
    )
    reading = Reading(shelf)
    await reading.run(is_ordered=is_ordered)
    assert reading.lines == text.split(b"\n")[:-1]
    assert reading.delays_s == [0.1, 0.2]
    assert shelf.count("read") == 3


async def test_who_gets_on_is_not_given_up(shelf: Shelf) -> None:
    """A connection that breaks every few bytes, as where output waits for people, is no outage."""
    key = key_of(queue_name(HOUR_S))[:-3]
    await shelf.put(key, b"123456789\n", About())

    class Short(Shelf):
        @asynccontextmanager
        async def reading(self, key: str) -> AsyncIterator[Opened]:
            async with super().reading(key) as opened:
                upto = self.count("read")
                yield Opened(opened.stored, "", first_bytes(upto))

    async def first_bytes(upto: int) -> AsyncIterator[bytes]:
        yield b"123456789\n"[:upto]
        if upto < 10:
            msg = "reset"
            raise RetryableError(msg)

    short = Short()
    short.objects = shelf.objects
    reading = await Reading(short).run()
    assert reading.lines == [b"123456789"]
    assert short.count("read") == 10
    assert set(reading.delays_s) == {0.1}


async def test_an_object_that_cannot_be_opened_at_once_is_opened_later(shelf: Shelf) -> None:
    """At the start, or where its body broke off; the store says how long it wants to be left."""
    key = key_of(queue_name(HOUR_S))[:-3]
    await shelf.put(key, b"12345\n", About())

    class Busy(Shelf):
        @asynccontextmanager
        async def reading(self, key: str) -> AsyncIterator[Opened]:
            opens = self.count("read") + 1
            if opens in {1, 2, 4}:
                self.asked.append("read")
                msg = "SlowDown"
                raise RetryableError(msg, retry_after_s=7.0)
            async with super().reading(key) as opened:
                yield opened

    busy = Busy()
    busy.objects = shelf.objects
    busy.failing = lambda asked, times: (
        RetryableError("reset") if asked == f"read {key}" and times == 1 else None
    )
    reading = await Reading(busy).run()
    assert reading.lines == [b"12345"]
    assert reading.delays_s == [7.1, 7.2, 0.1, 7.2]


async def test_an_object_on_which_the_store_gives_up_is_an_error_and_the_others_are_read(
    shelf: Shelf,
) -> None:
    """After some attempts that got nowhere."""
    bad, good = await put_range(shelf, 1, 9), await put_range(shelf, 10, 19)
    shelf.failing = lambda asked, _: RetryableError("busy") if asked == f"read {bad}" else None
    reading = await Reading(shelf).run()
    assert sorted(set(reading.lines) - set(numbers(range(1, 10)))) == numbers(range(10, 20))
    assert set(reading.errors) == {bad}
    assert str(reading.errors[bad]) == "busy (attempt 3)"
    assert good in reading.keys


async def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed(shelf: Shelf) -> None:
    """What was given is of the old one."""
    key = (await put(shelf, key_of(queue_name(HOUR_S))))[:-3]
    shelf.objects.clear()
    await shelf.put(key, b"old\n" * 10, About())

    def fail(asked: str, times: int) -> Exception | None:
        if asked.startswith("read") and times == 1:
            return RetryableError("reset")
        if asked.startswith("read"):
            shelf.objects[key] = new.objects[key]
        return None

    new = Shelf()
    await new.put(key, b"new\n" * 10, About())
    shelf.failing = fail
    reading = await Reading(shelf).run()
    assert set(reading.lines) == {b"old"}
    assert "replaced while it was read" in str(reading.errors[key])


async def test_what_is_wrong_with_an_object_is_raised_by_its_lines(shelf: Shelf) -> None:
    """By the name that tells what to do; all lines before are given, and all other objects."""
    keys = [key_of(queue_name(HOUR_S + n)) for n in range(4)]
    bodies = [
        gzip.compress(b"1\n", mtime=0) + gzip.compress(b"2\n", mtime=0)[:-2],
        gzip.compress(b"3\n4", mtime=0),
        gzip.compress(b"5\n", mtime=0),
        gzip.compress(b"6\n", mtime=0),
    ]
    for key, body in zip(keys, bodies, strict=True):
        await shelf.put(key, body, About())
    errors = {f"read {keys[2]}": NotFoundError("gone"), f"read {keys[3]}": RejectedError("denied")}
    shelf.failing = lambda asked, _: errors.get(asked)
    reading = await Reading(shelf).run(is_ordered=True)
    assert reading.lines == [b"1", b"2", b"3"]
    kinds = [DamagedError, DamagedError, NotFoundError, RejectedError]
    assert [type(reading.errors[key]) for key in keys] == kinds
    assert str(reading.errors[keys[0]]).startswith(f"{keys[0]}: the body ends within member 2")
    assert str(reading.errors[keys[1]]) == f"{keys[1]}: the text ends within line 2"


async def test_an_object_that_is_gone_covers_nothing_and_holds_nobody_up(shelf: Shelf) -> None:
    """It was deleted between listing and reading, as a lifecycle rule does."""
    gone = await put_range(shelf, 1, 9)
    await put_range(shelf, 2, 8)
    await put_range(shelf, 3, 7)

    def delete(asked: str, _: int) -> None:
        if asked == f"read {gone}":
            shelf.objects.pop(gone, None)

    shelf.failing = delete
    reading = await Reading(shelf).run()
    assert sorted(reading.lines) == numbers(range(2, 9))
    assert isinstance(reading.errors[gone], NotFoundError)
    assert len(reading.told(Kind.COVERED)) == 1


async def test_what_cannot_be_opened_does_not_hide_what_comes_before_it(shelf: Shelf) -> None:
    """The object after it still lies within the one before it."""
    outer = await put_range(shelf, 1, 9)
    gone = await put_range(shelf, 2, 20)
    await put_range(shelf, 3, 7)

    def delete(asked: str, _: int) -> None:
        if asked == f"read {gone}":
            shelf.objects.pop(gone, None)

    shelf.failing = delete
    reading = await Reading(shelf).run(is_ordered=True)
    assert reading.keys == [outer, gone]
    assert reading.lines == [b"%d" % number for number in range(1, 10)]


async def test_a_text_that_begins_within_anothers_line_is_not_in_it(shelf: Shelf) -> None:
    """Whole lines count: `2` is not in `12`; nor is a text that was cut off."""
    await put(shelf, key_of(stream_name(1)), b"12\n34\n", first="1", last="9")
    await put(shelf, key_of(stream_name(2)), b"2\n34\n", first="2", last="3")
    await put(shelf, key_of(stream_name(4)), b"34", first="4", last="4")
    reading = await Reading(shelf).run(is_ordered=True)
    assert reading.lines == [b"12", b"34", b"2", b"34"]
    assert len(reading.told(Kind.OVERLAP)) == 2


async def test_a_line_that_is_too_long_damages_its_object_alone(shelf: Shelf) -> None:
    """However long it is, no more of it is held."""
    key = await put(shelf, key_of(queue_name(HOUR_S)), b"ok\n" + b"x" * 8 * MIB + b"\n")
    await put(shelf, key_of(queue_name(HOUR_S + 1)), b"next\n")
    reading = await Reading(shelf).run(is_ordered=True, max_line_bytes=2 * MIB)
    assert reading.lines == [b"ok", b"next"]
    assert f"line 2 is longer than {2 * MIB} bytes" in str(reading.errors[key])


async def test_text_is_given_in_pieces_that_end_where_lines_do(shelf: Shelf) -> None:
    """For whoever writes it on."""
    text = b"".join(b"%d\n" % number for number in range(700_000))
    await put(shelf, key_of(queue_name(HOUR_S)), text)
    pieces = []
    async with Reading(shelf).objects() as objects:
        async for found in objects:
            pieces += [piece async for piece in found.texts()]
    assert len(pieces) > 3
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces) == text


async def test_a_listing_that_fails_is_raised_by_the_iteration(shelf: Shelf) -> None:
    """What is known before it is given first, in order; then it is over."""
    await put_range(shelf, 1, 9)
    await put_range(shelf, 10, 19, "dt=2026-11-24")
    shelf.failing = lambda asked, _: (
        RejectedError("denied") if asked.endswith("dt=2026-11-24/") else None
    )
    reading = Reading(shelf)
    async with reading.objects(is_ordered=True) as objects:
        found = await anext(objects)
        reading.lines += [line async for lines in found for line in lines]
        with pytest.raises(RejectedError, match="denied"):
            await anext(objects)
        assert [found async for found in objects] == []
    assert sorted(reading.lines) == numbers(range(1, 10))


async def test_a_bug_is_heard(shelf: Shelf) -> None:
    """By whoever reads these lines; nobody waits for ever."""
    bad = await put_range(shelf, 1, 9)
    await put_range(shelf, 10, 19)
    shelf.failing = lambda asked, _: ZeroDivisionError() if asked == f"read {bad}" else None
    with pytest.raises(ZeroDivisionError):
        await Reading(shelf).run()
    assert shelf.is_closed


async def test_leaving_early_lets_go_of_everything(shelf: Shelf) -> None:
    """Within an object, between two, before the first, and when cancelled."""
    await put_large(shelf)

    async def within() -> None:
        async with Reading(shelf).objects() as objects:
            async for found in objects:
                async for _ in found:
                    return

    async def at_once() -> None:
        async with Reading(shelf).objects():
            pass

    async def cancelled() -> None:
        async with Reading(shelf).objects() as objects:
            async for _ in objects:
                me = asyncio.current_task()
                assert me is not None
                me.cancel()

    for leave in (within, at_once):
        await leave()
        assert shelf.at_once == 0
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancelled())
    assert shelf.at_once == 0
    assert shelf.is_closed


class Held(Shelf):
    """A shelf whose objects cannot be opened before `open` is set."""

    def __init__(self) -> None:
        """Start empty, and closed."""
        super().__init__()
        self.open = asyncio.Event()
        self.tried = asyncio.Event()

    @asynccontextmanager
    async def reading(self, key: str) -> AsyncIterator[Opened]:
        """Wait."""
        self.tried.set()
        await self.open.wait()
        async with super().reading(key) as opened:
            yield opened


async def test_waiting_that_is_cancelled_loses_no_object() -> None:
    """A program that waits for a while only asks again."""
    held = Held()
    keys = [await put_range(held, 1, 9), await put_range(held, 10, 19)]
    async with Reading(held).objects(is_ordered=True) as objects:
        for _ in range(3):
            waiting = asyncio.ensure_future(anext(objects))
            await held.tried.wait()
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        held.open.set()
        assert [found.key async for found in objects] == keys


@pytest.mark.parametrize("is_ordered", [True, False])
async def test_closing_wakes_whoever_waits(is_ordered: bool) -> None:  # noqa: FBT001  # a case
    """In another task."""
    held = Held()
    await put_range(held, 1, 9)
    async with Reading(held).objects(is_ordered=is_ordered) as objects:
        waiting = asyncio.ensure_future(_all_lines(objects))
        await held.tried.wait()
        await asyncio.sleep(0)
        await objects.aclose()
        await asyncio.wait([waiting])
        assert waiting.exception() is None or isinstance(waiting.exception(), RuntimeError)


async def _all_lines(objects: ReadObjects) -> list[bytes]:
    return [line async for found in objects async for lines in found for line in lines]


async def test_lines_are_read_once_and_in_their_turn(shelf: Shelf) -> None:
    """A program that keeps an object hears of it, and does not wait for ever."""
    for first in (1, 11, 21):
        await put_range(shelf, first, first + 9)
    kept: list[ReadObject] = []
    async with Reading(shelf).objects() as objects:
        async for found in objects:
            for earlier in kept:
                with pytest.raises(RuntimeError, match="before the next object is asked for"):
                    assert [lines async for lines in earlier]
            kept = [found]
        (last,) = kept
    kept.clear()
    async with Reading(shelf).objects() as objects:
        async for found in objects:
            assert [lines async for lines in found]
            with pytest.raises(RuntimeError, match="can be read once"):
                assert [lines async for lines in found]
    with pytest.raises(RuntimeError):
        assert [lines async for lines in last]


async def test_it_is_used_within_async_with(shelf: Shelf) -> None:
    """Or nobody would let go of what it holds."""
    with pytest.raises(RuntimeError, match="async with"):
        assert [found async for found in Reading(shelf).objects()]


async def test_a_program_reads_a_folder_in_five_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the name that the package gives; what is left out is logged."""
    store = FileStore(tmp_path)
    for number in range(3):
        key = key_of(queue_name(HOUR_S + number)).removeprefix("r/")
        await store.put(key, gzip.compress(b"%d\n" % number, mtime=0), About())
    await store.put("report.csv", b"x", About())
    got: list[bytes] = []
    with caplog.at_level(logging.WARNING, "batcher"):
        async with batcher.read_objects(
            f"file://{tmp_path}", since="2026-11-23", until="2026-11-24", ordered=True
        ) as objects:
            async for found in objects:
                async for lines in found:
                    got += lines
    assert got == [b"0", b"1", b"2"]
    (record,) = caplog.records
    assert record.getMessage().startswith("object_foreign key=report.csv detail=no object of")


def test_what_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    """Before anything is opened."""
    with pytest.raises(SettingsError, match="neither s3://bucket/root nor file://folder"):
        batcher.read_objects(str(tmp_path))
    with pytest.raises(SettingsError, match="since: 'x' is no date"):
        batcher.read_objects(f"file://{tmp_path}", since="x")
    with pytest.raises(SettingsError, match="concurrency: 0"):
        batcher.read_objects(f"file://{tmp_path}", concurrency=0)
