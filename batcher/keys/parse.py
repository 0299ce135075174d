"""Parser of keys: what the key of an object says about its content.

The inverse of `batcher.keys.names` and `batcher.keys.partition`. It must accept the keys of every
released version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from batcher.keys.names import (
    CONTINUATION_DIGITS,
    FIFO_DIGITS,
    MESSAGE_SET_DIGITS,
    QUARANTINE_FOLDER,
    SEQUENCE_DIGITS,
    TIME_DIGITS,
    root_prefix,
    salt,
)
from batcher.keys.object_format import DATA_SUFFIXES, QUARANTINE_FORMAT
from batcher.records.chunk import NamingScheme
from batcher.records.position import FINGERPRINT_DIGITS

MAX_SALT_DIGITS = 16

CHECK_FOLDER = "_check"
"""Folder in quarantine where `batcher check` writes its probes. Readers ignore it."""

_SALT = re.compile(rf"[01]{{1,{MAX_SALT_DIGITS}}}")

_FOLDER = re.compile(r"[A-Za-z0-9._=~%-]+")  # see `batcher.keys.partition`

_DATE = re.compile(r"dt=\d{4}-\d\d-\d\d")

_STEM = r"(?P<stem>[A-Za-z0-9._%-]+)"

_CONTINUATION = rf"(?:~[0-9a-f]{{{CONTINUATION_DIGITS}}})?"

_STREAM_CONTINUATION = (
    rf"(?:~(?:[0-9a-f]{{{FINGERPRINT_DIGITS}}}|[0-9a-f]{{{CONTINUATION_DIGITS}}}))?"
)

_NAME_PATTERNS = {
    # The longest first: a stem may end like a UUID or a digest
    NamingScheme.SEQUENCE: re.compile(
        rf"{_STEM}-(?P<first>\d{{{SEQUENCE_DIGITS},}}){_STREAM_CONTINUATION}"
    ),
    NamingScheme.MESSAGE_SET: re.compile(
        rf"{_STEM}-(?P<first>\d{{{TIME_DIGITS}}}|\d{{{FIFO_DIGITS},}})"
        rf"-[0-9a-f]{{{MESSAGE_SET_DIGITS}}}{_CONTINUATION}"
    ),
    NamingScheme.FRESH: re.compile(
        r"(?P<stem>)(?P<first>)[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    ),
}

_SHARD = re.compile(r"(?P<stream>.+)-(?P<shard>shardId-\d+)")

_STREAM_LABEL = re.compile(
    r"(?P<stream>.+)-(?P<shard>\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d(?:\.\d+)?)"
)


class SourceFamily(StrEnum):
    """The kind of source of an object, as its name shows it."""

    STREAM = "stream"
    QUEUE = "queue"
    PROGRAM = "program"


_FAMILY_BY_NAMING = {
    NamingScheme.SEQUENCE: SourceFamily.STREAM,
    NamingScheme.MESSAGE_SET: SourceFamily.QUEUE,
    NamingScheme.FRESH: SourceFamily.PROGRAM,
}


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """The parts of an object's key."""

    key: str
    salt: str
    """Empty with `fanout=1`, and in quarantine."""
    partition: str
    """The Hive-style path. In quarantine, the folders from `_quarantine` on."""
    naming: NamingScheme
    stem: str
    """The start of its name. Empty for programs."""
    first: int | None
    """Its first sequence number, or a queue's oldest time in milliseconds (FIFO: lowest number)."""
    suffix: str
    """Format and compression: `.ndjson.gz`."""
    quarantine_source: str = ""
    """The source of its bad records. Empty for data."""
    time_s: float | None = None
    """The time in its name, in seconds since 1970: of a queue's oldest message, or when a program's
    batch was opened. None for streams and FIFO queues, whose names have sequence numbers."""

    @property
    def is_quarantine(self) -> bool:
        """Whether the object holds bad records."""
        return bool(self.quarantine_source)

    @property
    def has_shard(self) -> bool:
        """Whether its name has a shard. Names of DynamoDB streams have none."""
        return _SHARD.fullmatch(self.stem) is not None

    @property
    def is_json(self) -> bool:
        """Whether each line is one JSON value."""
        return self.suffix.startswith(".ndjson")

    @property
    def family(self) -> SourceFamily:
        """The kind of source."""
        return _FAMILY_BY_NAMING[self.naming]

    @property
    def stream_and_shard(self) -> tuple[str, str]:
        """The stream and shard, the table and its stream's label, or the queue and nothing."""
        return split_stream_and_shard(self.stem)


