"""RetryingStore: what is sent again, how long it waits, and when it gives up."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from batcher.errors import (
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    TooLateError,
    UploadLostError,
)
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes
from batcher.stores import request as request_module
from batcher.stores.memory import MemoryStore
from batcher.stores.retrying import Backoff, RetryingStore
from batcher.writing.stats import Stats
from support.fakes import FakeClock, HookedStore, failing, hanging, no_hook

BUSY = RetryableError("503 SlowDown")
ABOUT = ObjectAttributes()
PART = b"x" * MIN_PART_BYTES


@dataclass
class Sleeps:
    """Sleeping that takes no time, on a clock that believes it."""

    clock: FakeClock = field(default_factory=FakeClock)
    delays_s: list[float] = field(default_factory=list)

    async def __call__(self, delay_s: float) -> None:
        """Note the delay, and let the clock go on."""
        self.delays_s.append(delay_s)
        self.clock.now_s += delay_s


@pytest.fixture
def inner() -> HookedStore:
    """Return a store that a test can make fail."""
    return HookedStore(MemoryStore())


@pytest.fixture
def sleeps() -> Sleeps:
    """Return the sleeping."""
    return Sleeps()


def retrying(inner: HookedStore, sleeps: Sleeps, **backoff: float) -> RetryingStore:
    """Make a store that waits the longest time there is, on the fake clock."""
    return RetryingStore(
        inner, Backoff(**backoff), jitter=lambda: 1.0, sleep=sleeps, clock=sleeps.clock
    )


async def test_what_may_succeed_later_is_sent_again(inner: HookedStore, sleeps: Sleeps) -> None:
    """The same bytes, after waits that double; the caller sees only the success."""
    store = retrying(inner, sleeps)
    inner.before = failing(BUSY, "put", times=3)
    assert (await store.put("key", b"body", ABOUT)).size_bytes == 4
    assert sleeps.delays_s == pytest.approx([0.1, 0.2, 0.4])
    assert inner.operations() == ["put"] * 4


async def test_every_request_that_is_sent_again_is_counted(
    inner: HookedStore, sleeps: Sleeps
) -> None:
    """The first attempts are not."""
    counts = Stats()
    store = RetryingStore(inner, on_retry=counts.count_retry, sleep=sleeps, clock=sleeps.clock)
    await store.put("clean", b"", ABOUT)
    inner.before = failing(BUSY, "put", times=2)
    await store.put("key", b"", ABOUT)
    assert counts.retries == 2


async def test_a_request_that_needed_repeating_leaves_one_line(
    inner: HookedStore, sleeps: Sleeps, caplog: pytest.LogCaptureFixture
) -> None:
    """Which operation, which key, how often, and why; a clean one leaves none."""
    store = retrying(inner, sleeps)
    with caplog.at_level(logging.DEBUG, "batcher"):
        await store.put("clean", b"", ABOUT)
        inner.before = failing(BUSY, "put", times=2)
        await store.put("key", b"", ABOUT)
    assert [record.getMessage() for record in caplog.records] == [
        "request_repeated operation=put key=key times=2 error=503 SlowDown"
    ]


async def test_an_upload_leaves_one_line_however_many_of_its_requests_were_repeated(
    inner: HookedStore, sleeps: Sleeps, caplog: pytest.LogCaptureFixture
) -> None:
    """The first of them is named."""
    store = retrying(inner, sleeps)
    with caplog.at_level(logging.DEBUG, "batcher"):
        upload = await store.create_upload("key", ABOUT, part_bytes=MIN_PART_BYTES)
        for number in (1, 2):
            inner.before = failing(BUSY, "part", times=2)
            await upload.put_part(number, PART)
        inner.before = failing(BUSY, "complete", times=1)
        assert caplog.records == []
        await upload.complete()
    assert [record.getMessage() for record in caplog.records] == [
        "request_repeated operation=part 1 key=key times=5 error=503 SlowDown"
    ]


@pytest.mark.parametrize("refused", [1, 3])
async def test_a_condition_that_does_not_hold_after_a_repetition_tells_it(
    inner: HookedStore, sleeps: Sleeps, caplog: pytest.LogCaptureFixture, refused: int
) -> None:
    """The object may be our own, by an attempt whose answer was lost."""
    store = retrying(inner, sleeps)
    await store.put("key", b"", ABOUT)
    inner.before = failing(BUSY, "put", times=refused)
    with pytest.raises(PreconditionFailedError):
        await store.put("key", b"", ABOUT)
    (record,) = caplog.records
    assert f"times={refused}" in record.getMessage()


async def test_what_fails_in_the_end_leaves_no_line_of_its_own(
    inner: HookedStore, sleeps: Sleeps, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error says how often it was tried, and whoever hears that tells."""
    inner.before = failing(BUSY, "put", times=1000)
    with caplog.at_level(logging.DEBUG, "batcher"), pytest.raises(RetryableError, match="attempt"):
        await retrying(inner, sleeps).put("key", b"", ABOUT)
    assert [record for record in caplog.records if "still retrying" not in record.message] == []


