"""Body: what is taken off it is gone, and parts are of one size."""

from __future__ import annotations

import pytest

from batcher.writing.encoder import BytesBuffer


def body_of(*pieces: bytes) -> BytesBuffer:
    """Return a body of these pieces."""
    body = BytesBuffer()
    for piece in pieces:
        body.append(piece)
    return body


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a", b"bc"]])
def test_the_rest_is_taken_once(pieces: list[bytes]) -> None:
    """Of one piece as of any other number; all bytes that were in it stay counted."""
    body = body_of(*pieces)
    assert body.take_all() == b"".join(pieces)
    assert (body.size_bytes, body.take_all()) == (0, b"")
    assert body.appended_bytes == sum(map(len, pieces))


def test_the_rest_that_is_one_piece_is_not_copied() -> None:
    """Most objects are one: their bytes are held once."""
    piece = bytes(100_000)
    assert body_of(piece).take_all() is piece


def test_a_whole_body_is_taken_in_parts_of_one_size() -> None:
    """Wherever its pieces end; only the last one may be shorter, and none is empty."""
    body = body_of(b"abc", b"defg", b"h")
    assert list(body.take_parts(3)) == [b"abc", b"def", b"gh"]
    assert body.size_bytes == 0
    assert list(body_of(b"ab", b"cd").take_parts(2)) == [b"ab", b"cd"]
    assert list(body_of().take_parts(2)) == []
