"""Position: identities with and without an index, and with a fingerprint."""

from __future__ import annotations

import zlib

import pytest

from batcher.records.position import (
    fingerprint_of,
    full_positions,
    indexed_position,
    make_fingerprints,
    sequence_number,
    split_positions,
)
from batcher.records.positions import encode_positions


def test_the_sequence_number_of_a_position_has_no_index() -> None:
    """Whatever the index is."""
    assert indexed_position("100", 1) == "100/1"
    for index in (1, 9, 10, 4_000):
        assert sequence_number(indexed_position("100", index)) == "100"


@pytest.mark.parametrize("position", ["100", "", "/", "100/", "/1", "a/1", "100/a", "100/1/2"])
def test_all_other_positions_stay_as_they_are(position: str) -> None:
    """AWS has no such sequence numbers, so nothing is guessed about them."""
    assert sequence_number(position) == position


def test_a_fingerprint_is_the_crc_of_the_text() -> None:
    """Of any text, in 8 hex digits."""
    texts = ["", "a", "00000000000000000000000000000001", "\u00fc", "\ud800"]
    expected = [f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}" for text in texts]
    assert make_fingerprints(texts) == expected
    assert make_fingerprints([]) == []


def test_counters_have_different_fingerprints() -> None:
    """Identities may differ in one digit alone."""
    texts = [f"{number:032d}" for number in range(20_000)]
    assert len(set(make_fingerprints(texts))) == len(texts)


def test_a_full_position_has_position_and_fingerprint() -> None:
    """And is taken apart again."""
    positions, fingerprints = ["100", "100/1", "9"], make_fingerprints(["a", "b", "c"])
    full = full_positions(positions, fingerprints)
    assert list(map(fingerprint_of, full)) == fingerprints
    assert list(map(sequence_number, full)) == ["100", "100", "9"]
    assert split_positions(full) == (positions, fingerprints)
    assert split_positions(positions) == (positions, ())
    assert split_positions([]) == ([], ())


@pytest.mark.parametrize(
    "positions",
    [
        ["1:0123abcd", "2"],
        ["1:0123abcd", "2:0123ABCD"],
        ["1:0123abcd", "2:123"],
        ["1:0123abcd", "2:0123abc "],
        ["1:0123abcd", "2:0123abc", "3:0123abcde"],
        ["1:0123abcd", "2:3:0123abcd"],
        ["1:0123abcd:0123abcd", "22222222"],
        ["1:0123abcd", "2\n:0123abcd"],
        ["1", "2:0123abcd"],
    ],
)
def test_all_positions_have_a_fingerprint_or_none(positions: list[str]) -> None:
    """A list of others does not exist."""
    assert encode_positions(positions) is None


@pytest.mark.parametrize(
    "position", ["", "100", ":0123abcd", "1:0123abcg", "1:123abcd", "10123abcd"]
)
def test_all_other_positions_have_no_fingerprint(position: str) -> None:
    """For example those of a file."""
    assert fingerprint_of(position) == ""
