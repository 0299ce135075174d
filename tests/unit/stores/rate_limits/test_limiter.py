"""Pace and Paces: one for each prefix, and not for more than there is room for."""

from __future__ import annotations

from math import inf

import pytest

from batcher.stores.rate_limits.limiter import MAX_PREFIXES, PrefixLimiter, PrefixLimiters


def busy(pace: PrefixLimiter, now_s: float, refusals: int = 20) -> None:
    """Have requests refused, a second apart."""
    for number in range(refusals):
        pace.on_start(now_s + number)
        pace.on_throttle(now_s + number, now_s + number + 0.01)


@pytest.mark.parametrize(
    ("root", "fanout", "key", "prefix"),
    [
        ("events", 16, "events/0110/dt=2026-11-23/hour=07/a.ndjson.gz", "events/0110"),
        ("events", 2, "events/1/dt=2026-11-23/a.ndjson.gz", "events/1"),
        ("a/b", 65_536, f"a/b/{'01' * 8}/a.ndjson.gz", f"a/b/{'01' * 8}"),
        ("", 4, "10/dt=2026-11-23/a.ndjson.gz", "10"),
        ("events", 1, "events/dt=2026-11-23/a.ndjson.gz", "events"),
        ("", 1, "dt=2026-11-23/a.ndjson.gz", ""),
        ("events", 16, "events/_quarantine/sqs/dt=2026-11-23/a.ndjson.gz", "events/_quarantine"),
        ("", 1, "_quarantine/sqs/dt=2026-11-23/a.ndjson.gz", "_quarantine"),
    ],
)
def test_a_key_counts_for_its_salt(root: str, fanout: int, key: str, prefix: str) -> None:
    """Or for the root where there are no salts; quarantine is a prefix of its own."""
    assert PrefixLimiters(3_500, 16, root, fanout).get_prefix(key) == prefix


def test_a_busy_prefix_leaves_the_others_as_they_are() -> None:
    """To the last bit."""
    paces = PrefixLimiters(3_500, 16, "events", 16)
    one, other = paces.get("events/0000", 0.0), paces.get("events/0001", 0.0)
    other.on_start(0.0)
    other.on_response(0.0, 0.05)
    busy(one, 1.0)
    alone = PrefixLimiter(3_500, 16, 0.0)
    alone.on_start(0.0)
    alone.on_response(0.0, 0.05)
    assert one.is_reduced(30.0)
    assert [other.rate_per_s(s) for s in range(40)] == [alone.rate_per_s(s) for s in range(40)]
    assert other.delay_s(1.0) == alone.delay_s(1.0) == 0.0


def test_a_prefix_is_full_when_too_many_are_in_flight() -> None:
    """When the next one may begin, only an answer tells."""
    pace = PrefixLimiter(3_500, 2, 0.0)
    pace.on_start(0.0)
    pace.on_start(0.0)
    assert pace.delay_s(0.0) == inf
    pace.on_failure()
    assert pace.delay_s(0.0) == 0.0


@pytest.mark.parametrize("ending", ["answered", "untimed", "refused", "unanswered", "failed"])
def test_whatever_ends_a_request_its_place_is_free_again(ending: str) -> None:
    """And nothing is in flight."""
    pace = PrefixLimiter(3_500, 1, 0.0)
    for number in range(100):
        now_s = number * 10.0
        pace.on_start(now_s)
        match ending:
            case "answered":
                pace.on_response(now_s, now_s + 0.1)
            case "untimed":
                pace.on_response(now_s, now_s + 100.0, timed=False)
            case "refused":
                pace.on_throttle(now_s, now_s + 0.1)
            case "unanswered":
                pace.on_cancel(now_s, now_s + 0.1)
            case _:
                pace.on_failure()
    assert pace.is_idle
    assert pace.delay_s(10_000.0) == 0.0


def test_a_request_out_of_turn_counts_and_waits_for_nothing() -> None:
    """The next one waits longer for it."""
    pace = PrefixLimiter(1.0, 16, 0.0)
    for _ in range(10):
        pace.count_unlimited(0.0)
    assert pace.delay_s(0.0) == pytest.approx(9.0, abs=1.1)
    assert pace.is_idle


def test_waiting_is_estimated_from_who_is_before() -> None:
    """At the rate of now."""
    pace = PrefixLimiter(2.0, 16, 0.0)
    pace.on_start(0.0)
    pace.on_start(0.0)
    assert pace.estimate_wait_s(0.0, 0) == pytest.approx(pace.delay_s(0.0))
    assert pace.estimate_wait_s(0.0, 10) == pytest.approx(pace.delay_s(0.0) + 5.0)


def test_refusals_and_waits_are_counted_for_all_prefixes_and_each() -> None:
    """Also of those that are forgotten."""
    paces = PrefixLimiters(3_500, 16, "", 65_536)
    busy(paces.get("a", 0.0), 0.0, 3)
    busy(paces.get("b", 0.0), 0.0, 4)
    paces.get("b", 0.0).total_wait_s += 1.5
    assert {prefix: pace.throttles for prefix, pace in paces.by_prefix().items()} == {
        "a": 3,
        "b": 4,
    }
    for number in range(3 * MAX_PREFIXES):
        paces.get(str(number), 1e9)
    assert "a" not in paces.by_prefix()
    assert paces.throttles == 7
    assert paces.total_wait_s == 1.5


def test_a_pace_for_each_of_65_536_prefixes_needs_no_more_room_than_for_some() -> None:
    """What is as new is forgotten first; what is slow, or in use, is remembered."""
    paces = PrefixLimiters(3_500, 16, "", 65_536)
    slow, used = paces.get("slow", 0.0), paces.get("used", 0.0)
    busy(slow, 0.0)
    used.on_start(25.0)
    for number in range(65_536):
        prefix = format(number, "016b")
        pace = paces.get(prefix, 25.0 + number)
        assert paces.get(prefix, 25.0 + number) is pace
        assert len(paces.by_prefix()) <= MAX_PREFIXES
    assert paces.get("used", 1e5) is used
    assert paces.by_prefix().keys() >= {"used"}


def test_where_all_are_slow_the_oldest_are_forgotten() -> None:
    """There is room for so many."""
    paces = PrefixLimiters(3_500, 16, "", 65_536)
    for number in range(MAX_PREFIXES + 100):
        busy(paces.get(str(number), 0.0), 0.0, 1)
        assert len(paces.by_prefix()) <= MAX_PREFIXES
    assert str(MAX_PREFIXES + 99) in paces.by_prefix()
    assert "0" not in paces.by_prefix()


def test_what_is_slow_is_remembered_while_others_are_as_new() -> None:
    """Forgetting it would let a thousand requests through that are refused."""
    paces = PrefixLimiters(3_500, 16, "", 65_536)
    slow = paces.get("slow", 0.0)
    busy(slow, 0.0)
    for number in range(2 * MAX_PREFIXES):
        paces.get(str(number), 21.0)
    assert paces.get("slow", 21.0) is slow
