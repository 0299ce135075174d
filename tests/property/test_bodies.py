"""Bodies read back to their text, their checksums are right, and their parts are legal."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.encoding import codec as encode
from batcher.encoding import text
from batcher.encoding.codec import BlockSplitter, Checksum, open_body
from batcher.encoding.text import join_lines
from batcher.limits import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from batcher.writing.encoder import BytesBuffer, iter_parts
from batcher.writing.multipart import choose_part_bytes
from support.examples import make_chunk
from support.strategies import good_payloads, json_texts

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd


def read_one_member(body: bytes) -> bytes:
    """Decode gzip as programs do that stop at a member's end; nothing may follow it."""
    decoder = zlib.decompressobj(31)
    text = decoder.decompress(body)
    assert decoder.eof
    assert not decoder.unused_data
    return text


def read_one_frame(body: bytes) -> bytes:
    """Decode zstd as programs do that stop at a frame's end; nothing may follow it."""
    decoder = zstd.ZstdDecompressor()
    text: bytes = decoder.decompress(body)
    assert decoder.eof
    assert not decoder.unused_data
    return text


DECODE: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": read_one_member,
    "zstd": read_one_frame,
}
CODECS = [("none", 0), ("gzip", 1), ("gzip", 6), ("zstd", 1)]
BLOCK = 64


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    """Cut blocks so small that a few records fill many."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (encode, text):
            patch.setattr(module, "BLOCK_BYTES", BLOCK)
        yield


def encoded(
    texts: list[bytes], compression: str, level: int, text_bytes: int | None
) -> tuple[bytes, Checksum, list[int]]:
    """Encode a text that comes in pieces: the body, its checksum, and the blocks' sizes."""
    splitter, checksum = BlockSplitter(), Checksum()
    body = open_body(compression, level, text_bytes)
    full = [block for text in texts for block in splitter.feed(text)]
    rest = splitter.finish()
    pieces = [body.header]
    sizes = []
    for piece, crc, size_bytes in body.encode([*full, *([rest] if rest else [])]):
        checksum.add(crc, size_bytes)
        pieces.append(piece)
        sizes.append(size_bytes)
    pieces.append(body.finish(checksum))
    return b"".join(pieces), checksum, sizes


def cut_at(text: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a text at these places."""
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(ends)]


@given(
    text=st.binary(max_size=500),
    cuts=st.lists(st.integers(0, 500), max_size=8),
    codec=st.sampled_from(CODECS),
    is_size_known=st.booleans(),
)
def test_a_body_reads_back_and_is_the_same_however_its_text_came(
    text: bytes, cuts: list[int], codec: tuple[str, int], *, is_size_known: bool
) -> None:
    """Blocks are cut by size alone, whatever the chunks; checksums are of the text."""
    compression, level = codec
    size = len(text) if is_size_known else None
    body, checksum, sizes = encoded(cut_at(text, cuts), compression, level, size)
    assert DECODE[compression](body) == text
    assert encoded([text], compression, level, size)[0] == body
    assert (checksum.crc32, checksum.size_bytes) == (zlib.crc32(text), len(text))
    assert sizes == [BLOCK] * (len(text) // BLOCK) + [len(text) % BLOCK] * (len(text) % BLOCK > 0)


@given(st.lists(good_payloads | st.just(b"x" * 50), max_size=20), st.integers(1, 200))
def test_text_is_the_payloads_line_by_line(payloads: list[bytes], piece_bytes: int) -> None:
    """However long the pieces; text and bytes alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "TEXT_PIECE_BYTES", piece_bytes)
        expected = b"".join(p + b"\n" for p in payloads)
        assert b"".join(join_lines(make_chunk(*payloads))) == expected
        assert b"".join(join_lines(make_chunk(*(p.decode() for p in payloads)))) == expected


@given(st.lists(json_texts(), max_size=10), st.sampled_from(CODECS[1:]), st.integers(0, 10))
def test_the_same_chunks_in_other_slices_give_the_same_bytes(
    payloads: list[bytes], codec: tuple[str, int], at: int
) -> None:
    """A chunk cut in two is the same body."""
    chunk = make_chunk(*payloads)
    cut = min(at, len(payloads))
    halves = [*join_lines(make_chunk(*payloads[:cut])), *join_lines(make_chunk(*payloads[cut:]))]
    size = sum(map(len, halves))
    assert encoded(join_lines(chunk), *codec, size)[0] == encoded(halves, *codec, size)[0]


@given(
    st.integers(MIN_PART_BYTES, MAX_PART_BYTES), st.integers(0, 12), st.integers(-(10**9), 10**9)
)
def test_parts_are_of_a_legal_size_and_number(wanted_bytes: int, doubled: int, off: int) -> None:
    """At least 5 MiB, at most 5 GiB, at most 10,000, and no larger than needed."""
    body_bytes = max(0, (wanted_bytes << doubled) * MAX_PARTS + off)
    try:
        part_bytes = choose_part_bytes(wanted_bytes, body_bytes)
    except ValueError:
        assert body_bytes > MAX_PART_BYTES * MAX_PARTS // 2
        return
    assert MIN_PART_BYTES <= part_bytes <= MAX_PART_BYTES
    assert -(-body_bytes // part_bytes) <= MAX_PARTS
    assert part_bytes % wanted_bytes == 0
    assert part_bytes == wanted_bytes or body_bytes > part_bytes // 2 * MAX_PARTS


async def all_parts(before: list[bytes], after: list[bytes], part_bytes: int) -> list[bytes]:
    """Cut a body of which a part is there, and the rest comes."""
    body = BytesBuffer()
    for piece in before:
        body.append(piece)

    async def coming() -> AsyncIterator[bytes]:
        for piece in after:
            yield piece

    parts = [part async for part in iter_parts(body, coming(), part_bytes)]
    assert body.size_bytes == 0
    assert body.appended_bytes == sum(map(len, before)) + sum(map(len, after))
    return parts


pieces = st.lists(st.binary(min_size=1, max_size=30), max_size=6)


@given(pieces, pieces, st.integers(1, 40))
def test_parts_are_of_one_size_and_join_to_the_body(
    before: list[bytes], after: list[bytes], part_bytes: int
) -> None:
    """All but the last, which may be smaller but is never empty."""
    parts = asyncio.run(all_parts(before, after, part_bytes))
    assert b"".join(parts) == b"".join(before + after)
    assert all(len(part) == part_bytes for part in parts[:-1])
    assert all(0 < len(part) <= part_bytes for part in parts[-1:])


@given(pieces, st.lists(st.integers(0, 20), max_size=5))
def test_a_body_gives_its_bytes_in_order(given_pieces: list[bytes], cuts: list[int]) -> None:
    """Whatever is cut off its start, and the rest."""
    body = BytesBuffer()
    for piece in given_pieces:
        body.append(piece)
    taken = b""
    for cut in cuts:
        if cut <= body.size_bytes:
            taken += body.take(cut)
    whole = b"".join(given_pieces)
    assert body.size_bytes == len(whole) - len(taken)
    assert taken + body.take_all() == whole
