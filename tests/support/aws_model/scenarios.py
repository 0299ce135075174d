"""Strategies and settings of the model tests, and a check that a run has reached its cases."""

from __future__ import annotations

import math
import os
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from support.aws_model.s3 import RequestOutcome
from support.aws_model.sandbox import InvocationFaults

REQUEST_OUTCOMES = (
    [RequestOutcome.ACTS] * 5
    + list(RequestOutcome)[1:]
    + [RequestOutcome.ANSWER_LOST, RequestOutcome.LATE]
)
KILLS = [None] * 10 + list(range(20)) + [25, 30]
"""Steps after which a process is killed. Writing an object takes about 15 steps."""
LEFT_MS = [60_000, None, 8_000, 1_900]
"""The last is less than `deadline_margin_s`."""
MIN_REACHED = 5
"""A run must reach each case at least this often."""
FEW_SCENARIOS = 30
"""Enough for `make test`; the slow tests run each state machine hundreds of times."""
MAX_DRAWN = 2**24
"""For larger ranges, Hypothesis prefers small numbers."""

MULTIPLE = float(os.environ.get("BATCHER_MODEL_EXAMPLES", "1"))
"""Multiple of the scenarios to try. Other values than 1 also make them random.

Read at import, because fixtures remove `BATCHER_*` variables before tests.
"""
TIMEOUT_S = 300 * max(1.0, MULTIPLE)
"""Timeout of one test on a busy machine."""


def digits(*bases: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw a number from 0 to base - 1 for each base, in a single draw, because draws are slow."""
    assert math.prod(bases) <= MAX_DRAWN

    def split(drawn: int) -> tuple[int, ...]:
        numbers = []
        for base in bases:
            drawn, digit = divmod(drawn, base)
            numbers.append(digit)
        return tuple(numbers)

    return st.integers(0, math.prod(bases) - 1).map(split)


def _invocation_faults(drawn: tuple[int, ...]) -> InvocationFaults:
    left, kill, *outcomes = drawn
    return InvocationFaults(
        [REQUEST_OUTCOMES[outcome] for outcome in outcomes], KILLS[kill], LEFT_MS[left]
    )


INVOCATION_FAULTS = digits(len(LEFT_MS), len(KILLS), *[len(REQUEST_OUTCOMES)] * 4).map(
    _invocation_faults
)
"""Small numbers mean no faults, which is what examples shrink to."""


def profile(examples: int, steps: int = 50) -> settings:
    """Return the settings for this many scenarios, reproducible unless `MULTIPLE` is set."""
    return settings(
        max_examples=max(1, round(examples * MULTIPLE)),
        stateful_step_count=steps,
        derandomize=MULTIPLE == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def assert_reached(reached: Counter[str], *cases: str) -> None:
    """Check that each case was reached often enough. Otherwise the test proves nothing."""
    missed = [case for case in cases if reached[case] < MIN_REACHED * min(1, MULTIPLE)]
    assert not missed, f"not reached often enough: {missed} in {sorted(reached.items())}"
