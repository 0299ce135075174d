"""Zstandard of the standard library, or its backport."""

from __future__ import annotations

from typing import cast

try:
    from compression import zstd
except ModuleNotFoundError:
    from backports import zstd


def version() -> str:
    """Return the version of the library that compresses."""
    return ".".join(map(str, zstd.zstd_version_info))


def compress(text: bytes) -> bytes:
    """Return one frame."""
    return cast("bytes", zstd.compress(text))


def decompress(body: bytes) -> bytes:
    """Return the text of all frames."""
    return cast("bytes", zstd.decompress(body))
