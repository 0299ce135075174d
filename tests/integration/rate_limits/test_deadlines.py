"""PacedStore: what cannot be sent before the deadline is handed back, and holds nobody up."""

from __future__ import annotations

import asyncio

import pytest

from batcher.errors import RetryableError, ThrottledError, TooLateError
from batcher.stores.rate_limits.queue import Waiter, WaitQueue
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
from support.fakes import Call, no_hook


def test_what_cannot_be_sent_in_time_is_handed_back_at_once() -> None:
    """The error says which prefix, how long it would have been, and what to do."""

    async def program() -> None:
        store = paced(no_hook, most_per_s=1.0)
        waiting = [put(store, key("0000", number), within_s=5.5) for number in range(10)]
        await asyncio.sleep(0)
        done = [task for task in waiting if task.done()]
        assert done == waiting[:2] + waiting[7:]
        error = waiting[7].exception()
        assert isinstance(error, TooLateError)
        assert str(error).startswith(
            f"put {key('0000', 7)}: not sent: its turn would come in 6.0 s, and the event's "
            "deadline is in 5.5 s. 'events/0000' goes at 1 requests/s in this process now, 5 wait "
            "before this one, 0 were refused so far; raise `fanout`"
        )
        assert await outcomes(waiting[:7]) == [None] * 7
        assert now() == 5.0

    played(program())


def test_those_that_wait_are_handed_back_when_their_turn_moves_beyond_the_deadline() -> None:
    """A refusal made the prefix slower: who is too far behind now learns it now."""

    async def program() -> None:
        async def before(call: Call) -> None:
            await asyncio.sleep(ANSWER_S)
            if call.key == key("0000", 1):
                raise BUSY

        store = paced(before, most_per_s=10.0)
        waiting = [put(store, key("0000", number), within_s=10.0) for number in range(50)]
        ended_s: list[float] = []
        for task in waiting[-10:]:
            task.add_done_callback(lambda _: ended_s.append(now()))
        errors = await outcomes(waiting)
        assert max(ended_s) < 0.1
        late = [task for task, error in zip(waiting, errors, strict=True) if error is not None]
        assert isinstance(late[0].exception(), ThrottledError)
        assert len(late) > 10
        assert {type(task.exception()) for task in late[1:]} == {TooLateError}
        assert late[1:] == waiting[-len(late) + 1 :]
        assert now() < 10.0

    played(program())


def test_what_is_handed_back_takes_no_turn_from_who_waits() -> None:
    """A hundred that are too late change nothing for the two that are not."""

    async def program() -> None:
        limited = Limited(10_000)
        store = paced(limited, most_per_s=1.0)
        patient = [put(store, key("0000", number)) for number in range(4)]
        await asyncio.sleep(0)
        hasty = [put(store, key("0000", number), within_s=1.0) for number in range(10, 110)]
        assert {type(error) for error in await outcomes(hasty)} == {TooLateError}
        assert await outcomes(patient) == [None] * 4
        (began_s,) = limited.seen.began_s.values()
        assert began_s == pytest.approx([0.0, 0.0, 1.0, 2.0])

    played(program())


def test_who_is_sent_away_is_no_longer_before_the_others() -> None:
    """The estimate of who stays does not count them."""

    async def program() -> None:
        line, seen = WaitQueue(), {}
        places = [Waiter("put", str(number), None) for number in range(6)]
        for place in places:
            line.join(place)

        def error_of(place: Waiter, ahead: int) -> Exception | None:
            seen[place.key] = ahead
            return RetryableError("late") if place.key in "123" else None

        line.reject_late(error_of)
        assert seen == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 2}
        assert [place.is_decided for place in places] == [True, True, True, True, False, False]

    played(program())
