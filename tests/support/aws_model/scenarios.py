"""How many scenarios a run tries, and whether it has reached what it is there for."""

from __future__ import annotations

import math
import os
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from support.aws_model.s3 import RequestOutcome
from support.aws_model.sandbox import InvocationFaults

FATES = (
    [RequestOutcome.ACTS] * 5
    + list(RequestOutcome)[1:]
    + [RequestOutcome.ANSWER_LOST, RequestOutcome.LATE]
)
KILLS = [None] * 10 + list(range(20)) + [25, 30]
"""The steps after which a process is killed; an object written is some 15 steps."""
LEFT_MS = [60_000, None, 8_000, 1_900]
"""The last is less than `deadline_margin_s`."""
ENOUGH = 5
"""So often at least a run must reach each case."""
FEW_SCENARIOS = 30
"""Enough for `make test`; the slow tests run each state machine hundreds of times."""
MOST_DRAWN = 2**24
"""Above this, Hypothesis prefers small numbers, and so the first of what they stand for."""

MULTIPLE = float(os.environ.get("BATCHER_MODEL_EXAMPLES", "1"))
"""Read at import, for the tests see no such variable: 20 tries 20 times as many, by chance."""
TIMEOUT_S = 300 * max(1.0, MULTIPLE)
"""The most that one test may take, on a machine that is busy with much else."""


def digits(*bases: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw a number for each base, below it: all in one draw, for draws are what takes the time."""
    assert math.prod(bases) <= MOST_DRAWN

    def split(drawn: int) -> tuple[int, ...]:
        found = []
        for base in bases:
            drawn, digit = divmod(drawn, base)
            found.append(digit)
        return tuple(found)

    return st.integers(0, math.prod(bases) - 1).map(split)


def _fortune(drawn: tuple[int, ...]) -> InvocationFaults:
    left, kill, *fates = drawn
    return InvocationFaults([FATES[fate] for fate in fates], KILLS[kill], LEFT_MS[left])


FORTUNES = digits(len(LEFT_MS), len(KILLS), *[len(FATES)] * 4).map(_fortune)
"""Small numbers are good fortune, which is what examples shrink to."""


def profile(examples: int, steps: int = 50) -> settings:
    """Return the settings for so many scenarios: the same each time, unless more are asked for."""
    return settings(
        max_examples=max(1, round(examples * MULTIPLE)),
        stateful_step_count=steps,
        derandomize=MULTIPLE == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def assert_reached(reached: Counter[str], *cases: str) -> None:
    """A check that does not reach its cases proves nothing."""
    missed = [case for case in cases if reached[case] < ENOUGH * min(1, MULTIPLE)]
    assert not missed, f"not reached often enough: {missed} in {sorted(reached.items())}"
