"""Receipt: the store's word that an object is durable; and what stands on the object."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from batcher.keys import Format, digest_of
from batcher.partition import DIGEST_DIGITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batcher.batch import Batch
    from batcher.encode import Checksum
    from batcher.settings import Settings

# The names of metadata; a user's own stand beside them
RECORDS = "batcher-records"
FIRST = "batcher-first"
LAST = "batcher-last"
DIGEST = "batcher-digest"
BYTES = "batcher-bytes"
CRC32 = "batcher-crc32"
LONGEST_POSITION_BYTES = 320
"""Of `batcher-first` and of `batcher-last`: with them, what is the user's (1,024) fits in 2 KB."""
KEPT_CHARACTERS = 20
_COMPRESSED_TYPES = {"gzip": "application/gzip", "zstd": "application/zstd"}
_PLAIN_TYPES = {Format.NDJSON: "application/x-ndjson", Format.LINES: "text/plain"}


class Receipt(Struct, frozen=True):
    """An object that is durable."""

    key: str
    """Its full key; empty for a record that was left out by decision."""
    records: int
    size_bytes: int
    """Bytes of the object, compressed."""
    quarantined: bool = False
    """Whether it is a quarantine object: its records are bad, and kept aside."""


def content_type(batch: Batch, settings: Settings) -> str:
    """Give the Content-Type by the format, or as the user set it."""
    if batch.route.is_quarantine:
        return _COMPRESSED_TYPES["gzip"]
    if settings.content_type:
        return settings.content_type
    plain = _PLAIN_TYPES[Format(settings.format)]
    return _COMPRESSED_TYPES.get(settings.compression, plain)


def metadata(
    batch: Batch, digest: str, checksum: Checksum | None, extra: Mapping[str, str]
) -> dict[str, str]:
    """Give the object's metadata: what is known of it now, and the user's own.

    Args:
        batch: what is in the object; of an open one only its start is known.
        digest: of its positions.
        checksum: of the whole text, or None while it is still being encoded.
        extra: the user's.
    """
    known = {FIRST: _ascii(batch.first)}
    if batch.sealed is not None:
        known |= {
            RECORDS: str(batch.records),
            LAST: _ascii(batch.last),
            DIGEST: digest,
            BYTES: str(batch.size_bytes),
        }
    if checksum is not None:
        known[CRC32] = f"{checksum.crc32:08x}"
    return {**extra, **known}


def _ascii(position: str) -> str:
    """Percent-encode what a header cannot hold: a file's name may have anything in it.

    Of what is too long the end stays, with the line's number, after a digest of the whole: S3
    takes 2 KB of metadata, the user's included.
    """
    whole = position
    if not (position.isascii() and position.isprintable()):
        whole = quote(position, errors="surrogatepass")
    if len(whole) <= LONGEST_POSITION_BYTES:
        return whole
    end = quote(position[-KEPT_CHARACTERS:], safe="/:", errors="surrogatepass")
    return f"~{digest_of([position])[:DIGEST_DIGITS]}~{end}"
