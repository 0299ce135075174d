"""Reading objects back: retries when an object cannot be opened or breaks off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from batcher.errors import RetryableError
from batcher.stores import ObjectAttributes
from batcher.stores.base import ObjectBody
from integration.reading.read_all import Reading, numbers
from support.sample_bucket import HOUR_S, SampleBucket, key_of, put, put_range, queue_name


@pytest.mark.parametrize("ordered", [True, False])
async def test_after_a_lost_connection_reading_continues_at_the_same_byte(
    sample_bucket: SampleBucket,
    ordered: bool,  # noqa: FBT001  # a case
) -> None:
    """No line is returned twice, and none is missing."""
    text = b"".join(b"%d\n" % number for number in range(1_500_000))
    key = key_of(queue_name(HOUR_S))
    await sample_bucket.put(
        f"{key[:-3]}", text, ObjectAttributes()
    )  # not compressed, so that halves are given
    sample_bucket.error_for = lambda request, attempt: (
        RetryableError("reset") if request.startswith("read") and attempt <= 2 else None
    )
    reading = Reading(sample_bucket)
    await reading.run(ordered=ordered)
    assert reading.lines == text.split(b"\n")[:-1]
    assert reading.delays_s == [0.1, 0.2]
    assert sample_bucket.count("read") == 3


async def test_attempts_with_progress_do_not_count(sample_bucket: SampleBucket) -> None:
    """Slow output makes the connection break every few bytes, which is not an outage."""
    key = key_of(queue_name(HOUR_S))[:-3]
    await sample_bucket.put(key, b"123456789\n", ObjectAttributes())

    class Short(SampleBucket):
        @asynccontextmanager
        async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
            async with super().open_object(key) as opened:
                upto = self.count("read")
                yield ObjectBody(opened.info, "", first_bytes(upto))

    async def first_bytes(upto: int) -> AsyncIterator[bytes]:
        yield b"123456789\n"[:upto]
        if upto < 10:
            msg = "reset"
            raise RetryableError(msg)

    short = Short()
    short.objects = sample_bucket.objects
    reading = await Reading(short).run()
    assert reading.lines == [b"123456789"]
    assert short.count("read") == 10
    assert set(reading.delays_s) == {0.1}


async def test_opening_an_object_is_retried(
    sample_bucket: SampleBucket,
) -> None:
    """At the start, or after a lost connection, with the store's Retry-After."""
    key = key_of(queue_name(HOUR_S))[:-3]
    await sample_bucket.put(key, b"12345\n", ObjectAttributes())

    class Busy(SampleBucket):
        @asynccontextmanager
        async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
            opens = self.count("read") + 1
            if opens in {1, 2, 4}:
                self.requests.append("read")
                msg = "SlowDown"
                raise RetryableError(msg, retry_after_s=7.0)
            async with super().open_object(key) as opened:
                yield opened

    busy = Busy()
    busy.objects = sample_bucket.objects
    busy.error_for = lambda request, attempt: (
        RetryableError("reset") if request == f"read {key}" and attempt == 1 else None
    )
    reading = await Reading(busy).run()
    assert reading.lines == [b"12345"]
    assert reading.delays_s == [7.1, 7.2, 0.1, 7.2]


async def test_an_object_that_keeps_failing_is_an_error_and_the_others_are_read(
    sample_bucket: SampleBucket,
) -> None:
    """After some attempts without progress."""
    bad, good = await put_range(sample_bucket, 1, 9), await put_range(sample_bucket, 10, 19)
    sample_bucket.error_for = lambda request, _: (
        RetryableError("busy") if request == f"read {bad}" else None
    )
    reading = await Reading(sample_bucket).run()
    assert sorted(set(reading.lines) - set(numbers(range(1, 10)))) == numbers(range(10, 20))
    assert set(reading.errors) == {bad}
    assert str(reading.errors[bad]) == "busy (attempt 3)"
    assert good in reading.keys


async def test_two_versions_of_an_object_are_never_mixed(
    sample_bucket: SampleBucket,
) -> None:
    """All lines returned are of the old version."""
    key = (await put(sample_bucket, key_of(queue_name(HOUR_S))))[:-3]
    sample_bucket.objects.clear()
    await sample_bucket.put(key, b"old\n" * 10, ObjectAttributes())

    def fail(request: str, attempt: int) -> Exception | None:
        if request.startswith("read") and attempt == 1:
            return RetryableError("reset")
        if request.startswith("read"):
            sample_bucket.objects[key] = new.objects[key]
        return None

    new = SampleBucket()
    await new.put(key, b"new\n" * 10, ObjectAttributes())
    sample_bucket.error_for = fail
    reading = await Reading(sample_bucket).run()
    assert set(reading.lines) == {b"old"}
    assert "replaced while it was read" in str(reading.errors[key])
