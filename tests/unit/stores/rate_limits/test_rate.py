"""Rate: what a refusal does to it, and how it comes back."""

from __future__ import annotations

import pytest

from batcher.stores.rate_limits.rate import (
    BURST_S,
    DECREASE_FACTOR,
    DOWN_AFTER_THROTTLES,
    FIRST_FLOOR_PER_S,
    FORGIVE_AFTER_SUCCESSES,
    MAX_RETRY_AFTER_S,
    MIN_BURST,
    MIN_PER_S,
    THROTTLE_WINDOW_S,
    CubicRateLimit,
)

ANSWER_S = 0.02


def steady(rate: CubicRateLimit, per_s: float, since_s: float, lasts_s: float) -> float:
    """Send at `per_s`, all of it accepted; give the time afterwards."""
    requests = round(per_s * lasts_s)
    for number in range(requests):
        now_s = since_s + number / per_s
        rate.take(now_s)
        rate.on_success(now_s + ANSWER_S)
    return since_s + lasts_s


def steady_and_refused_once(rate: CubicRateLimit, per_s: float, lasts_s: float = 10.0) -> float:
    """Send at `per_s` from the beginning; the one refusal then is forgiven."""
    now_s = steady(rate, per_s, 0.0, lasts_s)
    refuse(rate, now_s)
    return now_s


def refuse(rate: CubicRateLimit, now_s: float) -> bool:
    """Send one request now, which is refused."""
    rate.take(now_s)
    return rate.on_throttle(now_s, now_s + ANSWER_S)


def test_nothing_waits_where_nothing_was_refused() -> None:
    """A hundred at once, and then some more."""
    rate = CubicRateLimit(3_500.0, 0.0)
    for _ in range(100):
        assert rate.delay_s(0.0) == 0.0
        rate.take(0.0)
    assert rate.delay_s(0.0) == 0.0
    assert not rate.is_reduced(0.0)


@pytest.mark.parametrize("per_s", [0.01, 1.0, 50.0, 3_500.0])
def test_a_bucket_gives_its_burst_and_then_its_rate(per_s: float) -> None:
    """However long it had nothing to do."""
    rate = CubicRateLimit(per_s, 0.0)
    rate.take(0.0)
    now_s, gone = 1_000_000.0, 0
    while not rate.delay_s(now_s):
        rate.take(now_s)
        gone += 1
    burst = max(MIN_BURST, per_s * BURST_S)
    assert burst - 1 <= gone <= burst + 1
    assert 0 < rate.delay_s(now_s) <= 1 / per_s
    before_s = now_s
    for _ in range(10):
        now_s += rate.delay_s(now_s)
        rate.take(now_s)
    assert now_s - before_s == pytest.approx(10 / per_s, rel=0.2)


@pytest.mark.parametrize("per_s", [10.0, 100.0, 1_000.0])
def test_a_refusal_takes_the_rate_below_what_was_sent_of_late(per_s: float) -> None:
    """Not below what the setting allows, which may be far more."""
    rate = CubicRateLimit(100_000.0, 0.0)
    now_s = steady_and_refused_once(rate, per_s, max(10.0, 300 / per_s))
    assert refuse(rate, now_s)
    assert rate.rate_per_s(now_s + ANSWER_S) == pytest.approx(DECREASE_FACTOR * per_s, rel=0.05)
    assert rate.is_reduced(now_s + ANSWER_S)


def test_where_little_is_accepted_the_rate_falls_to_that() -> None:
    """At once, however much was sent: the retries of a burst are not what the store bears."""
    rate = CubicRateLimit(100_000.0, 0.0)
    for number in range(10_000):
        now_s = number / 1_000
        rate.take(now_s)
        if not number % 20:
            rate.on_success(now_s)
    refuse(rate, now_s)
    assert refuse(rate, now_s)
    assert rate.rate_per_s(now_s + ANSWER_S) == pytest.approx(DECREASE_FACTOR * 50, rel=0.05)


