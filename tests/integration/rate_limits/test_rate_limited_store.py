"""PacedStore: whose turn it is, what a request holds while it waits, and what is left of it."""

from __future__ import annotations

import asyncio

import pytest

from batcher.concurrency import WorkerSlots
from batcher.errors import ThrottledError
from batcher.limits import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores import ObjectAttributes, Operation, Request, open_store
from batcher.stores.rate_limits.store import RateLimitedStore
from batcher.stores.retrying import RetryingStore
from integration.rate_limits.virtual_stores import (
    ANSWER_S,
    Limited,
    key,
    memory_of,
    now,
    outcomes,
    paced,
    played,
    put,
)
from support.fakes import Call, HookedStore, no_hook

OPERATIONS = ["put", "create", "part", "complete"]


def test_nothing_waits_where_nothing_is_refused() -> None:
    """Sixteen at once are on the wire at once, and no time has passed."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited)
        await outcomes([put(store, key("0000", number)) for number in range(16)])
        assert now() == ANSWER_S
        assert limited.seen.most_in_flight == 16
        assert store.limiters.total_wait_s == 0.0
        assert len(memory_of(store).objects) == 16

    played(program())


def test_no_more_are_in_flight_than_there_are_slots() -> None:
    """Of all prefixes together."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, concurrency=4)
        keys = [key(format(number % 16, "04b"), number) for number in range(40)]
        await outcomes([put(store, where) for where in keys])
        assert limited.seen.most_in_flight == 4
        assert now() == pytest.approx(10 * ANSWER_S)

    played(program())


def test_a_prefix_keeps_to_its_rate_in_the_order_of_asking() -> None:
    """Told 10 a second, it sends a burst of two, and then one each tenth of a second."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, most_per_s=10.0)
        await outcomes([put(store, key("0000", number)) for number in range(22)])
        (began_s,) = limited.seen.began_s.values()
        assert began_s == pytest.approx([0.0, 0.0, *(0.1 * n for n in range(1, 21))])
        hooked = store.inner
        assert isinstance(hooked, HookedStore)
        assert [call.key for call in hooked.calls] == [key("0000", n) for n in range(22)]
        assert store.limiters.total_wait_s == pytest.approx(sum(0.1 * n for n in range(1, 21)))

    played(program())


def test_a_slow_prefix_takes_no_slot_from_the_others() -> None:
    """A hundred wait for their turn; whoever comes for another prefix goes at once."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, most_per_s=1.0, concurrency=2)
        slow = [put(store, key("0000", number)) for number in range(100)]
        await asyncio.sleep(0.5)
        began_s = now()
        await put(store, key("1111"))
        assert now() - began_s == pytest.approx(ANSWER_S)
        assert sum(task.done() for task in slow) == 2
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)

    played(program())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_request_counts_as_what_it_is(operation: str) -> None:
    """Told one a second: of ten requests of one kind the last begins eight seconds later."""

    async def program() -> None:
        store = paced(no_hook, most_per_s=1.0)
        uploads = []
        if operation in {"part", "complete"}:
            for number in range(10):
                opened = store.create_upload(key("0000", number), ObjectAttributes(), part_bytes=1)
                uploads.append(await opened)
                await uploads[-1].put_part(1, b"x")
        await asyncio.sleep(1_000)
        began_s = now()
        for number in range(10):
            if operation == "put":
                await store.put(key("0000", number), b"", ObjectAttributes())
            elif operation == "create":
                await store.create_upload(key("0000", number), ObjectAttributes(), part_bytes=1)
            elif operation == "part":
                await uploads[0].put_part(number + 1, b"x" * MIN_PART_BYTES)
            else:
                await uploads[number].complete()
        assert now() - began_s == pytest.approx(8.0, abs=0.01)

    played(program())


def test_a_look_and_an_abort_wait_for_no_turn() -> None:
    """A HEAD has another limit in S3; an abort is cleanup, and the next request waits for it."""

    async def program() -> None:
        store = paced(no_hook, most_per_s=1.0)
        for number in range(5):
            await store.head(key("0000", number))
        upload = await store.create_upload(key("0000"), ObjectAttributes(), part_bytes=1)
        for number in range(3):
            await store.put(key("0000", number), b"", ObjectAttributes())
        before_s = now()
        for number in range(10):
            await store.head(key("0000", number))
        await upload.abort()
        assert now() == before_s
        await store.put(key("0000", 9), b"", ObjectAttributes())
        assert now() - before_s == pytest.approx(2.0)

    played(program())


def test_a_request_that_waits_for_its_turn_frees_the_worker_slot_of_its_sender() -> None:
    """Once per request that waits; at the end its sender has the slot again."""

    async def program() -> None:
        store = paced(no_hook, most_per_s=1.0)
        freed_s: list[float] = []
        slots = WorkerSlots(4, lambda: freed_s.append(now()))
        assert all(slots.acquire_nowait() for _ in range(4))
        requests = [
            Request(Operation.PUT, key("0000", number), body=b"x", slots=slots)
            for number in range(4)
        ]
        await asyncio.gather(*map(store.send, requests))
        assert now() == pytest.approx(2.0)
        assert freed_s == [0.0, 0.0]  # two were sent at once
        assert not slots.acquire_nowait()
        assert not slots.is_oversubscribed

    played(program())


