"""Inspection: check one object while its text is read, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from batcher.batching.validation import validate
from batcher.encoding.codec import Checksum, crc32
from batcher.encoding.text import LineSplitter, split_complete_lines
from batcher.keys.names import SEQUENCE_DIGITS
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_detail, sanitize_line
from batcher.records.chunk import Chunk, NamingScheme, Origin, positions_digest
from batcher.records.columns import ConstantColumn, RangeColumn
from batcher.records.position import fingerprint_of, sequence_number
from batcher.records.positions import PositionsError, decode_positions
from batcher.tools.formatting import format_count
from batcher.tools.verify.lost_records import describe_range, expected_records, remedy
from batcher.writing.object import (
    METADATA_BYTES,
    METADATA_CRC32,
    METADATA_DIGEST,
    METADATA_FINGERPRINT,
    METADATA_FIRST,
    METADATA_LAST,
    METADATA_OF,
    METADATA_RECORDS,
    is_guard,
)

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.reading.stored_positions import PositionsCollector

MAX_LINE_BYTES = 16 * 1024**2
"""Longer lines are counted, but not checked, because they would have to be held in memory."""

MAX_BAD_LINES = 1_000
"""After this many bad lines, the rest of an object is not checked: it does not have records."""

LINES_PER_CHECK = 1_000

METADATA_FIELDS = (METADATA_RECORDS, METADATA_BYTES, METADATA_CRC32, METADATA_FIRST, METADATA_LAST)

_ORIGIN = Origin("stored", NamingScheme.FRESH)
_NO_LIMIT_BYTES = 2**62


_DONE = "done"
"""The state of a record whose replay has arrived."""


class _ReplayMark(msgspec.Struct):
    """What a replay adds to the lines that it takes."""

    state: str = ""
    key: Any = None
    queue: Any = None


class _QuarantineFields(msgspec.Struct):
    """The fields that every line of a quarantine object has."""

    reason: str
    source: str
    position: str
    replay: _ReplayMark | None = None

    @property
    def is_replayed(self) -> bool:
        """Whether a replay has finished it."""
        return self.replay is not None and self.replay.state == _DONE

    @property
    def is_left_out(self) -> bool:
        """Whether a replay has finished it without a target: its transform left it out."""
        return (
            self.replay is not None
            and self.is_replayed
            and not (self.replay.key or self.replay.queue)
        )


_decode_quarantine_line = msgspec.json.Decoder(_QuarantineFields).decode


class Inspection:
    """Checks the text of one object as it is read, and compares it with key and metadata."""

    def __init__(self, parsed_key: ParsedKey, metadata: Mapping[str, str]) -> None:
        """Check an object that has this key and this metadata."""
        self._parsed_key = parsed_key
        self._metadata = {field: metadata[field] for field in METADATA_FIELDS if field in metadata}
        self.is_guard: bool = is_guard(metadata)
        """Whether it is a guard, which has a positions list and no records."""
        self._digest = metadata.get(METADATA_DIGEST)
        self._fingerprint = metadata.get(METADATA_FINGERPRINT, "")
        self.guard_of: str = metadata.get(METADATA_OF, "")
        """The key of the object that has a guard's records, as `encode_key` returns it."""
        self.has_positions: bool = False
        """Whether the positions list was read, and is right."""
        self._splitter = LineSplitter()
        self._checksum = Checksum()
        self._is_at_line_start = True
        self._lines = 0
        self._bad_lines = 0
        self._first_bad_line = ""
        self.records: int = 0
        """Newlines so far."""
        self.is_damaged: bool = False
        """Whether it cannot be decoded to its end."""
        self.lost_records: int = 0
        """Records that it should have, and that cannot be read."""
        self.unchecked_lines: int = 0
        """Lines that are too long to be checked."""
        self.quarantine_reasons: Counter[str] = Counter()
        """Number of records by reason, for a quarantine object."""
        self.replayed: int = 0
        """Records of a quarantine object that a replay has finished."""
        self.left_out: int = 0
        """Of these, records that its transform left out."""
        self.findings: list[Finding] = []

    @property
    def text_bytes(self) -> int:
        """Bytes of text so far."""
        return self._checksum.size_bytes

    @property
    def has_metadata(self) -> bool:
        """Whether there is any metadata of batcher."""
        return bool(self._metadata)

    @property
    def has_all_metadata(self) -> bool:
        """Whether the metadata is complete. A streamed upload has its first position only."""
        return len(self._metadata) == len(METADATA_FIELDS)

    @property
    def last(self) -> int | None:
        """The last sequence number of a stream's object, if its metadata has it."""
        text = self._metadata.get(METADATA_LAST, "")
        is_stream = self._parsed_key.naming is NamingScheme.SEQUENCE
        return int(text) if is_stream and text.isdecimal() else None

    def add(self, block: bytes) -> None:
        """Check the next block of text."""
        self._checksum.add(crc32(block), len(block))
        self.records += block.count(b"\n")
        self._is_at_line_start = block.endswith(b"\n")
        if self._parsed_key.is_json and self._bad_lines < MAX_BAD_LINES:
            lines = split_complete_lines(self._splitter.split(block))
            for start in range(0, len(lines), LINES_PER_CHECK):
                if self._bad_lines < MAX_BAD_LINES:
                    self._check_lines(lines[start : start + LINES_PER_CHECK])
            if self._splitter.partial_line_bytes > MAX_LINE_BYTES:
                self._splitter.skip_line()
                self.unchecked_lines += 1
                self._lines += 1

    def _check_lines(self, lines: Sequence[bytes]) -> None:
        """Check complete lines."""
        if self._parsed_key.is_quarantine:
            self._check_quarantine_lines(lines)
            return
        positions = RangeColumn("", range(self._lines + 1, self._lines + 1 + len(lines)))
        chunk = Chunk(_ORIGIN, lines, positions, ConstantColumn(0.0, len(lines)))
        for bad in validate(chunk, is_json=True, max_bytes=_NO_LIMIT_BYTES).bad:
            self._add_bad_line(f"line {bad.position}: {bad.reason}: {bad.detail}")
        self._lines += len(lines)

    def _check_quarantine_lines(self, lines: Sequence[bytes]) -> None:
        """Check all lines at once, and one by one if that fails."""
        try:
            self._count_reasons(list(map(_decode_quarantine_line, lines)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            for number, line in enumerate(lines, self._lines + 1):
                try:
                    self._count_reasons([_decode_quarantine_line(line)])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    self._add_bad_line(f"line {number}: not a quarantine record: {error}")
        self._lines += len(lines)

    def _count_reasons(self, lines: Sequence[_QuarantineFields]) -> None:
        """Count records by reason. The number of reasons is bounded, so memory is, too."""
        self.replayed += sum(line.is_replayed for line in lines)
        self.left_out += sum(line.is_left_out for line in lines)
        for reason, count in Counter(line.reason for line in lines).items():
            has_room = (
                reason in self.quarantine_reasons or len(self.quarantine_reasons) < MAX_BAD_LINES
            )
            self.quarantine_reasons[sanitize_line(reason) if has_room else "others"] += count

    def _add_bad_line(self, detail: str) -> None:
        self._bad_lines += 1
        self._first_bad_line = self._first_bad_line or detail

    def mark_damaged(self, detail: str) -> None:
        """Finish an object that cannot be decoded to its end. Its metadata says what it had."""
        self.is_damaged = True
        self._add_finding(FindingKind.DAMAGED, f"{detail}{self._describe_loss()}")
        self._report_bad_lines()

    def _describe_loss(self) -> str:
        """Return which records are missing, and what to do, after counting them."""
        parts = [""]
        expected = expected_records(self._metadata)
        if expected is not None:
            self.lost_records = max(0, expected - self.records)
            records = format_count(expected, "record")
            parts.append(f"{records} expected, {self.records:,} readable")
        if positions := describe_range(self._metadata):
            parts.append(f"holds {positions}")
        return "; ".join([*parts, f"delete it and {remedy(self._parsed_key)}"])

    def finish(self) -> None:
        """Finish a whole object: compare its text with the metadata, and that with the key."""
        if not self._is_at_line_start:
            self.mark_damaged("the text ends within a line")
            return
        self._report_bad_lines()
        if not self._metadata:
            self._add_finding(FindingKind.NO_METADATA, f"none of {', '.join(METADATA_FIELDS)}")
        actual = {
            METADATA_RECORDS: str(self.records),
            METADATA_BYTES: str(self.text_bytes),
            METADATA_CRC32: f"{self._checksum.crc32:08x}",
        }
        mismatches = [
            f"{field} is {self._metadata[field]}, the body has {value}"
            for field, value in actual.items()
            if self._metadata.get(field, value) != value
        ]
        first = self._metadata.get(METADATA_FIRST, "")
        if (
            self._parsed_key.naming is NamingScheme.SEQUENCE
            and first
            and not self._matches_name(first)
        ):
            mismatches.append(f"{METADATA_FIRST} is {first}, the name has {self._parsed_key.first}")
        if mismatches:
            expected = expected_records(self._metadata)
            loss = self._describe_loss() if expected is not None and self.records < expected else ""
            self._add_finding(FindingKind.MISMATCH, f"{'; '.join(mismatches)}{loss}")

    def check_positions(self, collector: PositionsCollector, metadata: Mapping[str, str]) -> None:
        """Compare the positions list of a stream's whole object with the metadata and the key."""
        if self._parsed_key.naming is not NamingScheme.SEQUENCE:
            return
        try:
            fault = self._positions_fault(collector.positions_list(metadata))
        except PositionsError as error:
            fault = str(error)
        if fault:
            self._add_finding(FindingKind.BAD_POSITIONS, fault)

    def _positions_fault(self, positions_list: bytes | None) -> str:
        """Return what is wrong with a positions list. Empty if nothing is."""
        if positions_list is None:
            return "a guard without a positions list" if self.is_guard else ""
        positions = decode_positions(positions_list)
        if self._digest not in {None, positions_digest(positions)}:
            return f"the positions list does not match {METADATA_DIGEST}"
        if int(sequence_number(positions[0])) != self._parsed_key.first:
            return f"the positions list starts at {positions[0]}, not at the number in the name"
        if fingerprint_of(positions[0]) != self._fingerprint:
            return f"the positions list starts at {positions[0]}, not at {METADATA_FINGERPRINT}"
        self.has_positions = True
        return ""

    def _matches_name(self, first: str) -> bool:
        is_number = first.isdecimal() and len(first) <= SEQUENCE_DIGITS
        return is_number and int(first) == self._parsed_key.first

    def _report_bad_lines(self) -> None:
        """Add one finding for all bad lines, with the detail of the first one."""
        if self._bad_lines:
            more = f" (and {self._bad_lines - 1:,} more)" if self._bad_lines > 1 else ""
            self._add_finding(FindingKind.BAD_LINE, f"{self._first_bad_line}{more}")

    def _add_finding(self, kind: FindingKind, detail: str) -> None:
        self.findings.append(
            Finding(kind, sanitize_line(self._parsed_key.key), sanitize_detail(detail))
        )
