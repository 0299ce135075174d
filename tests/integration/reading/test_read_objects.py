"""Reading objects back: which objects, in which order, with which errors."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import batcher
from batcher.errors import DamagedError, NotFoundError, RejectedError, SettingsError
from batcher.reading.prefetch import MAX_PREFETCHED_BLOCKS
from batcher.reading.read_objects import ReadObject, ReadObjects
from batcher.stores import ObjectAttributes
from batcher.stores.base import ObjectBody
from batcher.stores.file import FileStore
from integration.reading.read_all import Reading, numbers
from support.sample_bucket import (
    HOUR,
    HOUR_S,
    SETTINGS,
    SampleBucket,
    key_of,
    put,
    put_range,
    queue_name,
    stream_name,
)

MIB = 1024**2


async def put_large(sample_bucket: SampleBucket) -> None:
    """Write objects that are not read ahead to their ends."""
    text = (b"x" * 1023 + b"\n") * 10_000
    for number in range(8):
        await sample_bucket.put(key_of(queue_name(HOUR_S + number))[:-3], text, ObjectAttributes())


@pytest.mark.parametrize("ordered", [True, False])
async def test_every_record_is_read_once(
    sample_bucket: SampleBucket,
    ordered: bool,  # noqa: FBT001  # a case
) -> None:
    """From every kind of writer."""
    for number in range(30):
        name = queue_name(HOUR_S + number, number)
        await put(sample_bucket, key_of(name), b"q%d\n" % number)
        await put_range(sample_bucket, number * 10, number * 10 + 9)
    reading = await Reading(sample_bucket).run(ordered=ordered)
    assert sorted(reading.lines) == sorted(numbers(range(300)) + [b"q%d" % n for n in range(30)])
    assert not reading.findings
    assert len(set(reading.keys)) == len(reading.keys) == 60


async def test_ordered_sorts_by_time_and_sequence_number(sample_bucket: SampleBucket) -> None:
    """Even if an early object takes longest to read."""
    for first in range(0, 600, 10):
        hour = first // 300
        await put_range(sample_bucket, first, first + 9, f"dt=2026-11-23/hour=0{hour}")
    big = key_of(queue_name(HOUR_S))
    await put(sample_bucket, big, b"".join(b"%d\n" % n for n in range(600, 400_000)))
    await put(sample_bucket, key_of(queue_name(HOUR_S + 1)), b"400000\n")
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines == [b"%d" % n for n in range(400_001)]


async def test_without_order_a_slow_object_does_not_block_others(
    sample_bucket: SampleBucket,
) -> None:
    """The others come first."""
    slow = await put_range(sample_bucket, 0, 9)
    rest = [await put_range(sample_bucket, first, first + 9) for first in range(10, 100, 10)]
    is_last = asyncio.Event()

    class Slow(SampleBucket):
        @asynccontextmanager
        async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
            if key == slow:
                await is_last.wait()
            async with super().open_object(key) as opened:
                yield opened

    slow_bucket = Slow()
    slow_bucket.objects = sample_bucket.objects
    keys = []
    async with Reading(slow_bucket).objects(covered=True) as objects:
        async for found in objects:
            keys.append(found.key)
            if len(keys) == len(rest):
                is_last.set()
    assert sorted(keys[:-1]) == sorted(rest)
    assert keys[-1] == slow


async def test_an_object_has_the_values_of_key_listing_and_metadata(
    sample_bucket: SampleBucket,
) -> None:
    """As far as each of them has them."""
    key = await put(sample_bucket, key_of(stream_name(5)), b"1\n2\n", records="2", first="5")
    await put(sample_bucket, key_of(queue_name(HOUR_S + 1)), b"1\n")
    sample_bucket.modified_s[key] = HOUR_S + 5.0
    values = []
    async with Reading(sample_bucket).objects(ordered=True) as objects:
        async for found in objects:
            values.append((found.key, found.partition, found.records, found.modified_s))
            assert found.size_bytes == len(sample_bucket.objects[found.key].body)
            assert found.metadata == sample_bucket.objects[found.key].attributes.metadata
            assert found.key in repr(found)
    assert values[0] == (key, HOUR, 2, HOUR_S + 5.0)
    assert values[1][2] is None


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_objects_are_open_than_allowed(
    sample_bucket: SampleBucket,
    ordered: bool,  # noqa: FBT001  # a case
) -> None:
    """And no fewer, if there are enough objects that are not read to their ends."""
    await put_large(sample_bucket)
    count = 0
    async with Reading(sample_bucket).objects(ordered=ordered) as objects:
        async for found in objects:
            async for lines in found:
                count += len(lines)
    assert count == 8 * 10_000
    assert sample_bucket.max_open_bodies == SETTINGS.concurrency


async def test_read_ahead_is_bounded_for_objects_of_any_size(
    sample_bucket: SampleBucket,
) -> None:
    """While one of 10 MB is read, the others stop after a few blocks."""
    await put_large(sample_bucket)
    async with Reading(sample_bucket).objects(ordered=True) as objects:
        async for found in objects:
            async for _ in found:
                ahead = {key: n for key, n in sample_bucket.pieces.items() if key != found.key}
                assert max(ahead.values(), default=0) <= MAX_PREFETCHED_BLOCKS + 2
            break
    assert len(sample_bucket.pieces) == SETTINGS.concurrency


async def test_reading_the_lines_of_an_object_raises_its_errors(
    sample_bucket: SampleBucket,
) -> None:
    """With the class by what to do next. All lines before it, and all other objects, are read."""
    keys = [key_of(queue_name(HOUR_S + n)) for n in range(4)]
    bodies = [
        gzip.compress(b"1\n", mtime=0) + gzip.compress(b"2\n", mtime=0)[:-2],
        gzip.compress(b"3\n4", mtime=0),
        gzip.compress(b"5\n", mtime=0),
        gzip.compress(b"6\n", mtime=0),
    ]
    for key, body in zip(keys, bodies, strict=True):
        await sample_bucket.put(key, body, ObjectAttributes())
    errors = {f"read {keys[2]}": NotFoundError("gone"), f"read {keys[3]}": RejectedError("denied")}
    sample_bucket.error_for = lambda request, _: errors.get(request)
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines == [b"1", b"2", b"3"]
    kinds = [DamagedError, DamagedError, NotFoundError, RejectedError]
    assert [type(reading.errors[key]) for key in keys] == kinds
    assert str(reading.errors[keys[0]]).startswith(f"{keys[0]}: the body ends within member 2")
    assert str(reading.errors[keys[1]]) == f"{keys[1]}: the text ends within line 2"


async def test_a_line_that_is_too_long_damages_its_object_alone(
    sample_bucket: SampleBucket,
) -> None:
    """Memory is bounded for any length."""
    key = await put(sample_bucket, key_of(queue_name(HOUR_S)), b"ok\n" + b"x" * 8 * MIB + b"\n")
    await put(sample_bucket, key_of(queue_name(HOUR_S + 1)), b"next\n")
    reading = await Reading(sample_bucket).run(ordered=True, max_line_bytes=2 * MIB)
    assert reading.lines == [b"ok", b"next"]
    assert f"line 2 is longer than {2 * MIB} bytes" in str(reading.errors[key])


async def test_texts_are_pieces_of_whole_lines(sample_bucket: SampleBucket) -> None:
    """For callers that write them elsewhere."""
    text = b"".join(b"%d\n" % number for number in range(700_000))
    await put(sample_bucket, key_of(queue_name(HOUR_S)), text)
    pieces = []
    async with Reading(sample_bucket).objects() as objects:
        async for found in objects:
            pieces += [piece async for piece in found.texts()]
    assert len(pieces) > 3
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces) == text


async def test_the_iteration_raises_a_failed_listing(sample_bucket: SampleBucket) -> None:
    """Objects known before it come first, in order. Then the iteration is over."""
    await put_range(sample_bucket, 1, 9)
    await put_range(sample_bucket, 10, 19, "dt=2026-11-24")
    sample_bucket.error_for = lambda request, _: (
        RejectedError("denied") if request.endswith("dt=2026-11-24/") else None
    )
    reading = Reading(sample_bucket)
    async with reading.objects(ordered=True) as objects:
        found = await anext(objects)
        reading.lines += [line async for lines in found for line in lines]
        with pytest.raises(RejectedError, match="denied"):
            await anext(objects)
        assert [found async for found in objects] == []
    assert sorted(reading.lines) == numbers(range(1, 10))


async def test_an_unexpected_exception_is_raised(sample_bucket: SampleBucket) -> None:
    """By reading the lines. Nothing waits forever."""
    bad = await put_range(sample_bucket, 1, 9)
    await put_range(sample_bucket, 10, 19)
    sample_bucket.error_for = lambda request, _: (
        ZeroDivisionError() if request == f"read {bad}" else None
    )
    with pytest.raises(ZeroDivisionError):
        await Reading(sample_bucket).run()
    assert sample_bucket.is_closed


async def test_leaving_early_closes_everything(sample_bucket: SampleBucket) -> None:
    """Within an object, between two, before the first, and when cancelled."""
    await put_large(sample_bucket)

    async def within() -> None:
        async with Reading(sample_bucket).objects() as objects:
            async for found in objects:
                async for _ in found:
                    return

    async def at_once() -> None:
        async with Reading(sample_bucket).objects():
            pass

    async def cancelled() -> None:
        async with Reading(sample_bucket).objects() as objects:
            async for _ in objects:
                me = asyncio.current_task()
                assert me is not None
                me.cancel()

    for leave in (within, at_once):
        await leave()
        assert sample_bucket.open_bodies == 0
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancelled())
    assert sample_bucket.open_bodies == 0
    assert sample_bucket.is_closed


class Held(SampleBucket):
    """A bucket whose objects cannot be opened before `open` is set."""

    def __init__(self) -> None:
        """Start empty, and closed."""
        super().__init__()
        self.open = asyncio.Event()
        self.tried = asyncio.Event()

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Wait."""
        self.tried.set()
        await self.open.wait()
        async with super().open_object(key) as opened:
            yield opened


