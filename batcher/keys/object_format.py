"""Object formats: how objects of data and of quarantine are stored, whatever records they hold."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from batcher.keys.names import QUARANTINE_FOLDER


class Format(StrEnum):
    """The text format of an object of data."""

    NDJSON = "ndjson"
    """One JSON value per line."""
    LINES = "lines"
    """Any bytes without a newline per line."""


_EXTENSIONS = {Format.NDJSON: ".ndjson", Format.LINES: ".txt"}


_PLAIN_TYPES = {Format.NDJSON: "application/x-ndjson", Format.LINES: "text/plain"}


_COMPRESSED_TYPES = {"gzip": "application/gzip", "zstd": "application/zstd"}


COMPRESSION_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class ObjectFormat(Struct, frozen=True):
    """What all objects of one kind have in common. `batcher.writing.object` chooses the kind."""

    suffix: str
    """The end of their keys, from the format on: `.ndjson.gz`."""
    compression: str
    """The codec: `none`, `gzip` or `zstd`."""
    compression_level: int
    content_type: str
    folder: str = ""
    """The folder under the root that holds all of them. Empty: salt and partition decide."""
    limited: bool = True
    """Whether `max_bytes` and `max_records` divide the records of one event."""


QUARANTINE_FORMAT = ObjectFormat(
    f"{_EXTENSIONS[Format.NDJSON]}{COMPRESSION_SUFFIXES['gzip']}",
    "gzip",
    1,
    _COMPRESSED_TYPES["gzip"],
    QUARANTINE_FOLDER,
    limited=False,
)
"""Of objects of bad records, whatever the settings say about data."""


def data_suffix(record_format: str, compression: str) -> str:
    """Return the suffix of objects of data: `.ndjson`, `.txt.zst` and so on."""
    return f"{_EXTENSIONS[Format(record_format)]}{COMPRESSION_SUFFIXES[compression]}"


DATA_SUFFIXES = tuple(
    data_suffix(record_format, compression)
    for record_format in Format
    for compression in COMPRESSION_SUFFIXES
)


@lru_cache(maxsize=16)  # a process has one or two; it is read several times per object
def data_format(
    record_format: str, compression: str, compression_level: int, content_type: str
) -> ObjectFormat:
    """Return the format of objects of data.

    Args:
        record_format: a value of `Format`.
        compression: `none`, `gzip` or `zstd`.
        compression_level: as the codec defines it.
        content_type: the user's own, or empty to follow from the others.
    """
    plain_type = _PLAIN_TYPES[Format(record_format)]
    return ObjectFormat(
        data_suffix(record_format, compression),
        compression,
        compression_level,
        content_type or _COMPRESSED_TYPES.get(compression, plain_type),
    )