async def test_a_request_that_is_retried_for_seconds_is_logged_meanwhile(
    inner: HookedStore, sleeps: Sleeps, caplog: pytest.LogCaptureFixture
) -> None:
    """With what failed, and how long it goes on. Once, whatever else is retried then."""
    store = retrying(inner, sleeps)
    inner.before = failing(BUSY, "put", times=4)
    await store.put("key", b"", ABOUT)
    assert [record.message for record in caplog.records if "still" in record.message] == []
    inner.before = failing(BUSY, "put")
    for _ in range(3):
        with pytest.raises(RetryableError):
            await store.put("key", b"", ABOUT)
    warnings = [record for record in caplog.records if "still" in record.message]
    assert [record.levelname for record in warnings] == ["WARNING"] * len(warnings)
    assert 1 < len(warnings) <= 3
    assert warnings[0].message == "still retrying, for at most 27 s more: 503 SlowDown"


@pytest.mark.parametrize(
    "error", [RejectedError("403"), PreconditionFailedError("412"), ValueError("ours")]
)
async def test_what_cannot_succeed_is_raised_at_once(
    inner: HookedStore, sleeps: Sleeps, error: Exception
) -> None:
    """A refusal, a condition that does not hold, a bug: repeating helps with none of them."""
    inner.before = failing(error, "put")
    with pytest.raises(type(error)) as raised:
        await retrying(inner, sleeps).put("key", b"", ABOUT)
    assert raised.value is error
    assert inner.operations() == ["put"]


async def test_a_lost_upload_is_not_repeated_request_by_request(
    inner: HookedStore, sleeps: Sleeps
) -> None:
    """The same part would meet the same answer; whoever holds the parts starts anew."""
    store = retrying(inner, sleeps)
    upload = await store.create_upload("key", ABOUT, part_bytes=MIN_PART_BYTES)
    inner.before = failing(UploadLostError("gone"), "part", "complete")
    with pytest.raises(UploadLostError):
        await upload.put_part(1, PART)
    with pytest.raises(UploadLostError):
        await upload.complete()
    assert sleeps.delays_s == []


async def test_what_is_too_late_is_handed_back_at_once(inner: HookedStore, sleeps: Sleeps) -> None:
    """No repetition would come sooner."""
    late = TooLateError("its turn would come in 60 s")
    inner.before = failing(late, "put")
    with pytest.raises(TooLateError) as raised:
        await retrying(inner, sleeps).put("key", b"", ABOUT)
    assert raised.value is late
    assert sleeps.delays_s == []


async def test_what_the_store_asks_for_is_waited_for(inner: HookedStore, sleeps: Sleeps) -> None:
    """`Retry-After`, with the jitter on top."""
    inner.before = failing(RetryableError("503", 7.0), "put", times=1)
    await retrying(inner, sleeps).put("key", b"", ABOUT)
    assert sleeps.delays_s == pytest.approx([7.1])


