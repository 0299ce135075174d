"""Objects: one that was read back, decoded and compared with the records that it is made of."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from long.numbered_records import is_bad, number_in, payload


@dataclass(frozen=True, slots=True)
class Read:
    """What an object holds."""

    numbers: list[int] = field(default_factory=list)
    """Of its records, in their order."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with it."""


def is_quarantine(key: str) -> bool:
    """Return whether an object holds bad records, by its name."""
    return "_quarantine/" in key


def read_object(key: str, body: bytes, metadata: Mapping[str, str], part: int, times: int) -> Read:
    """Decode an object, and compare it with its metadata and with the records of a round."""
    try:
        text = gzip.decompress(body) if key.endswith(".gz") else body
    except (EOFError, OSError, zlib.error) as error:
        return Read(faults=[f"{key}: it does not decode to its end: {error}"])
    read = Read(faults=[f"{key}: {fault}" for fault in _faults_of(text, metadata)])
    for line in text.splitlines():
        record = json.loads(line)["payload"].encode() if is_quarantine(key) else line
        number = number_in(record)
        if number is None or record != payload(part, number, times):
            read.faults.append(f"{key}: a line that was never written: {record[:80]!r}")
        elif is_bad(number) != is_quarantine(key):
            read.faults.append(f"{key}: record {number} is in the wrong kind of object")
        else:
            read.numbers.append(number)
    return read


def _faults_of(text: bytes, metadata: Mapping[str, str]) -> list[str]:
    """Return where the metadata, if there is any, disagrees with the text."""
    true = {
        "batcher-records": str(text.count(b"\n")),
        "batcher-bytes": str(len(text)),
        "batcher-crc32": f"{zlib.crc32(text):08x}",
    }
    faults = [
        f"{name} is {metadata[name]}, and should be {value}"
        for name, value in true.items()
        if metadata.get(name, value) != value
    ]
    if text.endswith(b"\n") or metadata.get("batcher-kind") == "guard":
        return faults
    return [*faults, "it does not end with a newline"]
