"""Position: identities with and without an index."""

from __future__ import annotations

import pytest

from batcher.records.position import indexed_position, sequence_number


def test_the_sequence_number_of_a_position_has_no_index() -> None:
    """Whatever the index is."""
    assert indexed_position("100", 1) == "100/1"
    for index in (1, 9, 10, 4_000):
        assert sequence_number(indexed_position("100", index)) == "100"


@pytest.mark.parametrize("position", ["100", "", "/", "100/", "/1", "a/1", "100/a", "100/1/2"])
def test_all_other_positions_stay_as_they_are(position: str) -> None:
    """AWS has no such sequence numbers, so nothing is guessed about them."""
    assert sequence_number(position) == position
