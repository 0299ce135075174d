"""Backoff: full jitter below a ceiling that doubles, and what a store asked for on top."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.stores.retrying import Backoff

BACKOFF = Backoff(base_s=0.1, cap_s=5.0)


@pytest.mark.parametrize(
    ("attempts", "ceiling_s"),
    [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (8, 5.0), (10_000, 5.0)],
)
def test_the_ceiling_doubles_up_to_its_cap(attempts: int, ceiling_s: float) -> None:
    """The longest wait after so many attempts; the shortest is none."""
    assert BACKOFF.delay_s(attempts, 1.0, None) == pytest.approx(ceiling_s)
    assert BACKOFF.delay_s(attempts, 0.0, None) == 0.0


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1000))
def test_what_the_store_asks_for_is_waited_for_in_full(
    attempts: int, share: float, asked_s: float
) -> None:
    """And never less; the jitter spreads those who were told the same."""
    delay_s = BACKOFF.delay_s(attempts, share, asked_s)
    assert asked_s <= delay_s <= asked_s + BACKOFF.cap_s
