"""Report: totals, streams and findings of a verify run, added up object by object."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from batcher.reading.findings import Finding, FindingKind
from batcher.reading.overlap import SequenceRange, ShardRanges
from batcher.reading.sanitize import sanitize_line
from batcher.records.chunk import NamingScheme

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.stores.base import ListEntry, OpenUpload
    from batcher.tools.verify.inspection import Inspection

MAX_FINDINGS_PER_KIND = 1_000
"""Findings of one kind that are listed. All are counted."""


@dataclass(slots=True)
class VerifyReport:
    """What was found under a root."""

    overlaps_allowed: bool = False
    """Do not report overlapping ranges: a parallelization factor above 1 makes them normal."""
    objects: int = 0
    """Data objects."""
    records: int = 0
    """Records in data objects."""
    size_bytes: int = 0
    """Stored bytes of all objects that were read."""
    text_bytes: int = 0
    """Bytes of their text."""
    quarantine_objects: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    """Records in quarantine, by reason."""
    incomplete_metadata: int = 0
    """Objects with only part of the metadata, for example after streamed uploads."""
    unchecked_lines: int = 0
    """Lines that are too long to be checked."""
    removed_objects: int = 0
    """Objects that were removed between listing and reading."""
    uploads_unchecked: str = ""
    """Why open uploads were not looked for, with the remedy. Empty if they were."""
    finding_counts: Counter[FindingKind] = field(default_factory=Counter)
    _findings: dict[FindingKind, list[Finding]] = field(default_factory=dict)
    _streams: dict[tuple[str, str], StreamSummary] = field(default_factory=dict)
    _ranges: ShardRanges = field(default_factory=ShardRanges)

    @property
    def is_clean(self) -> bool:
        """Whether there is no finding."""
        return not self.finding_counts

    @property
    def findings(self) -> list[Finding]:
        """The findings by kind and key. Of each kind, the first ones up to a limit."""
        return [finding for kind in FindingKind for finding in sorted(self._findings.get(kind, ()))]

    @property
    def streams(self) -> list[StreamSummary]:
        """The streams, sorted by family, stream and shard."""
        return [self._streams[key] for key in sorted(self._streams)]

    def add_finding(self, finding: Finding) -> None:
        """Add a finding."""
        self.finding_counts[finding.kind] += 1
        listed = self._findings.setdefault(finding.kind, [])
        if len(listed) < MAX_FINDINGS_PER_KIND:
            listed.append(finding)

    def add_object(
        self, list_entry: ListEntry, parsed_key: ParsedKey, inspection: Inspection
    ) -> None:
        """Add an object that was read."""
        self.size_bytes += list_entry.size_bytes
        self.text_bytes += inspection.text_bytes
        self.incomplete_metadata += bool(
            inspection.has_metadata and not inspection.has_all_metadata
        )
        self.unchecked_lines += inspection.unchecked_lines
        for finding in inspection.findings:
            self.add_finding(finding)
        if inspection.is_guard:
            return
        if parsed_key.naming is NamingScheme.SEQUENCE and parsed_key.first is not None:
            last = max(parsed_key.first, inspection.last or parsed_key.first)
            self._ranges.add(
                parsed_key.stem,
                parsed_key.partition,
                SequenceRange(parsed_key.first, last, parsed_key.key),
            )
        if parsed_key.is_quarantine:
            self.quarantine_objects += 1
            self.quarantined += inspection.quarantine_reasons
            return
        self.objects += 1
        self.records += inspection.records
        stream_id = (parsed_key.family.value, parsed_key.stem)
        if stream_id not in self._streams:
            self._streams[stream_id] = StreamSummary(
                parsed_key.family, *parsed_key.stream_and_shard
            )
        self._streams[stream_id].add_object(parsed_key, inspection.records, inspection.last)

    def add_upload(self, upload: OpenUpload, now_s: float) -> None:
        """Add a multipart upload that is not completed."""
        age = format_age(now_s - upload.started_s)
        self.add_finding(
            Finding(FindingKind.OPEN_UPLOAD, sanitize_line(upload.key), f"open for {age}")
        )

    def finish(self) -> None:
        """Compare the ranges. Call it after the last object."""
        if self.overlaps_allowed:
            return
        for earlier, later in self._ranges.overlaps():
            detail = (
                f"{later.first} to {later.last} overlaps {earlier.first} to {earlier.last} "
                f"of {earlier.key}"
            )
            self.add_finding(Finding(FindingKind.OVERLAP, sanitize_line(later.key), detail))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "clean": self.is_clean,
            "objects": self.objects,
            "records": self.records,
            "bytes": self.size_bytes,
            "text_bytes": self.text_bytes,
            "quarantine_objects": self.quarantine_objects,
            "quarantined": dict(sorted(self.quarantined.items())),
            "not_all_known": self.incomplete_metadata,
            "unjudged_lines": self.unchecked_lines,
            "gone": self.removed_objects,
            "uploads_unchecked": self.uploads_unchecked or None,
            "findings": {
                kind.value: self.finding_counts[kind]
                for kind in FindingKind
                if self.finding_counts[kind]
            },
            "found": [asdict(finding) for finding in self.findings],
            # Text, because most JSON parsers cannot hold the digits of a sequence number
            "streams": [
                asdict(stream)
                | {"first": _str_or_none(stream.first), "last": _str_or_none(stream.last)}
                for stream in self.streams
            ],
        }


@dataclass(slots=True)
class StreamSummary:
    """The objects of one shard or one queue, or of all programs."""

    family: str
    stream: str
    shard: str
    objects: int = 0
    records: int = 0
    first: int | None = None
    """The lowest sequence number. For a queue, the oldest time in ms (FIFO: the lowest number)."""
    last: int | None = None
    """The highest one."""

    def add_object(self, parsed_key: ParsedKey, records: int, last: int | None) -> None:
        """Add an object."""
        self.objects += 1
        self.records += records
        first = parsed_key.first
        if first is not None:
            last = first if last is None else max(first, last)
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)


def _str_or_none(number: int | None) -> str | None:
    return None if number is None else str(number)


def format_age(seconds: float) -> str:
    """Return a duration for people: `3 h`, `2 days`."""
    for unit_s, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
