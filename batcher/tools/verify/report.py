"""Report: what lies under a root, added up object by object."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from batcher.reading.findings import Finding, Kind
from batcher.reading.overlap import Range, Ranges
from batcher.reading.sanitize import printable
from batcher.records.chunk import Naming

if TYPE_CHECKING:
    from batcher.keys.parse import Name
    from batcher.stores.base import Dangling, Listed
    from batcher.tools.verify.inspection import Inspection

MAX_LISTED = 1_000
"""Findings of one kind that are listed one by one; all are counted."""


@dataclass(slots=True)
class Holding:
    """What is there of one shard, queue, or of programs."""

    family: str
    stream: str
    shard: str
    objects: int = 0
    records: int = 0
    first: int | None = None
    """The lowest sequence number, or a queue's oldest time in ms (FIFO: lowest number)."""
    last: int | None = None

    def add(self, name: Name, records: int, last: int | None) -> None:
        """Add an object."""
        self.objects += 1
        self.records += records
        if name.first is not None:
            upto = name.first if last is None else max(name.first, last)
            self.first = name.first if self.first is None else min(self.first, name.first)
            self.last = upto if self.last is None else max(self.last, upto)


@dataclass(slots=True)
class Report:
    """What was found under a root."""

    are_overlaps_fine: bool = False
    """Whether shards are read side by side, so that ranges overlap by themselves."""
    objects: int = 0
    """Objects of data."""
    records: int = 0
    """Records in them."""
    size_bytes: int = 0
    """Bytes of all objects that were read, as they lie in the store."""
    text_bytes: int = 0
    """Bytes of all text."""
    quarantine_objects: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    """Records in quarantine, by reason."""
    incomplete: int = 0
    """Objects whose metadata is not all known, as that of streamed uploads is."""
    unjudged: int = 0
    """Lines that are too long to be judged."""
    gone: int = 0
    """Objects that were removed between listing and reading."""
    counts: Counter[Kind] = field(default_factory=Counter)
    """Findings by kind."""
    _findings: dict[Kind, list[Finding]] = field(default_factory=dict)
    _holdings: dict[tuple[str, str], Holding] = field(default_factory=dict)
    _ranges: Ranges = field(default_factory=Ranges)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.counts

    @property
    def findings(self) -> list[Finding]:
        """What is wrong, by kind and key; of each kind the first that were found, up to a limit."""
        return [found for kind in Kind for found in sorted(self._findings.get(kind, ()))]

    @property
    def holdings(self) -> list[Holding]:
        """What is there, by stream and shard."""
        return [self._holdings[key] for key in sorted(self._holdings)]

    def find(self, finding: Finding) -> None:
        """Add a finding."""
        self.counts[finding.kind] += 1
        listed = self._findings.setdefault(finding.kind, [])
        if len(listed) < MAX_LISTED:
            listed.append(finding)

    def add(self, listed: Listed, name: Name, inspection: Inspection) -> None:
        """Add an object that was read."""
        self.size_bytes += listed.size_bytes
        self.text_bytes += inspection.text_bytes
        self.incomplete += bool(inspection.is_described and not inspection.is_all_known)
        self.unjudged += inspection.unjudged
        for finding in inspection.findings:
            self.find(finding)
        if name.naming is Naming.SEQUENCE and name.first is not None:
            last = max(name.first, inspection.last or name.first)
            self._ranges.add(name.stem, name.partition, Range(name.first, last, name.key))
        if name.is_quarantine:
            self.quarantine_objects += 1
            self.quarantined += inspection.reasons
            return
        self.objects += 1
        self.records += inspection.records
        of = (name.family.value, name.stem)
        if of not in self._holdings:
            self._holdings[of] = Holding(name.family, *name.stream_and_shard)
        self._holdings[of].add(name, inspection.records, inspection.last)

    def add_upload(self, upload: Dangling, now_s: float) -> None:
        """Add a multipart upload that is open."""
        age = show_age(now_s - upload.started_s)
        self.find(Finding(Kind.OPEN_UPLOAD, printable(upload.key), f"open for {age}"))

    def end(self) -> None:
        """Compare ranges, after the last object."""
        if self.are_overlaps_fine:
            return
        for earlier, later in self._ranges.overlaps():
            detail = (
                f"{later.first} to {later.last} overlaps {earlier.first} to {earlier.last} "
                f"of {earlier.key}"
            )
            self.find(Finding(Kind.OVERLAP, printable(later.key), detail))

    def as_dict(self) -> dict[str, Any]:
        """Give everything, as JSON has it."""
        return {
            "clean": self.is_clean,
            "objects": self.objects,
            "records": self.records,
            "bytes": self.size_bytes,
            "text_bytes": self.text_bytes,
            "quarantine_objects": self.quarantine_objects,
            "quarantined": dict(sorted(self.quarantined.items())),
            "not_all_known": self.incomplete,
            "unjudged_lines": self.unjudged,
            "gone": self.gone,
            "findings": {kind.value: self.counts[kind] for kind in Kind if self.counts[kind]},
            "found": [asdict(finding) for finding in self.findings],
            # As text: sequence numbers have more digits than most readers of JSON keep
            "streams": [
                asdict(held)
                | {"first": _text_or_none(held.first), "last": _text_or_none(held.last)}
                for held in self.holdings
            ],
        }


def _text_or_none(number: int | None) -> str | None:
    return None if number is None else str(number)


def show_age(seconds: float) -> str:
    """Write a time span for people: `3 h`, `2 days`."""
    for unit_s, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
