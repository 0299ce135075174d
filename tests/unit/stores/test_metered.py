"""Every attempt is counted and timed as it ends, and passed on as it is."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from batcher.errors import RejectedError, RetryableError, ThrottledError
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes, limit_concurrency
from batcher.stores.memory import MemoryStore
from batcher.stores.metered import MeteredStore, RequestStats
from support.fakes import Call, FakeClock, HookedStore, failing, hang

ABOUT = ObjectAttributes("application/gzip", {"batcher-records": "1"})
BUSY = ThrottledError("SlowDown")
ALL = ("put", "head", "part", "complete", "abort")


class Meter:
    """A metered store whose every request takes as many seconds as the test says."""

    def __init__(self) -> None:
        """Take a second a request."""
        self.clock = FakeClock()
        self.takes_s = 1.0
        self.requests = RequestStats()
        self.memory = MemoryStore()
        self.inner = HookedStore(self.memory, before=self.take)
        self.store = MeteredStore(self.inner, self.requests, lambda key: key[:2], clock=self.clock)

    async def take(self, call: Call) -> None:
        """Let time pass."""
        del call
        self.clock.now_s += self.takes_s


@pytest.fixture
def meter() -> Meter:
    """Return one."""
    return Meter()


async def test_a_put_is_timed_and_its_bytes_are_counted(meter: Meter) -> None:
    """And the object is as without the meter."""
    stored = await meter.store.put("k", b"body", ABOUT)
    meter.takes_s = 2.5
    replaced = await meter.store.put("k", b"other body", ABOUT, if_match=stored.etag)
    assert meter.requests == RequestStats(2, 14, [1.0, 2.5])
    assert await meter.store.head("k") == replaced
    assert meter.memory.objects["k"].body == b"other body"


async def test_looks_and_ends_of_uploads_are_counted_but_not_timed(meter: Meter) -> None:
    """S3 may join parts for minutes: that says nothing of a PUT."""
    upload = await meter.store.create_upload("k", ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, bytes(MIN_PART_BYTES))
    await upload.put_part(2, b"6")
    stored = await upload.complete()
    assert await meter.store.head("k") == stored
    await (await meter.store.create_upload("other", ABOUT, part_bytes=MIN_PART_BYTES)).abort()
    assert meter.requests == RequestStats(7, MIN_PART_BYTES + 1, [1.0, 1.0])
    assert meter.inner.operations() == [
        "create", "part", "part", "complete", "head", "create", "abort",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [BUSY, RetryableError("gone"), RejectedError("no")])
async def test_a_failed_attempt_is_timed_too(meter: Meter, error: Exception) -> None:
    """It took its time; and the error comes through."""

    async def fail(call: Call) -> None:
        await meter.take(call)
        raise error

    meter.inner.before = fail
    with pytest.raises(type(error)):
        await meter.store.put("k", b"body", ABOUT)
    assert (meter.requests.attempts, meter.requests.put_durations_s) == (1, [1.0])


async def test_an_attempt_that_is_cut_has_taken_as_long_as_it_was_given(meter: Meter) -> None:
    """A store that does not answer must not look fast."""
    meter.inner.before = hang
    putting = asyncio.ensure_future(meter.store.put("k", b"body", ABOUT))
    await asyncio.sleep(0)
    meter.clock.now_s += 10
    putting.cancel()
    await asyncio.wait([putting])
    assert putting.cancelled()
    assert meter.requests == RequestStats(1, 4, [10.0])


async def test_refusals_for_too_many_are_counted_by_prefix(meter: Meter) -> None:
    """Of every kind of request; other errors are none."""
    upload = await meter.store.create_upload("up", ABOUT, part_bytes=MIN_PART_BYTES)
    meter.inner.before = failing(BUSY, *ALL)
    for key in ("aa/1", "aa/2", "bb/1"):
        with pytest.raises(ThrottledError):
            await meter.store.put(key, b"", ABOUT)
    with pytest.raises(ThrottledError):
        await meter.store.head("cc")
    for request in (upload.put_part(1, b"x"), upload.complete(), upload.abort()):
        with pytest.raises(ThrottledError):
            await request
    meter.inner.before = failing(RetryableError("no answer"), *ALL)
    with pytest.raises(RetryableError):
        await meter.store.put("aa/1", b"", ABOUT)
    assert meter.requests.throttles_by_prefix == Counter({"aa": 2, "bb": 1, "cc": 1, "up": 3})


async def test_time_in_line_is_not_the_stores(meter: Meter) -> None:
    """The meter stands inside what waits: one slot, and the other's second does not count."""
    store = limit_concurrency(meter.store, 1)
    await asyncio.gather(store.put("a", b"1", ABOUT), store.put("b", b"2", ABOUT))
    assert meter.requests.put_durations_s == [1.0, 1.0]


async def test_closing_closes_what_is_inside(meter: Meter) -> None:
    """As every wrapper does."""
    await meter.store.aclose()
    assert meter.inner.is_closed


def test_requests_begin_anew() -> None:
    """One event's figures are none of the next one's."""
    requests = RequestStats(3, 4, [1.0], Counter(a=1))
    requests.clear()
    assert requests == RequestStats()
