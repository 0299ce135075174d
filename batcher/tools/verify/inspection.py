"""Inspection: one object, text block by text block; then what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from batcher.batching.validation import validate
from batcher.encoding.codec import Checksum, crc32
from batcher.encoding.text import LineSplitter, split_complete_lines
from batcher.keys.names import SEQUENCE_DIGITS
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, RangeColumn
from batcher.writing.object import (
    METADATA_BYTES,
    METADATA_CRC32,
    METADATA_FIRST,
    METADATA_LAST,
    METADATA_RECORDS,
)

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey

MAX_LINE_BYTES = 16 * 1024**2
"""Longer lines are counted and measured, but not judged: they would have to be held."""


MAX_BAD_LINES = 1_000
"""After so many the others of an object are not judged any more: it is no object of records."""


LINES_PER_CHECK = 1_000


METADATA_FIELDS = (METADATA_RECORDS, METADATA_BYTES, METADATA_CRC32, METADATA_FIRST, METADATA_LAST)


_ORIGIN = Origin("stored", NamingScheme.FRESH)


_NO_LIMIT_BYTES = 2**62


class _QuarantineFields(msgspec.Struct):
    """What a line of quarantine has at least."""

    reason: str
    source: str
    position: str


_decode_quarantine_line = msgspec.json.Decoder(_QuarantineFields).decode


class Inspection:
    """Looks at the text of one object as it comes, and compares it with what stands on it."""

    def __init__(self, parsed_key: ParsedKey, metadata: Mapping[str, str]) -> None:
        """Judge by an object's name and its metadata."""
        self._parsed_key = parsed_key
        self._metadata = {field: metadata[field] for field in METADATA_FIELDS if field in metadata}
        self._splitter = LineSplitter()
        self._checksum = Checksum()
        self._is_at_line_start = True
        self._lines = 0
        self._bad_lines = 0
        self._first_bad = ""
        self.records = 0
        """Newlines so far."""
        self.unchecked_lines = 0
        """Lines that are too long to be held, and so were not judged."""
        self.quarantine_reasons: Counter[str] = Counter()
        """Of quarantine: how many records for each reason."""
        self.findings: list[Finding] = []

    @property
    def text_bytes(self) -> int:
        """Bytes of text so far."""
        return self._checksum.size_bytes

    @property
    def has_metadata(self) -> bool:
        """Whether there is any metadata of batcher's."""
        return bool(self._metadata)

    @property
    def has_all_metadata(self) -> bool:
        """Whether the metadata is whole; that of a streamed upload has its first position alone."""
        return len(self._metadata) == len(METADATA_FIELDS)

    @property
    def last(self) -> int | None:
        """The last sequence number of a stream's object, where its metadata has it."""
        said = self._metadata.get(METADATA_LAST, "")
        return (
            int(said)
            if said.isdecimal() and self._parsed_key.naming is NamingScheme.SEQUENCE
            else None
        )

    def add(self, block: bytes) -> None:
        """Look at the next block of text."""
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
        """Look at complete lines: in one call, or, where one is bad, at each."""
        if self._parsed_key.is_quarantine:
            self._check_quarantine_lines(lines)
            return
        positions = RangeColumn("", range(self._lines + 1, self._lines + 1 + len(lines)))
        run = Chunk(_ORIGIN, lines, positions, ConstantColumn(0.0, len(lines)))
        for bad in validate(run, is_json=True, max_bytes=_NO_LIMIT_BYTES).bad:
            self._add_bad_line(f"line {bad.position}: {bad.reason}: {bad.detail}")
        self._lines += len(lines)

    def _check_quarantine_lines(self, lines: Sequence[bytes]) -> None:
        try:
            self._count_reasons(list(map(_decode_quarantine_line, lines)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            for number, line in enumerate(lines, self._lines + 1):
                try:
                    self._count_reasons([_decode_quarantine_line(line)])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    self._add_bad_line(f"line {number}: no line of quarantine: {error}")
        self._lines += len(lines)

    def _count_reasons(self, lines: Sequence[_QuarantineFields]) -> None:
        """Count by reason; what batcher never wrote cannot fill the memory."""
        for reason, count in Counter(line.reason for line in lines).items():
            is_room = (
                reason in self.quarantine_reasons or len(self.quarantine_reasons) < MAX_BAD_LINES
            )
            self.quarantine_reasons[sanitize_line(reason) if is_room else "others"] += count

    def _add_bad_line(self, why: str) -> None:
        self._bad_lines += 1
        self._first_bad = self._first_bad or why

    def mark_damaged(self, why: str) -> None:
        """Note that the body could not be decoded to its end; so there is nothing to compare."""
        self._add_finding(FindingKind.DAMAGED, why)
        self._report_bad_lines()

    def finish(self) -> None:
        """Compare the whole text with the metadata, and these with the name."""
        if not self._is_at_line_start:
            self._add_finding(FindingKind.DAMAGED, "the text ends within a line")
        self._report_bad_lines()
        if not self._metadata:
            self._add_finding(FindingKind.NO_METADATA, f"none of {', '.join(METADATA_FIELDS)}")
        found = {
            METADATA_RECORDS: str(self.records),
            METADATA_BYTES: str(self.text_bytes),
            METADATA_CRC32: f"{self._checksum.crc32:08x}",
        }
        wrong = [
            f"{field} is {self._metadata[field]}, the body has {value}"
            for field, value in found.items()
            if self._metadata.get(field, value) != value
        ]
        first = self._metadata.get(METADATA_FIRST, "")
        if (
            self._parsed_key.naming is NamingScheme.SEQUENCE
            and first
            and not self._matches_name(first)
        ):
            wrong.append(f"{METADATA_FIRST} is {first}, the name says {self._parsed_key.first}")
        if wrong:
            self._add_finding(FindingKind.MISMATCH, "; ".join(wrong))

    def _matches_name(self, first: str) -> bool:
        is_number = first.isdecimal() and len(first) <= SEQUENCE_DIGITS
        return is_number and int(first) == self._parsed_key.first

    def _report_bad_lines(self) -> None:
        """Report of bad lines once, by the first one."""
        if self._bad_lines:
            many = f" (and {self._bad_lines - 1:,} more)" if self._bad_lines > 1 else ""
            self._add_finding(FindingKind.BAD_LINE, f"{self._first_bad}{many}")

    def _add_finding(self, kind: FindingKind, detail: str) -> None:
        self.findings.append(
            Finding(kind, sanitize_line(self._parsed_key.key), sanitize_line(detail))
        )
