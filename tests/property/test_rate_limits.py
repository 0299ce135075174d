"""Paces, whatever is sent and however it is answered."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batcher.stores.rate_limits.limiter import PrefixLimiters
from batcher.stores.rate_limits.rate import BURST_S, MIN_BURST, MIN_PER_S

ENDINGS = st.sampled_from(["answered", "refused", "failed", "unanswered"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.one_of(st.just(0.0), st.floats(0.0, 0.1), st.floats(0.0, 100.0)),
        ENDINGS,
        st.floats(0.0, 12.0),
    ),
    max_size=150,
)
RATES = st.sampled_from([0.01, 0.5, 3.0, 50.0, 3_500.0])


def play(
    paces: PrefixLimiters, steps: list[tuple[str, float, str, float]], only: str = "ab"
) -> dict[str, list[float]]:
    """Begin a request at each step if it may, and end it in its time; give when each's began."""
    now_s = 0.0
    began: dict[str, list[float]] = {"a": [], "b": []}
    ends: list[tuple[float, int, str, str, float]] = []
    for number, (prefix, gap_s, ending, took_s) in enumerate(steps):
        now_s += gap_s
        if prefix not in only:
            continue
        while ends and ends[0][0] <= now_s:  # time never goes back
            _end(paces, heappop(ends))
        pace = paces.get(prefix, now_s)
        if pace.delay_s(now_s):
            continue
        pace.on_start(now_s)
        began[prefix].append(now_s)
        heappush(ends, (now_s + took_s, number, prefix, ending, now_s))
    while ends:
        _end(paces, heappop(ends))
    return began


def _end(paces: PrefixLimiters, end: tuple[float, int, str, str, float]) -> None:
    now_s, _, prefix, ending, began_s = end
    pace = paces.get(prefix, now_s)
    if ending == "answered":
        pace.on_response(began_s, now_s)
    elif ending == "refused":
        pace.on_throttle(began_s, now_s)
    elif ending == "unanswered":
        pace.on_cancel(began_s, now_s)
    else:
        pace.on_failure()


@given(STEPS, RATES)
def test_no_window_has_more_than_rate_and_burst(
    steps: list[tuple[str, float, str, float]], most_per_s: float
) -> None:
    """Whatever the store answers: `prefix_rate` is never exceeded but by the burst."""
    burst = max(MIN_BURST, most_per_s * BURST_S)
    for times_s in play(PrefixLimiters(most_per_s, 16), steps).values():
        for first in range(len(times_s)):
            for last in range(first, len(times_s)):
                window_s = times_s[last] - times_s[first]
                assert last - first + 1 <= most_per_s * window_s + burst + 1e-6


@given(STEPS, RATES)
def test_a_prefix_goes_as_if_the_other_were_not_there(
    steps: list[tuple[str, float, str, float]], most_per_s: float
) -> None:
    """What happens to one prefix never alters another's pace."""
    both = play(PrefixLimiters(most_per_s, 16), steps)
    for prefix in "ab":
        assert play(PrefixLimiters(most_per_s, 16), steps, prefix)[prefix] == both[prefix]


@given(STEPS, RATES)
def test_the_rate_stays_within_its_bounds_and_comes_back(
    steps: list[tuple[str, float, str, float]], most_per_s: float
) -> None:
    """It never rises at a refusal, never falls without one, and is whole again in the end."""
    paces = PrefixLimiters(most_per_s, 16)
    play(paces, steps)
    ends_s = sum(gap_s for _, gap_s, _, _ in steps) + 12.0
    for pace in (paces.get("a", ends_s), paces.get("b", ends_s)):
        rates = [pace.rate_per_s(ends_s + 1.1**step) for step in range(200)]
        assert all(before <= after for before, after in pairwise(rates))
        assert min(MIN_PER_S, most_per_s) <= rates[0] * (1 + 1e-9)
        assert rates[-1] == most_per_s
        assert pace.delay_s(ends_s) <= 2 / min(MIN_PER_S, most_per_s)
