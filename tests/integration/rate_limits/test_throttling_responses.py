"""PacedStore: which answers slow a prefix, and how long they are waited for."""

from __future__ import annotations

import asyncio
import logging

import pytest

from batcher.errors import RejectedError, RetryableError, ThrottledError
from batcher.stores import ObjectAttributes
from batcher.stores.rate_limits.store import MAX_DOWN_S
from batcher.stores.request import RESPONSE_TIMEOUT_S as LONGEST_ANSWER_S
from batcher.stores.request import Operation, Request
from batcher.stores.retrying import Backoff, RetryingStore
from integration.rate_limits.virtual_stores import (
    ANSWER_S,
    BUSY,
    Limited,
    key,
    now,
    outcomes,
    paced,
    played,
    put,
)
from support.fakes import Call, HookedStore, failing, hanging, no_hook


def test_a_refusal_slows_its_prefix_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """One line tells of it, the first time."""

    async def program() -> None:
        store = paced(failing(BUSY, "put", key="/0000/"))
        with caplog.at_level(logging.WARNING, "batcher"):
            for number in range(3):
                with pytest.raises(ThrottledError):
                    await put(store, key("0000", number))
                await asyncio.sleep(2.0)
        began_s = now()
        for number in range(50):
            await put(store, key("0001", number))
        assert now() == began_s
        paces = store.limiters.by_prefix()
        assert paces["events/0000"].rate_per_s(now()) < 1.0
        assert paces["events/0001"].rate_per_s(now()) == 3_500.0
        assert paces["events/0000"].throttles == 3
        assert store.limiters.throttles == 3

    played(program())
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["prefix_slowed prefix=events/0000 per_s=1"]


@pytest.mark.parametrize(
    "error", [RetryableError("500 InternalError"), RejectedError("403"), ValueError("ours")]
)
def test_what_is_no_refusal_slows_nothing(error: Exception) -> None:
    """The store has not asked for less; and the slot is free again."""

    async def program() -> None:
        store = paced(failing(error, "put", times=100), concurrency=1)
        for number in range(100):
            with pytest.raises(type(error)):
                await put(store, key("0000", number))
        await put(store, key("0000"))
        assert now() == 0.0
        assert store.limiters.throttles == 0

    played(program())


def test_waiting_for_a_turn_is_no_waiting_for_an_answer() -> None:
    """Turns that are further away than an answer may take cut nothing, and are no retries."""

    async def program() -> None:
        retries: list[int] = []
        inner = paced(Limited(10_000), most_per_s=0.05)
        store = RetryingStore(inner, on_retry=lambda: retries.append(1))
        tasks = [put(store, key("0000", number)) for number in range(12)]
        assert await outcomes(tasks) == [None] * 12
        assert now() == pytest.approx(200.0 + ANSWER_S)
        assert LONGEST_ANSWER_S < 20.0
        assert retries == []

    played(program())


def test_an_answer_has_its_whole_time_after_the_turn_has_come() -> None:
    """And no more: it is cut then, and sent again."""

    async def program() -> None:
        began_s: list[float] = []

        async def hang_once(call: Call) -> None:
            began_s.append(now())
            if len(began_s) == 3:
                await hanging("put")(call)

        store = RetryingStore(paced(hang_once, most_per_s=0.1), jitter=lambda: 1.0)
        tasks = [put(store, key("0000", number)) for number in range(3)]
        assert await outcomes(tasks) == [None] * 3
        assert began_s == pytest.approx([0.0, 0.0, 10.0, 10.0 + LONGEST_ANSWER_S + 0.1])

    played(program())


def test_waiting_does_not_use_up_the_time_for_attempts() -> None:
    """The tenth attempt of a request that waits 20 s for each is still made."""

    async def program() -> None:
        inner = paced(failing(BUSY, "put", times=4), most_per_s=0.05)
        store = RetryingStore(inner, Backoff(max_elapsed_s=10.0), jitter=lambda: 1.0)
        warm = [put(store.inner, key("0000", number)) for number in range(2)]
        await outcomes(warm)
        for number in range(2):  # takes the burst
            await inner.send(Request(Operation.ABORT_UPLOAD, key("0000", number)))
        await put(store, key("0000", 9))
        assert now() > 40.0

    played(program())


def test_a_store_that_refuses_everything_is_not_waited_for_for_ever() -> None:
    """All who wait are told in time, and what comes later still tries when it is its turn."""

    async def program() -> None:
        inner = paced(failing(BUSY, "put"))
        hooked = inner.inner
        assert isinstance(hooked, HookedStore)
        store = RetryingStore(inner)
        tasks = [put(store, key("0000", number)) for number in range(40)]
        errors = await outcomes(tasks)
        assert all(isinstance(error, RetryableError) for error in errors)
        assert now() < 2 * MAX_DOWN_S
        assert any("S3 has refused everything" in str(error) for error in errors)
        await asyncio.sleep(600.0)
        hooked.before = no_hook
        await put(store, key("0000", 99))
        began_s = now()
        await outcomes([put(store, key("0000", 100 + number)) for number in range(40)])
        assert now() - began_s < 5.0

    played(program())


def test_how_long_completing_takes_says_nothing() -> None:
    """S3 joins parts for minutes, however few are under way."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited)
        opening = [
            store.create_upload(key("0000", n), ObjectAttributes(), part_bytes=1)
            for n in range(160)
        ]
        uploads = [await one for one in opening]
        for upload in uploads:
            await upload.put_part(1, b"x")
        for first in range(0, 160, 16):
            limited.answer_s *= 2
            loop = asyncio.get_running_loop()
            completing = [upload.complete() for upload in uploads[first : first + 16]]
            await asyncio.wait([loop.create_task(one) for one in completing])
        limited.answer_s, limited.seen.most_in_flight = ANSWER_S, 0
        await outcomes([put(store, key("0000", 1_000 + number)) for number in range(16)])
        assert limited.seen.most_in_flight == 16

    played(program())
