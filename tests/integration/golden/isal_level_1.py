"""ISA-L level 1: whether a gzip body is exactly what that encoder makes of its text.

ISA-L chooses its code by the processor, so the digest of a body might be another one elsewhere.
Instead of that the text is compressed again, block by block.
"""

from __future__ import annotations

import struct
import zlib

from isal import isal_zlib

BLOCK_BYTES = 524_288
HEAD_BYTES = 4
HEADER = bytes.fromhex("1f8b08000000000000ff")
HEADER_WITH_EXTRA_FIELD = bytes.fromhex("1f8b08040000000000ff")
GZIP_WBITS = 31


def text_of(body: bytes) -> bytes:
    """Return the text of a gzip body, which is one member."""
    decoder = zlib.decompressobj(GZIP_WBITS)
    text = decoder.decompress(body)
    assert decoder.eof
    assert not decoder.unused_data
    return text


def is_made_by_it(body: bytes) -> bool:
    """Return whether ISA-L at level 1 makes `body` of its text, in blocks with a full flush."""
    if body.startswith(HEADER_WITH_EXTRA_FIELD):
        data = body[12 + int.from_bytes(body[10:12], "little") :]
    elif body.startswith(HEADER):
        data = body[10:]
    else:
        return False
    text = text_of(body)
    blocks = []
    for start in range(0, len(text), BLOCK_BYTES):
        encoder = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
        block = text[start : start + BLOCK_BYTES]
        blocks.append(encoder.compress(block[:HEAD_BYTES]))
        blocks.append(encoder.flush(isal_zlib.Z_SYNC_FLUSH))
        blocks.append(encoder.compress(block[HEAD_BYTES:]))
        blocks.append(encoder.flush(isal_zlib.Z_FULL_FLUSH))
    trailer = struct.pack("<II", zlib.crc32(text), len(text))
    return data == b"".join([*blocks, b"\x03\x00", trailer])
