"""Encoding: records to text, text to members, members to the body."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from typing import Any

import pytest

from batcher.encoding.codec import MEMBER_BYTES, Checksum, Codec, MemberSplitter, crc32
from batcher.encoding.text import encode_payloads, iter_text, join_lines
from support.examples import make_chunk, make_chunk_of_text

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd

TEXT = b'{"n":1}\n' * 1000


def encode(compression: str, level: int, text: bytes = TEXT) -> bytes:
    """Encode one member."""
    ((body, _, _),) = Codec(compression, level).encode([[memoryview(text)]])
    return body


def test_payloads_become_newline_terminated_text() -> None:
    """Text and bytes alike."""
    assert join_lines(make_chunk(b"a", b"b")) == [b"a\nb\n"]
    assert join_lines(make_chunk("a", "\u00e9")) == [b"a\n\xc3\xa9\n"]
    assert join_lines(make_chunk()) == []


def test_text_that_somebody_has_already_is_not_joined_again() -> None:
    """It is the very same object."""
    text = b"a\nb\n"
    assert join_lines(make_chunk_of_text(text))[0] is text


def test_long_text_comes_in_pieces() -> None:
    """Each of about 1 MiB, with all records in order."""
    payloads = [bytes([65 + i]) * 400_000 for i in range(8)]
    pieces = join_lines(make_chunk(*payloads))
    assert len(pieces) > 2
    assert max(map(len, pieces)) < 2 * 1024**2
    assert b"".join(pieces) == b"".join(p + b"\n" for p in payloads)


def test_a_record_larger_than_a_piece_is_a_piece() -> None:
    """Nothing is cut within a record."""
    assert join_lines(make_chunk(b"x" * 3 * 1024**2)) == [b"x" * 3 * 1024**2 + b"\n"]


@pytest.mark.parametrize("used_bytes", [0, 1, MEMBER_BYTES - 1, MEMBER_BYTES, 3 * MEMBER_BYTES + 7])
@pytest.mark.parametrize("letter", ["x", "\u00e9", b"x", b"\xff"])
@pytest.mark.parametrize(
    "sizes",
    [
        [0],
        [0, 0, 0],
        [1],
        [1_000] * 1_100,
        [MEMBER_BYTES - 1],
        [MEMBER_BYTES - 1, 0, MEMBER_BYTES, 5],
        [3 * MEMBER_BYTES + 1, 2, 7 * MEMBER_BYTES],
    ],
)
def test_the_text_of_a_chunk_comes_in_pieces_that_end_where_members_do(
    sizes: list[int], letter: str | bytes, used_bytes: int
) -> None:
    """Whatever stands before it in its body, and however long its records are."""
    width = len(_encoded(letter))
    payloads: list[Any] = [letter * (size // width) for size in sizes]
    size_bytes, pieces = iter_text(make_chunk(*payloads), used_bytes)
    texts = [bytes(piece) for piece in pieces]
    assert b"".join(texts) == b"".join(_encoded(payload) + b"\n" for payload in payloads)
    assert size_bytes == sum(map(len, texts))
    end = used_bytes
    for text in texts[:-1]:
        end += len(text)
        assert text
        assert end % MEMBER_BYTES == 0
    assert 0 < len(texts[-1]) <= MEMBER_BYTES


def test_the_text_of_a_chunk_is_made_as_it_is_taken() -> None:
    """Only then is it joined and compressed while warm, and not held twice."""
    tracemalloc.start()
    payloads = ["x" * 1_000] * 8_000
    chunk = make_chunk(*payloads)
    before, _ = tracemalloc.get_traced_memory()
    _, pieces = iter_text(chunk, 0)
    for _ in pieces:
        assert tracemalloc.get_traced_memory()[0] - before < 5 * MEMBER_BYTES
    tracemalloc.stop()


def _encoded(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def test_payloads_of_str_are_encoded() -> None:
    """Bytes stay the same objects."""
    assert encode_payloads(["a", "\u00e9"]) == [b"a", b"\xc3\xa9"]
    assert encode_payloads([b"a"]) == [b"a"]
    assert encode_payloads([]) == []


def test_members_are_cut_by_size_alone() -> None:
    """Full ones leave as they fill; what is left waits."""
    members = MemberSplitter()
    assert members.feed(b"a" * (MEMBER_BYTES - 1)) == []
    assert members.buffered_bytes == MEMBER_BYTES - 1
    full = members.feed(b"b" * (2 * MEMBER_BYTES))
    assert [sum(map(len, m)) for m in full] == [MEMBER_BYTES, MEMBER_BYTES]
    assert members.buffered_bytes == MEMBER_BYTES - 1
    assert sum(map(len, members.finish())) == MEMBER_BYTES - 1
    assert members.buffered_bytes == 0
    assert members.finish() == []


def test_text_of_exactly_one_member_leaves_no_rest() -> None:
    """No empty member is ever written."""
    members = MemberSplitter()
    assert len(members.feed(b"a" * MEMBER_BYTES)) == 1
    assert members.finish() == []


@pytest.mark.parametrize("level", [0, 1, 2, 3, 4, 6, 9])
def test_gzip_at_every_level_reads_back(level: int) -> None:
    """Levels to 3 are ISA-L's, those above zlib's."""
    assert gzip.decompress(encode("gzip", level)) == TEXT


@pytest.mark.parametrize("level", [1, 6])
def test_gzip_holds_no_time(level: int) -> None:
    """The same records give the same bytes, whenever."""
    body = encode("gzip", level)
    assert body[:4] == b"\x1f\x8b\x08\x00"
    assert body[4:8] == b"\x00\x00\x00\x00"


@pytest.mark.parametrize("level", [-7, 1, 19])
def test_zstd_reads_back(level: int) -> None:
    """A frame that stands alone."""
    assert zstd.decompress(encode("zstd", level)) == TEXT


def test_no_compression_is_the_text_itself() -> None:
    """Bytes for bytes."""
    assert encode("none", 0) == TEXT


def test_members_read_back_as_one_text() -> None:
    """Readers of gzip and zstd take a row of members for one file."""
    for compression, decompress in (("gzip", gzip.decompress), ("zstd", zstd.decompress)):
        codec = Codec(compression, 1)
        body = b"".join(b for b, _, _ in codec.encode([[memoryview(t)] for t in (TEXT, b"x\n")]))
        assert decompress(body) == TEXT + b"x\n"


def test_the_checksum_of_members_is_that_of_the_text() -> None:
    """CRC-32 and length, as zlib has them."""
    checksum = Checksum()
    assert (checksum.crc32, checksum.size_bytes) == (0, 0)
    for pieces in ([memoryview(b"ab"), memoryview(b"c")], [memoryview(b"def")]):
        ((_, crc, size_bytes),) = Codec("gzip", 1).encode([pieces])
        checksum.add(crc, size_bytes)
    assert (checksum.crc32, checksum.size_bytes) == (zlib.crc32(b"abcdef"), 6)
    assert crc32(b"abcdef") == zlib.crc32(b"abcdef")