async def test_a_cancelled_wait_loses_no_object() -> None:
    """A program that waits with a timeout calls again."""
    held = Held()
    keys = [await put_range(held, 1, 9), await put_range(held, 10, 19)]
    async with Reading(held).objects(ordered=True) as objects:
        for _ in range(3):
            waiting = asyncio.ensure_future(anext(objects))
            await held.tried.wait()
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        held.open.set()
        assert [found.key async for found in objects] == keys


@pytest.mark.parametrize("ordered", [True, False])
async def test_closing_wakes_a_waiting_reader(ordered: bool) -> None:  # noqa: FBT001  # a case
    """In another task."""
    held = Held()
    await put_range(held, 1, 9)
    async with Reading(held).objects(ordered=ordered) as objects:
        waiting = asyncio.ensure_future(_all_lines(objects))
        await held.tried.wait()
        await asyncio.sleep(0)
        await objects.aclose()
        await asyncio.wait([waiting])
        assert waiting.exception() is None or isinstance(waiting.exception(), RuntimeError)


async def _all_lines(objects: ReadObjects) -> list[bytes]:
    return [line async for found in objects async for lines in found for line in lines]


async def test_lines_are_read_once_and_before_the_next_object(sample_bucket: SampleBucket) -> None:
    """A program that keeps an object gets an error instead of waiting forever."""
    for first in (1, 11, 21):
        await put_range(sample_bucket, first, first + 9)
    kept: list[ReadObject] = []
    async with Reading(sample_bucket).objects() as objects:
        async for found in objects:
            for earlier in kept:
                with pytest.raises(RuntimeError, match="before the next object is requested"):
                    assert [lines async for lines in earlier]
            kept = [found]
        (last,) = kept
    kept.clear()
    async with Reading(sample_bucket).objects() as objects:
        async for found in objects:
            assert [lines async for lines in found]
            with pytest.raises(RuntimeError, match="can be read only once"):
                assert [lines async for lines in found]
    with pytest.raises(RuntimeError):
        assert [lines async for lines in last]


