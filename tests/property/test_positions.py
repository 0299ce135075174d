"""Positions lists hold any integers exactly, and a damaged one is not taken for a good one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.encoding.codec import encode_text
from batcher.encoding.decoder import Decoder
from batcher.encoding.positions_field import add_positions, find_positions, positions_range
from batcher.records.position import full_positions
from batcher.records.positions import PositionsError, decode_positions, encode_positions

any_numbers = st.lists(
    st.integers() | st.integers(-(10**90), 10**90), min_size=1, max_size=40, unique=True
).map(lambda numbers: [str(number) for number in sorted(numbers)])
"""Increasing integers, some of them far apart."""

indexed = st.lists(
    st.tuples(st.integers(0, 10**60), st.integers(0, 3) | st.integers(0, 10**5)),
    min_size=1,
    max_size=40,
    unique=True,
).map(lambda pairs: [f"{n}/{index}" if index else str(n) for n, index in sorted(pairs)])
"""Records of which several have one sequence number."""

with_fingerprints = (any_numbers | indexed).flatmap(
    lambda positions: st.lists(
        st.integers(0, 2**32 - 1), min_size=len(positions), max_size=len(positions)
    ).map(lambda values: full_positions(positions, [f"{value:08x}" for value in values]))
)
"""Records of a source whose numbers are not unique."""

any_positions = any_numbers | indexed | with_fingerprints


def encoded(positions: list[str]) -> bytes:
    """Return the list, which must exist."""
    found = encode_positions(positions)
    assert found is not None
    return found


@given(any_positions)
def test_what_is_read_is_what_was_written(positions: list[str]) -> None:
    """For integers of any size and sign."""
    assert decode_positions(encoded(positions)) == positions


@given(any_positions, st.data())
def test_a_damaged_list_cannot_be_read(positions: list[str], data: st.DataObject) -> None:
    """Whatever is changed, cut or added: an error of ours, never other positions."""
    found = bytearray(encoded(positions))
    at = data.draw(st.integers(0, len(found) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "add"]))
    if change == "flip":
        found[at] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del found[at:]
    else:
        found += b"\0"
    with suppress(PositionsError):
        assert decode_positions(bytes(found)) == positions  # a bit that means nothing


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(code: bytes) -> None:
    """Nothing but our own error."""
    with suppress(PositionsError):
        decode_positions(code)


@given(
    st.lists(
        st.sampled_from(
            [
                "007",
                "7",
                " 7",
                "+7",
                "1_0",
                "\u0667",
                "",
                "x",
                "0",
                "7/0",
                "7/01",
                "7\n8",
                "-0",
                "-7",
                "12",
            ]
        ),
        max_size=5,
    )
)
def test_only_what_is_read_back_alike_is_listed(positions: list[str]) -> None:
    """Text that `int` takes is not enough, nor are integers in another order, or the same twice."""
    found = encode_positions(positions)
    numbers = [int(p) for p in positions if p in {"0", "7", "12", "-7"}]
    is_listable = (
        bool(positions) and len(numbers) == len(positions) and numbers == sorted(set(numbers))
    )
    assert (found is not None) == is_listable
    assert found is None or decode_positions(found) == positions


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@given(text=st.binary(max_size=100), positions_list=st.binary(max_size=70_000))
def test_a_body_holds_a_list_and_the_same_text(
    compression: str, text: bytes, positions_list: bytes
) -> None:
    """The list is found in the range that is read for it, unless there is no place."""
    text += b"\n"
    body, _ = encode_text(text, compression, 1)
    with_list = add_positions(body, compression, positions_list)
    if compression == "none" or (compression == "gzip" and len(positions_list) > 65_531):
        assert with_list is None
        return
    assert with_list is not None
    decoder = Decoder(".gz" if compression == "gzip" else ".zst")
    assert b"".join(decoder.feed(with_list)) == text
    decoder.finish()
    assert read_list(with_list, compression) == positions_list
    assert read_list(body, compression) is None


def read_list(body: bytes, compression: str) -> bytes | None:
    """Find the list as a reader of ranges does."""
    wanted = positions_range(compression, len(body))
    assert wanted is not None
    found = find_positions(compression, body[slice(*wanted)])
    if isinstance(found, int):
        found = find_positions(compression, body[-found:])
    assert not isinstance(found, int)
    return found


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@given(body=st.binary(max_size=60))
def test_any_body_is_searched(compression: str, body: bytes) -> None:
    """Of whatever length and content."""
    wanted = positions_range(compression, len(body))
    assert wanted is not None
    assert find_positions(compression, body[slice(*wanted)]) is None
