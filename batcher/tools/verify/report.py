"""Report: totals, streams and findings of a verify run, added up object by object."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from batcher.keys.parse import KeyParseError, parse_key
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.overlap import SequenceRange, ShardRanges
from batcher.reading.sanitize import sanitize_detail, sanitize_line
from batcher.records.chunk import NamingScheme
from batcher.tools.formatting import format_count
from batcher.tools.verify.lost_records import describe_records, expected_records, remedy
from batcher.writing.object import encode_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from batcher.keys.parse import ParsedKey
    from batcher.stores.base import ListEntry, OpenUpload
    from batcher.tools.verify.inspection import Inspection

MAX_FINDINGS_PER_KIND = 1_000
"""Findings of one kind that are listed. All are counted."""

TEMPORARY_FILE_MINUTES = 25 * 60
"""A temporary file that was written this recently may be of a running writer: a batch lingers for a
day at most (`MAX_LINGER_S`), and is written then."""


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
    quarantined_replayed: int = 0
    """Of these, records that a replay has finished."""
    quarantined_left_out: int = 0
    """Of these, records that the transform of a replay left out."""
    incomplete_metadata: int = 0
    """Objects with only part of the metadata, for example after streamed uploads."""
    guards: int = 0
    """Objects without records, which only have a positions list."""
    duplicates: int = 0
    """Records of streams that are in an earlier object, too, by their positions."""
    unchecked_lines: int = 0
    """Lines that are too long to be checked."""
    removed_objects: int = 0
    """Objects that were removed between listing and reading."""
    missing_objects: int = 0
    """Objects on disk that were deleted, while their attributes stayed."""
    damaged_objects: int = 0
    """Data objects that cannot be read to their end."""
    damaged_records: int = 0
    """Records that were read of these, which are part of `records`."""
    lost_records: int = 0
    """Records that damaged and missing objects should have, by their metadata, and do not."""
    uploads_unchecked: str = ""
    """Why open uploads were not looked for, with the remedy. Empty if they were."""
    recent_temporary_files: int = 0
    """Temporary files on disk that a running writer may need."""
    leftover_files: int = 0
    """Temporary files on disk that no running writer needs."""
    finding_counts: Counter[FindingKind] = field(default_factory=Counter)
    _findings: dict[FindingKind, list[Finding]] = field(default_factory=dict)
    _streams: dict[tuple[str, str], StreamSummary] = field(default_factory=dict)
    _ranges: ShardRanges = field(default_factory=ShardRanges)
    _guarded: dict[str, list[str]] = field(default_factory=dict)
    """The keys of guards, by the key of the object that has their records."""
    _unread_keys: list[str] = field(default_factory=list)

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
        if inspection.is_guard:
            self.guards += 1
            self._guarded.setdefault(inspection.guard_of, []).append(parsed_key.key)
        self.size_bytes += list_entry.size_bytes
        self.text_bytes += inspection.text_bytes
        self.incomplete_metadata += bool(
            inspection.has_metadata and not inspection.has_all_metadata
        )
        self.unchecked_lines += inspection.unchecked_lines
        self.lost_records += inspection.lost_records
        for finding in inspection.findings:
            self.add_finding(finding)
        if inspection.is_guard:
            return
        if parsed_key.naming is NamingScheme.SEQUENCE and parsed_key.first is not None:
            last = max(parsed_key.first, inspection.last or parsed_key.first)
            self._ranges.add(
                parsed_key.stem,
                parsed_key.partition,
                SequenceRange(
                    parsed_key.first,
                    last,
                    parsed_key.key,
                    inspection.has_positions,
                    parsed_key.has_shard,
                ),
            )
        if parsed_key.is_quarantine:
            self.quarantine_objects += 1
            self.quarantined += inspection.quarantine_reasons
            self.quarantined_replayed += inspection.replayed
            self.quarantined_left_out += inspection.left_out
            return
        if inspection.is_damaged:
            self.damaged_objects += 1
            self.damaged_records += inspection.records
        self.objects += 1
        self.records += inspection.records
        stream_id = (parsed_key.family.value, parsed_key.stem)
        if stream_id not in self._streams:
            self._streams[stream_id] = StreamSummary(
                parsed_key.family, *parsed_key.stream_and_shard
            )
        self._streams[stream_id].add_object(parsed_key, inspection.records, inspection.last)

    def add_upload(self, upload: OpenUpload, now_s: float) -> None:
        """Add a multipart upload that is not completed, or a temporary file."""
        age_s = now_s - upload.started_s
        detail = f"open for {format_age(age_s)}"
        if upload.is_file:
            if age_s < TEMPORARY_FILE_MINUTES * 60:
                self.recent_temporary_files += 1
                return
            self.leftover_files += 1
            detail = (
                f"a temporary file that was last written {format_age(age_s)} ago: its writer was "
                "stopped, and no object needs it; delete the file"
            )
        self.add_finding(Finding(FindingKind.OPEN_UPLOAD, sanitize_line(upload.key), detail))

    def add_missing(
        self, key: str, root: str, metadata: Mapping[str, str], attributes: Path
    ) -> None:
        """Add an object on disk that was deleted.

        Args:
            key: of the object.
            root: that the object was under.
            metadata: that it had.
            attributes: the file that has this.
        """
        try:
            parsed_key = parse_key(key, root)
        except KeyParseError:
            parsed_key = None
        self.missing_objects += 1
        self.lost_records += expected_records(metadata) or 0
        detail = (
            f"deleted, with its {describe_records(metadata)}; {remedy(parsed_key)}, or if nobody "
            f"needs them, delete what is left of it: {attributes}"
        )
        self.add_finding(Finding(FindingKind.MISSING, sanitize_line(key), sanitize_detail(detail)))

    def add_unread(self, key: str) -> None:
        """Add an object that exists and could not be read."""
        self._unread_keys.append(key)

    def clusters(self) -> Iterator[list[SequenceRange]]:
        """Yield the objects whose ranges overlap; see `ShardRanges.clusters`."""
        return self._ranges.clusters()

    def add_duplicates(self, key: str, counts: Mapping[str, int]) -> None:
        """Add how many records of an object are in others, by the keys of these."""
        self.duplicates += sum(counts.values())
        for other_key, count in counts.items():
            detail = f"{format_count(count, 'record')} of it in {other_key}, too"
            self.add_finding(
                Finding(FindingKind.DUPLICATE, sanitize_line(key), sanitize_line(detail))
            )

    def finish(self, compared_keys: Collection[str] = ()) -> None:
        """Compare guards with objects, and ranges. Call it after the last object.

        Args:
            compared_keys: objects whose positions were compared, which says more than ranges.
        """
        self._add_lost_objects()
        if self.overlaps_allowed:
            return
        for earlier, later in self._ranges.overlaps():
            if earlier.key in compared_keys and later.key in compared_keys:
                continue
            detail = (
                f"{later.first} to {later.last} overlaps {earlier.first} to {earlier.last} "
                f"of {earlier.key}"
            )
            self.add_finding(Finding(FindingKind.OVERLAP, sanitize_line(later.key), detail))

    def _add_lost_objects(self) -> None:
        if not self._guarded:
            return
        keys = chain((stored.key for stored in self._ranges), self._unread_keys)
        lost = self._guarded.keys() - set(map(encode_key, keys))
        for of_key in sorted(lost):
            for key in self._guarded[of_key]:
                detail = f"no object {of_key or '(without a key)'}, which has its records"
                self.add_finding(
                    Finding(FindingKind.LOST_OBJECT, sanitize_line(key), sanitize_line(detail))
                )

    def as_dict(self, place: str) -> dict[str, Any]:
        """Return everything as JSON values. Programs rely on the names.

        Args:
            place: the URL of the root that was verified.
        """
        return {
            "place": place,
            "fine": self.is_clean,
            "objects": self.objects,
            "records": self.records,
            "size_bytes": self.size_bytes,
            "text_bytes": self.text_bytes,
            "quarantine_objects": self.quarantine_objects,
            "quarantined": self.quarantined.total(),
            "quarantined_open": self.quarantined.total() - self.quarantined_replayed,
            "quarantined_replayed": self.quarantined_replayed,
            "quarantined_by_reason": dict(sorted(self.quarantined.items())),
            "incomplete_metadata": self.incomplete_metadata,
            "guards": self.guards,
            "duplicates": self.duplicates,
            "unchecked_lines": self.unchecked_lines,
            "removed_objects": self.removed_objects,
            "missing_objects": self.missing_objects,
            "damaged_objects": self.damaged_objects,
            "damaged_records": self.damaged_records,
            "lost_records": self.lost_records,
            "uploads_unchecked": self.uploads_unchecked or None,
            "recent_temporary_files": self.recent_temporary_files,
            "counts": {kind.value: self.finding_counts[kind] for kind in FindingKind},
            "findings": [asdict(finding) for finding in self.findings],
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
