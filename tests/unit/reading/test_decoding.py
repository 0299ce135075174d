"""Stream: bodies are decoded, and text is split into lines."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import pytest

from batcher.errors import DamagedError
from batcher.reading.stream import decode_body, split_into_lines

T = TypeVar("T")


async def yield_all(items: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield these, as a store yields pieces."""
    for item in items:
        yield item


async def collect(items: AsyncIterator[T], found: list[T]) -> None:
    """Add the items to `found`, up to an error."""
    async for item in items:
        found.append(item)  # noqa: PERF401  # what came before the error stays


async def test_pieces_are_decoded_by_suffix() -> None:
    """The suffix alone or the whole key selects the decoder."""
    body = gzip.compress(b"a\n", mtime=0) + gzip.compress(b"b\n", mtime=0)
    for suffix in (".gz", "x/y.ndjson.gz"):
        pieces = yield_all([body[:7], body[7:]])
        assert b"".join([block async for block in decode_body(pieces, suffix)]) == b"a\nb\n"
    assert [block async for block in decode_body(yield_all([b"a", b"b"]), ".txt")] == [b"a", b"b"]


async def test_text_before_the_damage_is_yielded_first() -> None:
    """Then the error is raised."""
    body = gzip.compress(b"a\n", mtime=0) + gzip.compress(b"b\n", mtime=0)[:-1]
    found: list[bytes] = []
    with pytest.raises(DamagedError, match="ends within member 2"):
        await collect(decode_body(yield_all([body]), ".gz"), found)
    assert found == [b"a\n", b"b\n"]


async def test_text_becomes_lists_of_complete_lines() -> None:
    """No list is empty."""
    texts = yield_all([b"a\nb", b"c", b"\n\nd\n"])
    assert [found async for found in split_into_lines(texts, 10)] == [[b"a"], [b"bc", b"", b"d"]]


@pytest.mark.parametrize("blocks", [[b"a\nlong\nb\n"], [b"a\nlo", b"ng\nb\n"], [b"a\nlong"]])
async def test_a_line_that_is_too_long_is_an_error_after_the_lines_before_it(
    blocks: list[bytes],
) -> None:
    """In one block or across several."""
    found: list[list[bytes]] = []
    with pytest.raises(DamagedError, match="line 2 is longer than 3 bytes"):
        await collect(split_into_lines(yield_all(blocks), 3), found)
    assert found == [[b"a"]]
    assert [some async for some in split_into_lines(yield_all([b"abc\n"]), 3)] == [[b"abc"]]


async def test_text_that_ends_within_a_line_is_damaged() -> None:
    """All lines before it are yielded."""
    found: list[list[bytes]] = []
    with pytest.raises(DamagedError, match="ends within line 3"):
        await collect(split_into_lines(yield_all([b"a\nb\nc"]), 10), found)
    assert found == [[b"a", b"b"]]
