"""Names: what an object's key says of it, read back; `batcher.keys.names` makes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from batcher.keys.names import (
    COMPRESSION_SUFFIXES,
    FIFO_DIGITS,
    FORMAT_EXTENSIONS,
    MESSAGE_SET_DIGITS,
    QUARANTINE_FOLDER,
    QUARANTINE_SUFFIX,
    SEQUENCE_DIGITS,
    TIME_DIGITS,
    root_prefix,
    salt,
)
from batcher.records.chunk import NamingScheme

MAX_SALT_DIGITS = 16


CHECK_FOLDER = "_check"
"""Of quarantine: what `batcher check` has written to try the bucket; no reader takes it."""


_SALT = re.compile(rf"[01]{{1,{MAX_SALT_DIGITS}}}")


_FOLDER = re.compile(r"[A-Za-z0-9._=~%-]+")  # as `batcher.partition` makes them


_DATE = re.compile(r"dt=\d{4}-\d\d-\d\d")


_STEM = r"(?P<stem>[A-Za-z0-9._%-]+)"


_NAME_PATTERNS = {
    # The longest first: a UUID and a set could end a stem that goes on
    NamingScheme.SEQUENCE: re.compile(rf"{_STEM}-(?P<first>\d{{{SEQUENCE_DIGITS},}})"),
    NamingScheme.MESSAGE_SET: re.compile(
        rf"{_STEM}-(?P<first>\d{{{TIME_DIGITS}}}|\d{{{FIFO_DIGITS},}})-[0-9a-f]{{{MESSAGE_SET_DIGITS}}}"
    ),
    NamingScheme.FRESH: re.compile(
        r"(?P<stem>)(?P<first>)[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    ),
}


_SHARD = re.compile(r"(?P<stream>.+)-(?P<shard>shardId-\d+)")


_STREAM_LABEL = re.compile(
    r"(?P<stream>.+)-(?P<shard>\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d(?:\.\d+)?)"
)


_KNOWN_SUFFIXES = [
    extension + suffix
    for extension in FORMAT_EXTENSIONS.values()
    for suffix in COMPRESSION_SUFFIXES.values()
]


class KeyParseError(ValueError):
    """A key that batcher would not have written; the message says what is wrong with it."""


class SourceFamily(StrEnum):
    """What wrote an object, as far as its name tells."""

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
    """What an object's key says of it."""

    key: str
    salt: str
    """Empty with `fanout=1`, and in quarantine."""
    partition: str
    """The Hive-style path; of quarantine the folders from `_quarantine` on."""
    naming: NamingScheme
    stem: str
    """What its name starts with; empty for programs."""
    first: int | None
    """Its first sequence number, or a queue's oldest time in milliseconds (FIFO: lowest number)."""
    suffix: str
    """From the format on: `.ndjson.gz`."""
    quarantine_source: str = ""
    """The source of the bad records in it; empty for data."""
    time_s: float | None = None
    """The time in its name, in seconds since 1970: a queue's oldest, or when a program's batch was
    opened; None for streams and FIFO queues, whose names have sequence numbers."""

    @property
    def is_quarantine(self) -> bool:
        """Whether bad records are in it."""
        return bool(self.quarantine_source)

    @property
    def has_shard(self) -> bool:
        """Whether its name says which shard it is of; a DynamoDB stream's does not."""
        return _SHARD.fullmatch(self.stem) is not None

    @property
    def is_json(self) -> bool:
        """Whether each line must be one JSON value."""
        return self.suffix.startswith(".ndjson")

    @property
    def family(self) -> SourceFamily:
        """What wrote it: a stream's events, a queue's, or a program."""
        return _FAMILY_BY_NAMING[self.naming]

    @property
    def stream_and_shard(self) -> tuple[str, str]:
        """The stream and its shard, the table and its stream's label, or the queue and nothing."""
        return split_stream_and_shard(self.stem)


def split_stream_and_shard(stem: str) -> tuple[str, str]:
    """Divide what a stream's names start with; a label has its colons back."""
    found = _SHARD.fullmatch(stem) or _STREAM_LABEL.fullmatch(stem)
    return (unquote(found["stream"]), unquote(found["shard"])) if found else (unquote(stem), "")


def is_salt(folder: str) -> bool:
    """Return whether a folder right under the root is a salt, whatever the fanout was."""
    return _SALT.fullmatch(folder) is not None


def is_check_key(key: str, root: str) -> bool:
    """Return whether a key is one that `batcher check` has left, which holds no record."""
    return key.startswith("/".join(filter(None, [root, QUARANTINE_FOLDER, f"{CHECK_FOLDER}/"])))


def parse_key(key: str, root: str) -> ParsedKey:
    """Read the key of an object under `root`.

    Raises:
        ForeignError: no version of batcher gives such a key, or not to such a name.
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
        msg = f"batcher has no folder {folders[0]!r:.100} of its own"
        raise KeyParseError(msg)
    for folder in folders:
        if not _FOLDER.fullmatch(folder):
            msg = f"no partition of batcher's has a folder {folder!r:.100}"
            raise KeyParseError(msg)
    text, suffix = _split_suffix(file)
    naming, stem, first, time_s = _parse_base_name(text)
    if salt_digits and salt(text, 1 << len(salt_digits)) != salt_digits:
        msg = f"its name does not belong under the salt {salt_digits}"
        raise KeyParseError(msg)
    partition = "/".join(folders)
    return ParsedKey(key, salt_digits, partition, naming, stem, first, suffix, time_s=time_s)


def _parse_quarantine_key(key: str, folders: list[str], file: str) -> ParsedKey:
    match folders:
        case [_, source, date] if source.isidentifier() and _DATE.fullmatch(date):
            text, suffix = _split_suffix(file)
        case _:
            msg = f"no place of {QUARANTINE_FOLDER}/SOURCE/dt=YYYY-MM-DD/"
            raise KeyParseError(msg)
    if suffix != QUARANTINE_SUFFIX:
        msg = f"quarantine objects end with {QUARANTINE_SUFFIX}"
        raise KeyParseError(msg)
    naming, stem, first, time_s = _parse_base_name(text)
    return ParsedKey(key, "", "/".join(folders), naming, stem, first, suffix, source, time_s)


def _split_suffix(file: str) -> tuple[str, str]:
    """Divide a file's name from its suffix."""
    for ending in _KNOWN_SUFFIXES:
        if file.endswith(ending) and len(file) > len(ending):
            return file.removesuffix(ending), ending
    msg = f"no object of batcher's ends so: {', '.join(sorted(_KNOWN_SUFFIXES))} are known"
    raise KeyParseError(msg)


def _parse_base_name(text: str) -> tuple[NamingScheme, str, int | None, float | None]:
    """Read a name without its suffix."""
    for naming, form in _NAME_PATTERNS.items():
        if found := form.fullmatch(text):
            number = found["first"]
            time_ms = None
            if naming is NamingScheme.FRESH:
                time_ms = int(text[:13].replace("-", ""), 16)  # Source: RFC 9562, section 5.7
            elif naming is NamingScheme.MESSAGE_SET and len(number) == TIME_DIGITS:
                time_ms = int(number)
            time_s = None if time_ms is None else time_ms / 1000
            return naming, found["stem"], int(number) if number else None, time_s
    msg = f"no name of batcher's has the form of {text!r:.100}"
    raise KeyParseError(msg)
