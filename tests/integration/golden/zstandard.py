"""Zstandard of the standard library, or its backport."""

from __future__ import annotations

from typing import cast

try:
    from compression import zstd
except ModuleNotFoundError:
    from backports import zstd


SKIPPABLE = bytes.fromhex("5b2a4d18")


def version() -> str:
    """Return the version of the library that compresses."""
    return ".".join(map(str, zstd.zstd_version_info))


def compress(text: bytes) -> bytes:
    """Return one frame."""
    return cast("bytes", zstd.compress(text))


def decompress(body: bytes) -> bytes:
    """Return the text of a body, which is one frame and maybe one that readers skip."""
    decoder = zstd.ZstdDecompressor()
    text = cast("bytes", decoder.decompress(body))
    assert decoder.eof
    assert not decoder.unused_data or decoder.unused_data.startswith(SKIPPABLE)
    return text
