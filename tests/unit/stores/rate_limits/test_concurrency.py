"""InFlight: places are added one by one, and taken away by tenths."""

from __future__ import annotations

from itertools import pairwise

import pytest

from batcher.stores.rate_limits.concurrency import ConcurrencyLimit

USUAL_S = 0.05


def rounds(
    places: ConcurrencyLimit,
    count: int,
    since_s: float,
    took_s: float = USUAL_S,
    at_once: int | None = None,
) -> float:
    """Fill all places, or `at_once`, and have all answered, so often; give the time afterwards."""
    now_s = since_s
    for _ in range(count):
        sent = places.limit if at_once is None else at_once
        for _ in range(sent):
            places.on_start()
        for _ in range(sent):
            places.on_response(now_s, now_s + took_s)
        now_s += took_s
    return now_s


def test_all_places_are_there_from_the_beginning() -> None:
    """The first event of a cold function sends all it has at once."""
    places = ConcurrencyLimit(16)
    for _ in range(15):
        places.on_start()
    assert not places.is_full
    places.on_start()
    assert places.is_full


def test_answers_that_take_as_long_as_ever_leave_the_places() -> None:
    """Return or take what they always do."""
    places = ConcurrencyLimit(16)
    now_s = 0.0
    for number in range(500):
        now_s = rounds(places, 1, now_s, USUAL_S * (0.8 + 0.05 * (number * 7 % 9)))
    assert places.limit == 16


def test_slower_answers_take_a_tenth_away() -> None:
    """Once a round, not once an answer."""
    places = ConcurrencyLimit(20)
    now_s = rounds(places, 20, 0.0)
    rounds(places, 2, now_s, 3 * USUAL_S)  # the first is seen with the second
    assert places.limit == 18


@pytest.mark.parametrize("refusals", [1, 10])
def test_refusals_of_a_round_take_a_tenth_away(refusals: int) -> None:
    """However many they are."""
    places = ConcurrencyLimit(20)
    now_s = rounds(places, 20, 0.0)
    for _ in range(20):
        places.on_start()
    for _ in range(20 - refusals):
        places.on_response(now_s, now_s + USUAL_S / 2)
    for _ in range(refusals):
        places.on_throttle(now_s + USUAL_S / 2)
    rounds(places, 1, now_s + 2 * USUAL_S)
    assert places.limit == 18


def test_one_place_is_always_left_and_places_come_back_one_by_one() -> None:
    """Up to what there was."""
    places = ConcurrencyLimit(10)
    now_s = 0.0
    for _ in range(100):
        places.on_start()
        places.on_throttle(now_s)
        for _ in range(places.limit):
            places.on_start()
        for _ in range(places.limit):
            places.on_response(now_s, now_s + USUAL_S)
        now_s += USUAL_S
    assert places.limit == 1
    limits = [1]
    for _ in range(100):
        now_s = rounds(places, 1, now_s)
        limits.append(places.limit)
    assert {after - before for before, after in pairwise(limits)} == {0, 1}
    assert limits[-1] == 10
    assert places.in_flight == 0


def test_places_that_nobody_uses_are_not_added() -> None:
    """There is no evidence that the store bears more."""
    places = ConcurrencyLimit(20)
    now_s = rounds(places, 20, 0.0)
    now_s = rounds(places, 1, now_s, 3 * USUAL_S)
    rounds(places, 50, now_s, at_once=10)
    assert places.limit == 18


def test_a_slow_answer_to_the_only_request_takes_nothing_away() -> None:
    """One in flight made nothing slow."""
    places = ConcurrencyLimit(16)
    now_s = rounds(places, 20, 0.0, at_once=1)
    rounds(places, 5, now_s, 100 * USUAL_S, at_once=1)
    assert places.limit == 16


def test_answers_that_do_not_come_are_slow_answers() -> None:
    """A request that is cut took that long at least; one that is cancelled early says nothing."""
    places = ConcurrencyLimit(20)
    now_s = rounds(places, 20, 0.0)
    for _ in range(20):
        for _ in range(20):
            places.on_start()
        for _ in range(20):
            places.on_cancel(now_s, now_s + USUAL_S / 100)
        now_s += USUAL_S
    now_s = rounds(places, 5, now_s)
    assert places.limit == 20
    for _ in range(20):
        places.on_start()
    for _ in range(20):
        places.on_cancel(now_s, now_s + 10.0)
    assert places.limit == 18
    assert places.in_flight == 0


def test_slow_for_good_is_the_new_usual() -> None:
    """A store that has become slower has all places again after a while."""
    places = ConcurrencyLimit(20)
    now_s = rounds(places, 20, 0.0)
    now_s = rounds(places, 200, now_s, 3 * USUAL_S)
    assert places.limit == 20
