"""Names: what an object's key says of it, read back; `batcher.keys.names` makes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from batcher.keys.names import (
    EXTENSIONS,
    FIFO_DIGITS,
    QUARANTINE_FOLDER,
    QUARANTINE_SUFFIX,
    SEQUENCE_DIGITS,
    SET_DIGITS,
    SUFFIXES,
    TIME_DIGITS,
    salt,
    start_of,
)
from batcher.records.chunk import Naming

MAX_SALT_DIGITS = 16


CHECK_FOLDER = "_check"
"""Of quarantine: what `batcher check` has written to try the bucket; no reader takes it."""


_SALT = re.compile(rf"[01]{{1,{MAX_SALT_DIGITS}}}")


_FOLDER = re.compile(r"[A-Za-z0-9._=~%-]+")  # as `batcher.partition` makes them


_DATE = re.compile(r"dt=\d{4}-\d\d-\d\d")


_STEM = r"(?P<stem>[A-Za-z0-9._%-]+)"


_FORMS = {
    # The longest first: a UUID and a set could end a stem that goes on
    Naming.SEQUENCE: re.compile(rf"{_STEM}-(?P<first>\d{{{SEQUENCE_DIGITS},}})"),
    Naming.MESSAGE_SET: re.compile(
        rf"{_STEM}-(?P<first>\d{{{TIME_DIGITS}}}|\d{{{FIFO_DIGITS},}})-[0-9a-f]{{{SET_DIGITS}}}"
    ),
    Naming.FRESH: re.compile(
        r"(?P<stem>)(?P<first>)[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    ),
}


_SHARD = re.compile(r"(?P<stream>.+)-(?P<shard>shardId-\d+)")


_LABEL = re.compile(r"(?P<stream>.+)-(?P<shard>\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d(?:\.\d+)?)")


_ENDINGS = [extension + suffix for extension in EXTENSIONS.values() for suffix in SUFFIXES.values()]


class ForeignError(ValueError):
    """A key that batcher would not have written; the message says what is wrong with it."""


class Family(StrEnum):
    """What wrote an object, as far as its name tells."""

    STREAM = "stream"
    QUEUE = "queue"
    PROGRAM = "program"


_FAMILIES = {
    Naming.SEQUENCE: Family.STREAM,
    Naming.MESSAGE_SET: Family.QUEUE,
    Naming.FRESH: Family.PROGRAM,
}


@dataclass(frozen=True, slots=True)
class Name:
    """What an object's key says of it."""

    key: str
    salt: str
    """Empty with `fanout=1`, and in quarantine."""
    partition: str
    """The Hive-style path; of quarantine the folders from `_quarantine` on."""
    naming: Naming
    stem: str
    """What its name starts with; empty for programs."""
    first: int | None
    """Its first sequence number, or a queue's oldest time in milliseconds (FIFO: lowest number)."""
    suffix: str
    """From the format on: `.ndjson.gz`."""
    quarantined_from: str = ""
    """The source of the bad records in it; empty for data."""
    time_s: float | None = None
    """The time in its name, in seconds since 1970: a queue's oldest, or when a program's batch was
    opened; None for streams and FIFO queues, whose names have sequence numbers."""

    @property
    def is_quarantine(self) -> bool:
        """Whether bad records are in it."""
        return bool(self.quarantined_from)

    @property
    def has_shard(self) -> bool:
        """Whether its name says which shard it is of; a DynamoDB stream's does not."""
        return _SHARD.fullmatch(self.stem) is not None

    @property
    def is_json(self) -> bool:
        """Whether each line must be one JSON value."""
        return self.suffix.startswith(".ndjson")

    @property
    def family(self) -> Family:
        """What wrote it: a stream's events, a queue's, or a program."""
        return _FAMILIES[self.naming]

    @property
    def stream_and_shard(self) -> tuple[str, str]:
        """The stream and its shard, the table and its stream's label, or the queue and nothing."""
        return stream_and_shard(self.stem)


