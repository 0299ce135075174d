"""Counts as messages write them."""

from __future__ import annotations

import pytest

from batcher.tools.formatting import format_count


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 records"), (1, "1 record"), (2, "2 records"), (2_000, "2,000 records")],
)
def test_a_noun_is_singular_for_one_alone(count: int, text: str) -> None:
    assert format_count(count, "record") == text


def test_an_irregular_plural_is_passed() -> None:
    assert format_count(1, "query", "queries") == "1 query"
    assert format_count(3, "query", "queries") == "3 queries"
