"""Identities: each record has a position of its own, and only true duplicates are left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from itertools import permutations
from typing import Any

from batcher.records.chunk import Chunk
from batcher.sources.identities import separate_records
from support.examples import QUEUE, SHARD, make_chunk


def chunk_of(*records: tuple[str, str], origin: Any = SHARD) -> Chunk:  # noqa: ANN401  # an Origin
    """Create a chunk of records that are identity and content."""
    return make_chunk(
        *(content for _, content in records),
        origin=origin,
        positions=[identity for identity, _ in records],
        envelopes=[{"content": content} for _, content in records],
    )


get_content: Callable[[Mapping[str, Any]], Hashable] = lambda envelope: envelope["content"]  # noqa: E731


def separated(chunk: Chunk) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the content of each position, in order, and the identities."""
    found, identities = separate_records(chunk, get_content)
    assert [e["content"] for e in found.envelopes or ()] == list(found.payloads)
    return dict(zip(found.positions, found.payloads, strict=True)), identities


def test_a_chunk_of_different_records_is_left_as_it_is() -> None:
    """The very same one, and no content is looked at."""
    chunk = make_chunk(b"1", b"2")

    def fail(envelope: Mapping[str, Any]) -> Hashable:
        raise AssertionError(envelope)

    assert separate_records(chunk, fail) == (chunk, {})
    assert separate_records(chunk, fail)[0] is chunk


def test_records_of_one_identity_get_an_index_in_the_order_of_a_stream() -> None:
    """The first has none. Records with the same content count once."""
    chunk = chunk_of(("5", "b"), ("7", "x"), ("5", "a"), ("5", "b"), ("7", "x"), ("5", "c"))
    assert separated(chunk) == (
        {"5": "b", "7": "x", "5/1": "a", "5/2": "c"},
        {"5/1": "5", "5/2": "5"},
    )


def test_equal_content_of_two_identities_is_two_records() -> None:
    """Only records of one identity are compared."""
    assert separated(chunk_of(("5", "a"), ("6", "a"), ("6", "a"))) == ({"5": "a", "6": "a"}, {})


def test_the_records_of_a_queue_have_the_same_positions_in_any_order() -> None:
    """A queue has no order, so the content decides which is the first."""
    records = [("m", "b"), ("m", "a"), ("n", "x"), ("m", "c"), ("m", "a")]
    expected = {"m": "a", "m/1": "b", "m/2": "c", "n": "x"}
    for order in permutations(records):
        found, identities = separated(chunk_of(*order, origin=QUEUE))
        assert found == expected
        assert identities == {"m/1": "m", "m/2": "m"}
        assert list(found.values()) == list(dict.fromkeys(content for _, content in order))


def test_an_identity_that_looks_like_an_index_keeps_its_position() -> None:
    """No two records have one position, because the ledger could not tell them apart."""
    chunk = chunk_of(("5", "a"), ("5/1", "x"), ("5", "b"), ("5", "c"), ("5/1", "y"))
    assert separated(chunk) == (
        {"5": "a", "5/1": "x", "5/2": "b", "5/3": "c", "5/1/1": "y"},
        {"5/2": "5", "5/3": "5", "5/1/1": "5/1"},
    )