async def test_iterating_needs_async_with(sample_bucket: SampleBucket) -> None:
    """Otherwise connections would stay open."""
    with pytest.raises(RuntimeError, match="async with"):
        assert [found async for found in Reading(sample_bucket).objects()]


async def test_a_program_reads_a_folder_in_five_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the public name. Objects that are left out are logged."""
    store = FileStore(tmp_path)
    for number in range(3):
        key = key_of(queue_name(HOUR_S + number)).removeprefix("r/")
        await store.put(key, gzip.compress(b"%d\n" % number, mtime=0), ObjectAttributes())
    await store.put("report.csv", b"x", ObjectAttributes())
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
    assert record.getMessage().startswith("object_foreign key=report.csv detail=unknown suffix; ")


def test_invalid_arguments_are_rejected_at_once(tmp_path: Path) -> None:
    """Before anything is opened."""
    with pytest.raises(SettingsError, match="write s3://bucket/root, or the path of a folder"):
        batcher.read_objects("gs://my-bucket")
    with pytest.raises(SettingsError, match="since: cannot parse 'x'"):
        batcher.read_objects(f"file://{tmp_path}", since="x")
    with pytest.raises(SettingsError, match="concurrency: 0"):
        batcher.read_objects(f"file://{tmp_path}", concurrency=0)