def stream_and_shard(stem: str) -> tuple[str, str]:
    """Divide what a stream's names start with; a label has its colons back."""
    found = _SHARD.fullmatch(stem) or _LABEL.fullmatch(stem)
    return (unquote(found["stream"]), unquote(found["shard"])) if found else (unquote(stem), "")


def is_salt(folder: str) -> bool:
    """Say whether a folder right under the root is a salt, whatever the fanout was."""
    return _SALT.fullmatch(folder) is not None


def is_check(key: str, root: str) -> bool:
    """Say whether a key is one that `batcher check` has left, which holds no record."""
    return key.startswith("/".join(filter(None, [root, QUARANTINE_FOLDER, f"{CHECK_FOLDER}/"])))


def read_name(key: str, root: str) -> Name:
    """Read the key of an object under `root`.

    Raises:
        ForeignError: no version of batcher gives such a key, or not to such a name.
    """
    start = start_of(root)
    if not key.startswith(start):
        msg = f"it is not under {root}"
        raise ForeignError(msg)
    *folders, file = key.removeprefix(start).split("/")
    if folders and folders[0] == QUARANTINE_FOLDER:
        return _read_quarantine(key, folders, file)
    salt_digits = folders.pop(0) if folders and is_salt(folders[0]) else ""
    if not salt_digits and folders and folders[0].startswith("_"):
        msg = f"batcher has no folder {folders[0]!r:.100} of its own"
        raise ForeignError(msg)
    for folder in folders:
        if not _FOLDER.fullmatch(folder):
            msg = f"no partition of batcher's has a folder {folder!r:.100}"
            raise ForeignError(msg)
    text, suffix = _divided(file)
    naming, stem, first, time_s = _read_form(text)
    if salt_digits and salt(text, 1 << len(salt_digits)) != salt_digits:
        msg = f"its name does not belong under the salt {salt_digits}"
        raise ForeignError(msg)
    partition = "/".join(folders)
    return Name(key, salt_digits, partition, naming, stem, first, suffix, time_s=time_s)


def _read_quarantine(key: str, folders: list[str], file: str) -> Name:
    match folders:
        case [_, source, date] if source.isidentifier() and _DATE.fullmatch(date):
            text, suffix = _divided(file)
        case _:
            msg = f"no place of {QUARANTINE_FOLDER}/SOURCE/dt=YYYY-MM-DD/"
            raise ForeignError(msg)
    if suffix != QUARANTINE_SUFFIX:
        msg = f"quarantine objects end with {QUARANTINE_SUFFIX}"
        raise ForeignError(msg)
    naming, stem, first, time_s = _read_form(text)
    return Name(key, "", "/".join(folders), naming, stem, first, suffix, source, time_s)


def _divided(file: str) -> tuple[str, str]:
    """Divide a file's name from its suffix."""
    for ending in _ENDINGS:
        if file.endswith(ending) and len(file) > len(ending):
            return file.removesuffix(ending), ending
    msg = f"no object of batcher's ends so: {', '.join(sorted(_ENDINGS))} are known"
    raise ForeignError(msg)


def _read_form(text: str) -> tuple[Naming, str, int | None, float | None]:
    """Read a name without its suffix."""
    for naming, form in _FORMS.items():
        if found := form.fullmatch(text):
            number = found["first"]
            time_ms = None
            if naming is Naming.FRESH:
                time_ms = int(text[:13].replace("-", ""), 16)  # Source: RFC 9562, section 5.7
            elif naming is Naming.MESSAGE_SET and len(number) == TIME_DIGITS:
                time_ms = int(number)
            time_s = None if time_ms is None else time_ms / 1000
            return naming, found["stem"], int(number) if number else None, time_s
    msg = f"no name of batcher's has the form of {text!r:.100}"
    raise ForeignError(msg)