async def test_a_request_is_given_up_after_its_time(inner: HookedStore, sleeps: Sleeps) -> None:
    """The last error says what happened, how often it was tried, and for how long."""
    cause = OSError("the transport's")
    BUSY.__cause__ = cause
    inner.before = failing(BUSY, "put")
    with pytest.raises(
        RetryableError, match=r"503 SlowDown \(gave up after 0\.7 s and 4 attempts\)"
    ) as raised:
        await retrying(inner, sleeps, max_elapsed_s=1.0).put("key", b"", ABOUT)
    assert raised.value is not BUSY
    assert raised.value.__cause__ is cause
    assert inner.operations() == ["put"] * 4


async def test_no_attempt_begins_after_the_deadline(inner: HookedStore, sleeps: Sleeps) -> None:
    """The event's answer is due: what waits beyond it is handed back now, not then."""
    inner.before = failing(BUSY, "put")
    store = retrying(inner, sleeps)
    with pytest.raises(RetryableError, match=r"gave up after 0\.3 s and 3 attempts"):
        await store.put("key", b"", ABOUT, deadline_s=sleeps.clock.now_s + 0.5)
    assert sleeps.delays_s == pytest.approx([0.1, 0.2])


async def test_an_abort_goes_on_beyond_the_deadline(inner: HookedStore, sleeps: Sleeps) -> None:
    """It is what must be done when the deadline was there."""
    store = retrying(inner, sleeps)
    upload = await store.create_upload("key", ABOUT, part_bytes=MIN_PART_BYTES)
    inner.before = failing(BUSY, "abort", times=2)
    upload.deadline_s = sleeps.clock.now_s - 1.0
    await upload.abort()
    assert inner.operations()[-3:] == ["abort"] * 3


@pytest.mark.parametrize("operation", ["put", "head", "create", "part", "complete", "abort"])
async def test_every_operation_is_repeated(
    inner: HookedStore, sleeps: Sleeps, operation: str
) -> None:
    """None was forgotten, and each does in the end what it was asked for."""
    memory = inner.inner
    assert isinstance(memory, MemoryStore)
    store = retrying(inner, sleeps)
    inner.before = failing(BUSY, operation, times=1)
    await store.put("small", b"body", ABOUT)
    assert (await store.head("small")) is not None
    upload = await store.create_upload("large", ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, PART)
    await upload.put_part(2, b"end")
    await upload.complete()
    other = await store.create_upload("other", ABOUT, part_bytes=MIN_PART_BYTES)
    await other.abort()
    assert {key: len(there.body) for key, there in memory.objects.items()} == {
        "small": 4,
        "large": len(PART) + 3,
    }
    assert memory.uploads == {}


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(
    inner: HookedStore, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt is cut, and the next one has the answer."""
    monkeypatch.setattr(request_module, "RESPONSE_TIMEOUT_S", 0.01)
    hang = hanging("put")

    async def hang_once(call: object) -> None:
        inner.before = no_hook
        await hang(call)  # type: ignore[arg-type]  # a Call

    inner.before = hang_once
    store = retrying(inner, sleeps)
    assert (await store.put("key", b"body", ABOUT)).size_bytes == 4
    assert inner.operations() == ["put", "put"]


async def test_a_lost_answer_becomes_the_refusal_that_its_success_causes(
    inner: HookedStore, sleeps: Sleeps
) -> None:
    """The store cannot know whose object is there; the writer, who knows the digest, looks."""
    inner.after = failing(BUSY, "put", times=1)
    with pytest.raises(PreconditionFailedError):
        await retrying(inner, sleeps).put("key", b"", ABOUT)


async def test_a_cancellation_is_not_repeated(inner: HookedStore, sleeps: Sleeps) -> None:
    """Whoever cancels wants it to end."""
    inner.before = hanging("put")
    task = asyncio.ensure_future(retrying(inner, sleeps).put("key", b"", ABOUT))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.operations() == ["put"]


async def test_closing_closes_the_store_inside(inner: HookedStore, sleeps: Sleeps) -> None:
    """And it tells of itself as that one does."""
    store = retrying(inner, sleeps)
    assert repr(store) == repr(inner)
    await store.aclose()
    assert inner.is_closed
