"""Findings: what can be wrong with what lies under a root, and what a reader of them is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """What is wrong."""

    DAMAGED = "damaged"
    """The body cannot be decoded to its end, or ends within a line."""
    MISMATCH = "mismatch"
    """The body is not the one that its metadata or its name describes."""
    BAD_LINE = "bad_line"
    """A line is not exactly one JSON value, or no line of quarantine."""
    NO_METADATA = "no_metadata"
    """Nothing of batcher's stands on the object: somebody copied it without."""
    FOREIGN = "foreign"
    """A name or a place that batcher does not give."""
    OVERLAP = "overlap"
    """Two objects of one shard and partition whose ranges overlap: duplicates, perhaps."""
    COVERED = "covered"
    """A stream's object whose records are all in another one: readers leave it out."""
    OPEN_UPLOAD = "open_upload"
    """A multipart upload that was never completed, or is not yet: its parts cost money."""
    UNREADABLE = "unreadable"
    """The store would not give it, so nothing is known of it."""


KIND_DESCRIPTIONS = {
    FindingKind.DAMAGED: "cannot be decoded to the end",
    FindingKind.MISMATCH: "not what its metadata says",
    FindingKind.BAD_LINE: "a line is not one JSON value",
    FindingKind.NO_METADATA: "no metadata of batcher's",
    FindingKind.FOREIGN: "no name or place of batcher's",
    FindingKind.OVERLAP: "sequence numbers overlap: possible duplicates",
    FindingKind.COVERED: "all in another object",
    FindingKind.OPEN_UPLOAD: "multipart upload not completed",
    FindingKind.UNREADABLE: "the store would not give it",
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong."""

    kind: FindingKind
    key: str
    detail: str
