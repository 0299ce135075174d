"""Encoding: records to text, text to blocks, blocks to the body."""

from __future__ import annotations

import ctypes
import functools
import random
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from batcher.encoding.codec import (
    BLOCK_BYTES,
    ZSTD_HEADER_BYTES,
    BlockSplitter,
    Checksum,
    add_text_size,
    crc32,
    encode_text,
    open_body,
)
from batcher.encoding.text import encode_payloads, iter_text, join_lines
from support.examples import make_chunk, make_chunk_of_text

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd

Encode = Callable[[str, int, bytes], bytes]
TEXT = b'{"n":1}\n' * 1000


def encode(compression: str, level: int, text: bytes = TEXT) -> bytes:
    """Encode a whole text."""
    body, checksum = encode_text(text, compression, level)
    assert (checksum.crc32, checksum.size_bytes) == (zlib.crc32(text), len(text))
    return body


def encode_stream(compression: str, level: int, text: bytes) -> bytes:
    """Encode a text whose size is not known at the start."""
    splitter, checksum = BlockSplitter(), Checksum()
    body = open_body(compression, level, None)
    pieces = [body.header]
    for block in [*splitter.feed(text), splitter.finish()]:
        ((piece, block_crc32, size_bytes),) = body.encode([block])
        checksum.add(block_crc32, size_bytes)
        pieces.append(piece)
    return b"".join([*pieces, body.finish(checksum)])


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