class KeyParseError(ValueError):
    """The key was not written by batcher. The message says why."""


def parse_key(key: str, root: str) -> ParsedKey:
    """Parse the key of an object under `root`.

    Raises:
        KeyParseError: no version of batcher writes such a key, or its salt does not fit its name.
    """
    start = root_prefix(root)
    if not key.startswith(start):
        msg = f"it is not under {root}"
        raise KeyParseError(msg)
    *folders, file = key.removeprefix(start).split("/")
    if folders and folders[0] == QUARANTINE_FOLDER:
        return _parse_quarantine_key(key, folders, file)
    salt_digits = folders.pop(0) if folders and is_salt(folders[0]) else ""
    if not salt_digits and folders and folders[0].startswith("_"):
        msg = f"folder {folders[0]!r:.100} is unknown; names that start with _ are reserved"
        raise KeyParseError(msg)
    for folder in folders:
        if not _FOLDER.fullmatch(folder):
            msg = f"folder {folder!r:.100} has characters that batcher encodes in a partition"
            raise KeyParseError(msg)
    text, suffix = _split_suffix(file)
    naming, stem, first, time_s = _parse_base_name(text)
    if salt_digits and salt(text, 1 << len(salt_digits)) != salt_digits:
        msg = f"the salt {salt_digits} does not belong to its name"
        raise KeyParseError(msg)
    partition = "/".join(folders)
    return ParsedKey(key, salt_digits, partition, naming, stem, first, suffix, time_s=time_s)


def is_object_name(file: str) -> bool:
    """Return whether the last element of a key is a name that batcher gives to objects."""
    try:
        _parse_base_name(_split_suffix(file)[0])
    except KeyParseError:
        return False
    return True


def split_stream_and_shard(stem: str) -> tuple[str, str]:
    """Split a stem into stream and shard, with escaped characters decoded."""
    found = _SHARD.fullmatch(stem) or _STREAM_LABEL.fullmatch(stem)
    return (unquote(found["stream"]), unquote(found["shard"])) if found else (unquote(stem), "")


def is_salt(folder: str) -> bool:
    """Return whether a folder directly under the root is a salt of any fanout."""
    return _SALT.fullmatch(folder) is not None


def is_check_key(key: str, root: str) -> bool:
    """Return whether a key is of a probe that `batcher check` left behind."""
    return key.startswith("/".join(filter(None, [root, QUARANTINE_FOLDER, f"{CHECK_FOLDER}/"])))


def _parse_quarantine_key(key: str, folders: list[str], file: str) -> ParsedKey:
    match folders:
        case [_, source, date] if source.isidentifier() and _DATE.fullmatch(date):
            text, suffix = _split_suffix(file)
        case _:
            msg = f"its folders are not {QUARANTINE_FOLDER}/SOURCE/dt=YYYY-MM-DD/"
            raise KeyParseError(msg)
    if suffix != QUARANTINE_FORMAT.suffix:
        msg = f"quarantine objects end with {QUARANTINE_FORMAT.suffix}"
        raise KeyParseError(msg)
    naming, stem, first, time_s = _parse_base_name(text)
    return ParsedKey(key, "", "/".join(folders), naming, stem, first, suffix, source, time_s)


def _split_suffix(file: str) -> tuple[str, str]:
    """Split a file name into base name and suffix."""
    for ending in DATA_SUFFIXES:
        if file.endswith(ending) and len(file) > len(ending):
            return file.removesuffix(ending), ending
    msg = f"unknown suffix; batcher writes {', '.join(sorted(DATA_SUFFIXES))}"
    raise KeyParseError(msg)


def _parse_base_name(text: str) -> tuple[NamingScheme, str, int | None, float | None]:
    """Parse a name without its suffix: naming scheme, stem, first number, time in seconds."""
    for naming, pattern in _NAME_PATTERNS.items():
        if found := pattern.fullmatch(text):
            number = found["first"]
            time_ms = None
            if naming is NamingScheme.FRESH:
                time_ms = int(text[:13].replace("-", ""), 16)  # Source: RFC 9562, section 5.7
            elif naming is NamingScheme.MESSAGE_SET and len(number) == TIME_DIGITS:
                time_ms = int(number)
            time_s = None if time_ms is None else time_ms / 1000
            return naming, found["stem"], int(number) if number else None, time_s
    msg = f"{text!r:.100} is not a name that batcher gives"
    raise KeyParseError(msg)
