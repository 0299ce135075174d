"""Decode: pieces of a body to blocks, and blocks to lines."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import pytest

from batcher.errors import DamagedError
from batcher.reading.stream import decode_body, split_into_lines

T = TypeVar("T")


async def given(items: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Return these, as a store gives pieces."""
    for item in items:
        yield item


async def collect(items: AsyncIterator[T], found: list[T]) -> None:
    """Add to `found` what comes, up to an error."""
    async for item in items:
        found.append(item)  # noqa: PERF401  # what came before the error stays


async def test_pieces_become_text() -> None:
    """By the suffix, or the whole name."""
    body = gzip.compress(b"a\n", mtime=0) + gzip.compress(b"b\n", mtime=0)
    for suffix in (".gz", "x/y.ndjson.gz"):
        pieces = given([body[:7], body[7:]])
        assert b"".join([block async for block in decode_body(pieces, suffix)]) == b"a\nb\n"
    assert [block async for block in decode_body(given([b"a", b"b"]), ".txt")] == [b"a", b"b"]


async def test_what_came_before_the_damage_is_given_first() -> None:
    """Then it is told."""
    body = gzip.compress(b"a\n", mtime=0) + gzip.compress(b"b\n", mtime=0)[:-1]
    found: list[bytes] = []
    with pytest.raises(DamagedError, match="ends within member 2"):
        await collect(decode_body(given([body]), ".gz"), found)
    assert found == [b"a\n", b"b\n"]


async def test_text_becomes_lists_of_complete_lines() -> None:
    """None of them empty."""
    texts = given([b"a\nb", b"c", b"\n\nd\n"])
    assert [found async for found in split_into_lines(texts, 10)] == [[b"a"], [b"bc", b"", b"d"]]


@pytest.mark.parametrize("blocks", [[b"a\nlong\nb\n"], [b"a\nlo", b"ng\nb\n"], [b"a\nlong"]])
async def test_a_line_that_is_too_long_ends_it_after_those_before(blocks: list[bytes]) -> None:
    """Whether it is seen in one block or in several."""
    found: list[list[bytes]] = []
    with pytest.raises(DamagedError, match="line 2 is longer than 3 bytes"):
        await collect(split_into_lines(given(blocks), 3), found)
    assert found == [[b"a"]]
    assert [some async for some in split_into_lines(given([b"abc\n"]), 3)] == [[b"abc"]]


async def test_text_that_ends_within_a_line_is_damaged() -> None:
    """All lines before it have been given."""
    found: list[list[bytes]] = []
    with pytest.raises(DamagedError, match="ends within line 3"):
        await collect(split_into_lines(given([b"a\nb\nc"]), 10), found)
    assert found == [[b"a", b"b"]]