@pytest.mark.parametrize("used_bytes", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7])
@pytest.mark.parametrize("letter", ["x", "\u00e9", b"x", b"\xff"])
@pytest.mark.parametrize(
    "sizes",
    [
        [0],
        [0, 0, 0],
        [1],
        [1_000] * 1_100,
        [BLOCK_BYTES - 1],
        [BLOCK_BYTES - 1, 0, BLOCK_BYTES, 5],
        [3 * BLOCK_BYTES + 1, 2, 7 * BLOCK_BYTES],
    ],
)
def test_the_text_of_a_chunk_comes_in_pieces_that_end_where_blocks_do(
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
        assert end % BLOCK_BYTES == 0
    assert 0 < len(texts[-1]) <= BLOCK_BYTES


def test_the_text_of_a_chunk_is_made_as_it_is_taken() -> None:
    """Only then is it joined and compressed while warm, and not held twice."""
    tracemalloc.start()
    payloads = ["x" * 1_000] * 8_000
    chunk = make_chunk(*payloads)
    before, _ = tracemalloc.get_traced_memory()
    _, pieces = iter_text(chunk, 0)
    for _ in pieces:
        assert tracemalloc.get_traced_memory()[0] - before < 5 * BLOCK_BYTES
    tracemalloc.stop()


def _encoded(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def test_payloads_of_str_are_encoded() -> None:
    """Bytes stay the same objects."""
    assert encode_payloads(["a", "\u00e9"]) == [b"a", b"\xc3\xa9"]
    assert encode_payloads([b"a"]) == [b"a"]
    assert encode_payloads([]) == []


def test_blocks_are_cut_by_size_alone() -> None:
    """Full ones leave as they fill; what is left waits."""
    blocks = BlockSplitter()
    assert blocks.feed(b"a" * (BLOCK_BYTES - 1)) == []
    assert blocks.buffered_bytes == BLOCK_BYTES - 1
    full = blocks.feed(b"b" * (2 * BLOCK_BYTES))
    assert [sum(map(len, m)) for m in full] == [BLOCK_BYTES, BLOCK_BYTES]
    assert blocks.buffered_bytes == BLOCK_BYTES - 1
    assert sum(map(len, blocks.finish())) == BLOCK_BYTES - 1
    assert blocks.buffered_bytes == 0
    assert blocks.finish() == []


def test_text_of_exactly_one_block_leaves_no_rest() -> None:
    """No empty block is ever encoded."""
    blocks = BlockSplitter()
    assert len(blocks.feed(b"a" * BLOCK_BYTES)) == 1
    assert blocks.finish() == []


NOISE = random.Random(1).randbytes(BLOCK_BYTES)  # noqa: S311  # no secret
SIZES = [0, 1, 8_000, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 1]
GZIP_LEVELS = range(10)
ZSTD_LEVELS = [-7, -1, 1, 3, 6, 7, 9]


@functools.cache
def text_of(size_bytes: int) -> bytes:
    """Return a text that compresses, with matches over the whole of its length."""
    lines = b"".join(b'{"n":%d,"square":%d}\n' % (n % 30_000, n * n) for n in range(60_000))
    return lines[:size_bytes]


@pytest.mark.parametrize("encoded_by", [encode, encode_stream])
@pytest.mark.parametrize("level", GZIP_LEVELS)
def test_a_gzip_body_is_one_member(level: int, encoded_by: Encode) -> None:
    """A decoder that stops at a member's end has read all of it, and nothing follows."""
    for size_bytes in SIZES:
        text = text_of(size_bytes)
        decoder = zlib.decompressobj(31)
        assert decoder.decompress(encoded_by("gzip", level, text)) == text
        assert decoder.eof
        assert decoder.unused_data == b""


@pytest.mark.parametrize("encoded_by", [encode, encode_stream])
@pytest.mark.parametrize("level", ZSTD_LEVELS)
def test_a_zstd_body_is_one_frame(level: int, encoded_by: Encode) -> None:
    """A decoder that stops at a frame's end has read all of it, and nothing follows."""
    for size_bytes in SIZES:
        text = text_of(size_bytes)
        decoder = zstd.ZstdDecompressor()
        assert decoder.decompress(encoded_by("zstd", level, text)) == text
        assert decoder.eof
        assert decoder.unused_data == b""


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_zstd_frame_names_the_size_of_its_text_if_that_is_known(size_bytes: int) -> None:
    """Some decoders need it to read a frame at once. All have a checksum and a small window."""
    known = zstd.get_frame_info(encode("zstd", 1, text_of(size_bytes)))
    assert known.decompressed_size == size_bytes
    streamed = encode_stream("zstd", 1, text_of(size_bytes))
    assert zstd.get_frame_info(streamed).decompressed_size is None
    named = add_text_size(streamed[:ZSTD_HEADER_BYTES], size_bytes) + streamed[ZSTD_HEADER_BYTES:]
    assert zstd.get_frame_info(named).decompressed_size == size_bytes
    assert zstd.decompress(named) == text_of(size_bytes)
    for header in (named, encode("zstd", 1, text_of(size_bytes))):
        assert add_text_size(header[:ZSTD_HEADER_BYTES], 7) == header[:ZSTD_HEADER_BYTES]


@pytest.mark.parametrize("size_bytes", [2**32 - 1, 2**32, 2**40])
def test_a_frame_names_any_size(size_bytes: int) -> None:
    """Also one that takes eight bytes."""
    streamed = encode_stream("zstd", 1, TEXT)
    named = add_text_size(streamed[:ZSTD_HEADER_BYTES], size_bytes) + streamed[ZSTD_HEADER_BYTES:]
    assert zstd.get_frame_info(named).decompressed_size == size_bytes


@pytest.mark.parametrize("level", [1, 3, 9])
def test_a_damaged_zstd_frame_is_found_by_its_checksum(level: int) -> None:
    """Of text that does not compress, nothing else would show it."""
    body = bytearray(encode("zstd", level, NOISE[:3_000]))
    body[1_000] ^= 1
    with pytest.raises(zstd.ZstdError, match="checksum"):
        zstd.decompress(body)


@pytest.mark.parametrize("level", GZIP_LEVELS)
def test_blocks_of_a_gzip_body_depend_on_their_own_text_alone(level: int) -> None:
    """So that they can be compressed at the same time, in any order."""
    blocks = [[memoryview(text_of(size_bytes))] for size_bytes in (50_000, 80, 50_000, 9)]
    body = open_body("gzip", level, None)
    forwards = body.encode(blocks)
    backwards = [open_body("gzip", level, 5).encode([block])[0] for block in reversed(blocks)]
    assert body.is_parallel
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("level", [1, 6])
def test_gzip_holds_no_time(level: int) -> None:
    """The same records give the same bytes, whenever."""
    assert encode("gzip", level)[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_the_size_in_a_gzip_trailer_is_taken_modulo_4_gib() -> None:
    """Source: RFC 1952, 2.3.1."""
    checksum = Checksum()
    checksum.size_bytes = 2**32 + 5
    assert open_body("gzip", 1, None).finish(checksum)[-4:] == b"\5\0\0\0"


PROCESSES = 4

MANY_STARTS = """
import hashlib
from batcher.encoding.codec import encode_text
texts = [hashlib.sha256(b"%d" % n).digest()[:8] * 40 for n in range(20_000)]
bodies = [encode_text(text, "gzip", level)[0] for level in range(4) for text in texts]
print(hashlib.sha256(b"".join(bodies)).hexdigest())
"""


def test_every_process_compresses_a_text_to_the_same_gzip_bytes() -> None:
    """Texts that start at random and repeat that: ISA-L hashes their first bytes with an address.

    Without `ISAL_HEAD_BYTES` about two texts differ per process at level 1, and one at level 2.
    """

    def digest(_: int) -> bytes:
        command = [sys.executable, "-c", MANY_STARTS]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout  # noqa: S603

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(digest, range(PROCESSES)))) == 1


def test_no_compression_is_the_text_itself() -> None:
    """Bytes for bytes."""
    assert encode("none", 0) == TEXT
    assert encode_stream("none", 0, text_of(2 * BLOCK_BYTES)) == text_of(2 * BLOCK_BYTES)


def test_text_of_another_size_than_was_named_is_an_error() -> None:
    """No such body is ever complete."""
    body = open_body("zstd", 1, 1_000)
    body.encode([[memoryview(TEXT[:999])]])
    with pytest.raises(zstd.ZstdError):
        body.finish(Checksum())


@pytest.mark.parametrize("text_bytes", [None, 3 * BLOCK_BYTES])
@pytest.mark.parametrize("level", [*range(1, 20), -7])
def test_a_zstd_compressor_holds_no_more_than_is_counted(
    level: int, text_bytes: int | None
) -> None:
    """Whether it knows the size of its text or not, up to what an allocation costs besides."""
    before = allocated_bytes()
    body = open_body("zstd", level, text_bytes)
    body.encode([[memoryview(NOISE)]])
    held_bytes = allocated_bytes() - before
    assert body.held_bytes / 6 < held_bytes <= body.held_bytes + 64 * 1024


def allocated_bytes() -> int:
    """Return the bytes that are allocated outside of Python's own allocator."""
    if not hasattr(libc := ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("needs mallinfo2")
    libc.mallinfo2.restype = AllocatorInfo
    found = libc.mallinfo2()
    return int(found.hblkhd + found.uordblks)


class AllocatorInfo(ctypes.Structure):
    """What mallinfo2(3) returns: `hblkhd` bytes are mapped, `uordblks` in use in the heap."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def test_the_checksum_of_blocks_is_that_of_the_text() -> None:
    """CRC-32 and length, as zlib has them."""
    checksum = Checksum()
    assert (checksum.crc32, checksum.size_bytes) == (0, 0)
    for pieces in ([memoryview(b"ab"), memoryview(b"c")], [memoryview(b"def")]):
        ((_, crc, size_bytes),) = open_body("gzip", 1, None).encode([pieces])
        checksum.add(crc, size_bytes)
    assert (checksum.crc32, checksum.size_bytes) == (zlib.crc32(b"abcdef"), 6)
    assert crc32(b"abcdef") == zlib.crc32(b"abcdef")