def test_one_refusal_among_very_many_is_forgiven() -> None:
    """S3 has such now and then; where the rate is too high, the next comes at once, and counts."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = steady(rate, 100.0, 0.0, 10.0)
    for _ in range(20):
        assert not refuse(rate, now_s)
        assert not rate.is_reduced(now_s + ANSWER_S)
        now_s = steady(rate, 100.0, now_s, FORGIVE_AFTER_SUCCESSES / 100)
    refuse(rate, now_s)
    now_s = steady(rate, 100.0, now_s, (FORGIVE_AFTER_SUCCESSES - 1) / 100)
    assert refuse(rate, now_s)


def test_what_was_learnt_in_a_first_second_is_soon_put_to_the_test() -> None:
    """A handful of requests, of which the last was refused: more are tried a few seconds later."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = steady(rate, 15.0, 0.0, 1.0)
    assert refuse(rate, now_s)
    assert rate.rate_per_s(now_s + 5.0) > 15.0
    for _ in range(12):
        now_s = steady(rate, 15.0, now_s, 5.0)
        refuse(rate, now_s)
    assert refuse(rate, now_s + 2 * THROTTLE_WINDOW_S) or refuse(
        rate, now_s + 2 * THROTTLE_WINDOW_S
    )
    assert rate.rate_per_s(now_s + 10.0) < 15.0


def test_those_in_flight_at_a_refusal_that_counted_do_not_count() -> None:
    """Sixteen at once are refused: it is one refusal."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = steady_and_refused_once(rate, 100.0)
    for _ in range(16):
        rate.take(now_s)
    counted = [rate.on_throttle(now_s, now_s + ANSWER_S + number / 10) for number in range(16)]
    assert counted == [True] + 15 * [False]


def test_within_a_second_one_refusal_counts() -> None:
    """S3 counts by the second: the rest of it says nothing more."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = steady_and_refused_once(rate, 100.0)
    assert refuse(rate, now_s)
    assert not refuse(rate, now_s + THROTTLE_WINDOW_S - ANSWER_S)
    rate.on_success(now_s + THROTTLE_WINDOW_S)
    assert refuse(rate, now_s + THROTTLE_WINDOW_S + 3 * ANSWER_S)


@pytest.mark.parametrize("per_s", [0.1, 1.0, 50.0, 2_000.0])
def test_the_rate_comes_back_to_where_it_was_refused_and_goes_beyond(per_s: float) -> None:
    """Quickly at first, slowly near that rate, and then up to what the setting allows."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = steady(rate, per_s, 0.0, 200 / per_s)
    while rate.rate_per_s(now_s) > 0.8 * per_s:
        refuse(rate, now_s)
        rate.on_success(now_s + THROTTLE_WINDOW_S)
        now_s += 2 * THROTTLE_WINDOW_S
    times_s = [1.002**step for step in range(6_000)]
    rates = [rate.rate_per_s(now_s + wait_s) for wait_s in times_s]
    assert rates == sorted(rates)
    assert next(s for s, each in zip(times_s, rates, strict=True) if each >= per_s) <= 1_000
    assert rates[-1] == 3_500.0
    assert rate.is_pristine(now_s + times_s[-1])


def test_a_faster_prefix_comes_back_in_less_time_and_with_more_requests() -> None:
    """Less time, for it learns faster; more requests, or the slow would never catch up."""
    times_s, requests = [], []
    for per_s in (10.0, 50.0, 250.0):
        rate = CubicRateLimit(3_500.0, 0.0)
        now_s = steady_and_refused_once(rate, per_s, 50.0)
        for _ in range(10):  # it is known well by then
            refuse(rate, now_s)
            rate.on_success(now_s)
            now_s = steady(rate, per_s, now_s + THROTTLE_WINDOW_S, 0.5)
        now_s = steady(rate, per_s, now_s, 50.0)
        refuse(rate, now_s)
        refuse(rate, now_s)
        refused_s, refused_per_s = now_s, rate.rate_per_s(now_s + ANSWER_S) / DECREASE_FACTOR
        while rate.rate_per_s(now_s) < refused_per_s:
            now_s += 0.01
        times_s.append(now_s - refused_s)
        requests.append(times_s[-1] * refused_per_s)
    assert times_s == sorted(times_s, reverse=True)
    assert requests == sorted(requests)


def test_a_503_out_of_the_blue_does_not_hold_up_a_quiet_prefix() -> None:
    """Ten objects an hour: the one that is refused goes again at once, and so does the next."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = steady(rate, 10 / 3_600, 0.0, 36_000.0)
    refuse(rate, now_s)
    assert rate.delay_s(now_s + 0.05) == 0.0
    rate.take(now_s + 0.05)
    rate.on_success(now_s + 0.07)
    assert rate.rate_per_s(now_s + 0.07) >= DECREASE_FACTOR * FIRST_FLOOR_PER_S
    assert rate.delay_s(now_s + 2.0) == 0.0


