"""Findings: what can be wrong with the objects under a root, as readers report it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One problem of one object."""

    kind: FindingKind
    key: str
    detail: str


class FindingKind(StrEnum):
    """The kind of a problem."""

    DAMAGED = "damaged"
    """The body cannot be decoded to its end, or ends within a line."""
    MISMATCH = "mismatch"
    """The body does not match the metadata or the name."""
    BAD_LINE = "bad_line"
    """A line is not exactly one JSON value, or is not a quarantine record."""
    NO_METADATA = "no_metadata"
    """The object has no metadata of batcher, for example after a copy without metadata."""
    FOREIGN = "foreign"
    """The key is not one that batcher makes."""
    OVERLAP = "overlap"
    """The sequence ranges of two objects of one shard and partition overlap: maybe duplicates."""
    COVERED = "covered"
    """All records of a stream's object are in another object, too. Readers leave it out."""
    DUPLICATE = "duplicate"
    """Records of a stream's object are in another object, too. Their positions prove it."""
    BAD_POSITIONS = "bad_positions"
    """The positions list cannot be read, or does not match the metadata or the name."""
    LOST_OBJECT = "lost_object"
    """A guard states that an object has records, and that object is gone."""
    MISSING = "missing"
    """An object on disk was deleted: its attributes in `.meta/` are still there."""
    OPEN_UPLOAD = "open_upload"
    """A multipart upload is not completed. Its parts cost money. On disk: a left-over temporary
    file."""
    UNREADABLE = "unreadable"
    """The object could not be read, so it was not checked. On disk also: it is no regular file."""


KIND_DESCRIPTIONS = {
    FindingKind.DAMAGED: "cannot be decoded to the end",
    FindingKind.MISMATCH: "does not match its metadata",
    FindingKind.BAD_LINE: "a line is not one JSON value",
    FindingKind.NO_METADATA: "no metadata of batcher",
    FindingKind.FOREIGN: "not a key of batcher",
    FindingKind.OVERLAP: "sequence numbers overlap: possible duplicates",
    FindingKind.COVERED: "all records are in another object",
    FindingKind.DUPLICATE: "records are in another object, too",
    FindingKind.BAD_POSITIONS: "positions list is unreadable or wrong",
    FindingKind.LOST_OBJECT: "the object of a guard is gone",
    FindingKind.MISSING: "was deleted",
    FindingKind.OPEN_UPLOAD: "multipart upload not completed, or left-over file",
    FindingKind.UNREADABLE: "could not be read",
}