def test_a_look_holds_a_slot_until_its_answer_whatever_that_is() -> None:
    """So looks do not exceed the concurrency either."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, concurrency=2)
        looks = [asyncio.ensure_future(store.head(key("0000", number))) for number in range(7)]
        for look in looks[:2]:
            look.get_loop().call_later(ANSWER_S / 2, look.cancel)
        await asyncio.wait(looks)
        assert [look.cancelled() for look in looks] == [True] * 2 + [False] * 5
        assert limited.seen.most_in_flight == 2
        assert await outcomes([put(store, key("0000"))]) == [None]

    played(program())


@pytest.mark.parametrize("which", [0, 1, 5, 9])
def test_a_cancelled_one_leaves_its_place_to_the_next(which: int) -> None:
    """Whether it is first or last: nothing is taken, and the others go as if it were not there."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, most_per_s=1.0, concurrency=1)
        await outcomes([put(store, key("0000", 100 + number)) for number in range(2)])
        waiting = [put(store, key("0000", number)) for number in range(10)]
        await asyncio.sleep(0.01)
        waiting[which].cancel()
        others = [task for task in waiting if task is not waiting[which]]
        await outcomes(others)
        assert waiting[which].cancelled()
        (began_s,) = limited.seen.began_s.values()
        assert began_s == pytest.approx([0.0, ANSWER_S, *(1.0 + n for n in range(9))])
        assert store.limiters.by_prefix()["events/0000"].is_idle
        await put(store, key("1111"))

    played(program())


@pytest.mark.parametrize("at_s", [0.0, 0.005, 0.5, 0.51, 1.0, 1.01])
def test_a_cancelled_one_leaves_no_slot_taken(at_s: float) -> None:
    """While it waits for its turn, for a slot, or for an answer."""

    async def program() -> None:
        limited = Limited(10_000, answer_s=0.5)
        store = paced(limited, most_per_s=1.0, concurrency=2)
        tasks = [put(store, key(salt, n)) for n in range(4) for salt in ("0000", "0001")]
        await asyncio.sleep(at_s)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        limited.seen.most_in_flight = 0
        fresh = [put(store, key(format(n, "04b"), 9)) for n in range(2, 6)]
        assert await outcomes(fresh) == [None] * 4
        assert limited.seen.most_in_flight == 2
        assert all(pace.is_idle for pace in store.limiters.by_prefix().values())

    played(program())


def test_too_many_in_flight_wait_for_an_answer() -> None:
    """Answers that get slower take places away; whoever finds none waits until one is free."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, concurrency=16)
        for number in range(20):
            await outcomes([put(store, key("0000", 16 * number + n)) for n in range(16)])
        for number in range(20, 26):
            limited.answer_s *= 2
            await outcomes([put(store, key("0000", 16 * number + n)) for n in range(16)])
        limited.seen.most_in_flight = 0
        tasks = [put(store, key("0000", 1_000 + number)) for number in range(40)]
        assert await outcomes(tasks) == [None] * 40
        assert 1 <= limited.seen.most_in_flight < 14
        assert store.limiters.by_prefix()["events/0000"].is_idle

    played(program())


def test_the_store_of_the_settings_is_paced_as_they_say() -> None:
    """The rate is shared by the fleet; retries go through the pace, each for itself."""
    settings = Settings(bucket="bucket", root="events", fanout=4, prefix_rate=100, fleet=50)
    store = open_store(settings)
    assert isinstance(store, RetryingStore)
    assert isinstance(store.inner, RateLimitedStore)
    paces = store.inner.limiters
    assert paces.get_prefix("events/01/dt=2026-11-23/a.ndjson.gz") == "events/01"
    assert paces.get("events/01", 0.0).rate_per_s(0.0) == 2.0


def test_who_has_waited_for_a_slot_asks_again_whether_it_is_its_turn() -> None:
    """Meanwhile its prefix has become slower: it gives the slot back, and another one goes."""

    async def program() -> None:
        began_s: dict[str, float] = {}

        async def before(call: Call) -> None:
            began_s[call.key] = now()
            await asyncio.sleep(0.5 if "/0000/" in call.key else 1.0)
            if call.key == key("0000", 0):
                text = "503 SlowDown"
                raise ThrottledError(text, 10.0)

        store = paced(before, concurrency=2)
        tasks = [put(store, key(salt, n)) for n in range(2) for salt in ("0000", "1111")]
        await outcomes(tasks)
        assert began_s == {
            key("0000", 0): 0.0,
            key("1111", 0): 0.0,
            key("1111", 1): 0.5,
            key("0000", 1): 10.5,
        }

    played(program())


def test_nobody_overtakes_who_waits() -> None:
    """Not even who comes in the very moment in which the first in line may go."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, most_per_s=1.0)

        async def come_late() -> None:
            await asyncio.sleep(1.0)
            await store.put(key("0000", 99), b"", ObjectAttributes())

        late = asyncio.get_running_loop().create_task(come_late())
        await asyncio.sleep(0)
        await outcomes([late, *(put(store, key("0000", number)) for number in range(4))])
        hooked = store.inner
        assert isinstance(hooked, HookedStore)
        assert [call.key for call in hooked.calls] == [key("0000", n) for n in (0, 1, 2, 3, 99)]

    played(program())


def test_closing_closes_the_store_inside() -> None:
    """And it tells of itself as that one does."""

    async def program() -> None:
        store = paced(no_hook)
        assert repr(store) == repr(store.inner)
        await store.aclose()
        assert isinstance(store.inner, HookedStore)
        assert store.inner.is_closed

    played(program())