def test_refusals_that_go_on_slow_it_down_further_and_not_without_end() -> None:
    """Each leaves at least half of what the one before it has left."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s, left_per_s = 0.0, 3_500.0
    for _ in range(60):
        now_s += 2 * THROTTLE_WINDOW_S
        rate.on_success(now_s)
        refuse(rate, now_s + THROTTLE_WINDOW_S)
        before, left_per_s = left_per_s, rate.rate_per_s(now_s + THROTTLE_WINDOW_S + ANSWER_S)
        assert left_per_s >= min(FIRST_FLOOR_PER_S, before / 2) * 0.99
    assert left_per_s >= MIN_PER_S * 0.99


def test_a_store_that_was_away_finds_the_rate_as_it_was() -> None:
    """A minute of nothing but 503 says nothing about the rate, once something is accepted."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = steady(rate, 100.0, 0.0, 10.0)
    rate.on_throttle(now_s, now_s)
    slowest_per_s = rate.rate_per_s(now_s)
    while now_s < 300.0:
        now_s += max(rate.delay_s(now_s), 1.5)
        refuse(rate, now_s)
        slowest_per_s = min(slowest_per_s, rate.rate_per_s(now_s + ANSWER_S))
    assert rate.down_s(now_s) == now_s - 10.0
    assert slowest_per_s <= rate.rate_per_s(now_s + ANSWER_S) < 10
    rate.take(now_s + 1.0)
    rate.take(now_s + 1.0)
    assert rate.delay_s(now_s + 1.0) > 0.0
    rate.on_success(now_s + 1.0)
    assert rate.down_s(now_s + 1.0) == 0.0
    assert rate.rate_per_s(now_s + 1.0) >= DECREASE_FACTOR * 100.0
    assert rate.delay_s(now_s + 1.0) == 0.0


def test_while_it_is_away_it_is_asked_often_enough() -> None:
    """However many requests it refuses, the next one is half a minute away at most."""
    rate = CubicRateLimit(3_500.0, 0.0)
    now_s = 0.0
    for _ in range(200):
        now_s += max(rate.delay_s(now_s), 0.5)
        refuse(rate, now_s)
        assert rate.delay_s(now_s) <= 2.0**DOWN_AFTER_THROTTLES


def test_what_the_store_asks_for_is_waited_for_within_reason() -> None:
    """By all requests to the prefix, and not for an hour."""
    rate = CubicRateLimit(3_500.0, 0.0)
    rate.take(0.0)
    rate.on_throttle(0.0, 1.0, 7.0)
    assert rate.delay_s(1.0) == pytest.approx(7.0)
    rate.on_throttle(0.0, 1.0, 3_600.0)
    assert rate.delay_s(1.0) == pytest.approx(MAX_RETRY_AFTER_S)
