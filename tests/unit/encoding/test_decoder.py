"""Decoder: a body to its text in bounded blocks; every damage is found."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import pytest
from backports import zstd

from batcher.encoding.decoder import (
    LONG_WINDOW_LOG,
    MAX_OUTPUT_BYTES,
    Decoder,
    detect_compression,
)
from batcher.errors import DamagedError

TEXT = b"".join(b'{"n":%d,"square":%d}\n' % (n, n * n) for n in range(30_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstd.compress,
}
PACKED = [".gz", ".zst"]


def decode(body: bytes, suffix: str, piece_bytes: int = 100_000) -> bytes:
    """Decode a whole body, fed in pieces."""
    decoder = Decoder(suffix)
    text = b""
    for start in range(0, len(body), piece_bytes):
        for block in decoder.feed(body[start : start + piece_bytes]):
            assert 0 < len(block) <= MAX_OUTPUT_BYTES
            text += block
    decoder.finish()
    return text


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("piece_bytes", [1, 1_000, 100_000, 10**9])
def test_a_body_is_decoded_however_it_is_cut(suffix: str, piece_bytes: int) -> None:
    """Pieces end anywhere, within headers and trailers too."""
    text = TEXT[: 3_000 if piece_bytes == 1 else None]
    half = len(text) // 2
    pack = PACKERS[suffix]
    assert decode(pack(text[:half]) + pack(text[half:]), f".ndjson{suffix}", piece_bytes) == text


@pytest.mark.parametrize("suffix", PACKED)
def test_a_body_that_ends_early_is_damaged(suffix: str) -> None:
    """Wherever it is cut, but between two members, where nobody can tell."""
    member = PACKERS[suffix](TEXT[:5_000])
    for end in range(len(member)):
        with pytest.raises(DamagedError, match="is empty" if not end else "ends within member 2|1"):
            decode((member + member)[: end + (len(member) if end else 0)], suffix)
    assert decode(member, suffix) == TEXT[:5_000]


@pytest.mark.parametrize("suffix", PACKED)
def test_a_body_with_a_bit_that_has_turned_is_damaged(suffix: str) -> None:
    """Wherever in the data or in the checksum it is."""
    body = PACKERS[suffix](TEXT[:5_000]) if suffix == ".gz" else _with_checksum(TEXT[:5_000])
    for at in range(12, len(body), 7):
        turned = bytearray(body)
        turned[at] ^= 0x10
        with pytest.raises(DamagedError):
            decode(bytes(turned), suffix)


def _with_checksum(text: bytes) -> bytes:
    return zstd.compress(text, options={zstd.CompressionParameter.checksum_flag: 1})


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("body", [b"plain text, and no codec\n" * 10, b"\x00" * 100])
def test_a_body_that_is_not_what_its_suffix_says_is_damaged(suffix: str, body: bytes) -> None:
    """The message says in which member it is, and what the codec says."""
    with pytest.raises(DamagedError, match="member 1, within the first"):
        decode(body, suffix)
    with pytest.raises(DamagedError, match="member 2"):
        decode(PACKERS[suffix](b"{}\n") + body, suffix)


@pytest.mark.parametrize("suffix", PACKED)
def test_an_empty_body_is_damaged(suffix: str) -> None:
    """Compressed text of nothing has a header; only plain text can be empty."""
    with pytest.raises(DamagedError, match="empty"):
        decode(b"", suffix)
    assert decode(b"", ".ndjson") == b""


@pytest.mark.parametrize("suffix", PACKED)
def test_a_bomb_takes_no_more_memory_than_any_other_body(suffix: str) -> None:
    """A thousandfold: 200 MB of text from some kilobytes, in blocks that go by."""
    size_bytes = 200 * 1024**2
    body = PACKERS[suffix](b"\x00" * size_bytes)
    assert len(body) < size_bytes / 900
    decoder = Decoder(suffix)
    decoded_bytes = 0
    tracemalloc.start()
    try:
        for block in decoder.feed(body):
            decoded_bytes += len(block)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    decoder.finish()
    assert decoded_bytes == size_bytes
    assert peak_bytes < 20 * 1024**2


def test_a_zstd_frame_that_wants_a_huge_window_is_refused() -> None:
    """Its window would be held for as long as the frame is read; ours need 1 MiB."""
    compressor = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 27})
    body = compressor.compress(b"x" * 100) + compressor.flush()
    with pytest.raises(DamagedError):
        decode(body, ".zst")
    decoder = Decoder(".zst", max_window_log=LONG_WINDOW_LOG)
    assert b"".join(decoder.feed(body)) == b"x" * 100
    decoder.finish()


@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000])
def test_zeros_after_a_gzip_member_are_damage_unless_they_are_expected(piece_bytes: int) -> None:
    """gzip(1) skips them between and after members; objects of batcher have none."""
    member = gzip.compress(b"{}\n")
    body = member + bytes(100) + member + bytes(100)
    with pytest.raises(DamagedError, match="member 2"):
        decode(body, ".gz")
    decoder = Decoder(".gz", padded=True)
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    assert b"".join(block for piece in pieces for block in decoder.feed(piece)) == b"{}\n" * 2
    decoder.finish()
    with pytest.raises(DamagedError, match="member 2"):
        list(Decoder(".zst", padded=True).feed(zstd.compress(b"{}\n") + bytes(100)))


@pytest.mark.parametrize("suffix", PACKED)
def test_no_block_is_larger_than_the_caller_allows(suffix: str) -> None:
    """At most one block is lost before damage, so a caller that saves text asks for small ones."""
    body = PACKERS[suffix](TEXT)
    decoder = Decoder(suffix, max_output_bytes=1_000)
    blocks = list(decoder.feed(body[:-1]))
    assert max(map(len, blocks)) <= 1_000
    assert TEXT.startswith(b"".join(blocks))
    if suffix == ".gz":
        assert len(TEXT) - len(b"".join(blocks)) <= 1_000


def test_compression_is_detected_by_the_first_bytes() -> None:
    """A zstd file may start with a frame that is skipped."""
    assert detect_compression(gzip.compress(b"")[:4]) == ".gz"
    assert detect_compression(zstd.compress(b"")[:4]) == ".zst"
    assert detect_compression(b"\x5e\x2a\x4d\x18") == ".zst"
    for start in (b"", b"\x1f", b"\x28\xb5\x2f", b"\x5e\x2a\x4d", b'{"a"', b"PK\x03\x04"):
        assert detect_compression(start) == ""
