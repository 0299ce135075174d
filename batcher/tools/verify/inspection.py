"""Inspection: one object, text block by text block; then what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from batcher.batching.validation import check
from batcher.encoding.codec import Checksum, crc32
from batcher.encoding.text import Cutter, lines_of
from batcher.keys.names import SEQUENCE_DIGITS
from batcher.reading.findings import Finding, Kind
from batcher.reading.sanitize import printable
from batcher.records.chunk import Naming, Origin, Run
from batcher.records.columns import Numbered, Same
from batcher.writing.object import BYTES, CRC32, FIRST, LAST, RECORDS

if TYPE_CHECKING:
    from batcher.keys.parse import Name

MAX_LINE_BYTES = 16 * 1024**2
"""Longer lines are counted and measured, but not judged: they would have to be held."""


MAX_BAD_LINES = 1_000
"""After so many the others of an object are not judged any more: it is no object of records."""


LINES_AT_ONCE = 1_000


FIELDS = (RECORDS, BYTES, CRC32, FIRST, LAST)


_ORIGIN = Origin("stored", Naming.FRESH)


_ANY_BYTES = 2**62


class _QuarantineLine(msgspec.Struct):
    """What a line of quarantine has at least."""

    reason: str
    source: str
    position: str


_read_quarantine_line = msgspec.json.Decoder(_QuarantineLine).decode


class Inspection:
    """Looks at the text of one object as it comes, and compares it with what stands on it."""

    def __init__(self, name: Name, metadata: Mapping[str, str]) -> None:
        """Judge by an object's name and its metadata."""
        self._name = name
        self._said = {field: metadata[field] for field in FIELDS if field in metadata}
        self._cutter = Cutter()
        self._checksum = Checksum()
        self._is_at_line_start = True
        self._lines = 0
        self._bad_lines = 0
        self._first_bad = ""
        self.records = 0
        """Newlines so far."""
        self.unjudged = 0
        """Lines that are too long to be held, and so were not judged."""
        self.reasons: Counter[str] = Counter()
        """Of quarantine: how many records for each reason."""
        self.findings: list[Finding] = []

    @property
    def text_bytes(self) -> int:
        """Bytes of text so far."""
        return self._checksum.size_bytes

    @property
    def is_described(self) -> bool:
        """Whether there is any metadata of batcher's."""
        return bool(self._said)

    @property
    def is_all_known(self) -> bool:
        """Whether the metadata is whole; that of a streamed upload has its first position alone."""
        return len(self._said) == len(FIELDS)

    @property
    def last(self) -> int | None:
        """The last sequence number of a stream's object, where its metadata has it."""
        said = self._said.get(LAST, "")
        return int(said) if said.isdecimal() and self._name.naming is Naming.SEQUENCE else None

    def add(self, block: bytes) -> None:
        """Look at the next block of text."""
        self._checksum.add(crc32(block), len(block))
        self.records += block.count(b"\n")
        self._is_at_line_start = block.endswith(b"\n")
        if self._name.is_json and self._bad_lines < MAX_BAD_LINES:
            lines = lines_of(self._cutter.cut(block))
            for start in range(0, len(lines), LINES_AT_ONCE):
                if self._bad_lines < MAX_BAD_LINES:
                    self._judge(lines[start : start + LINES_AT_ONCE])
            if self._cutter.waiting_bytes > MAX_LINE_BYTES:
                self._cutter.skip()
                self.unjudged += 1
                self._lines += 1

    def _judge(self, lines: Sequence[bytes]) -> None:
        """Look at complete lines: in one call, or, where one is bad, at each."""
        if self._name.is_quarantine:
            self._judge_quarantine(lines)
            return
        positions = Numbered("", range(self._lines + 1, self._lines + 1 + len(lines)))
        run = Run(_ORIGIN, lines, positions, Same(0.0, len(lines)))
        for bad in check(run, is_json=True, max_bytes=_ANY_BYTES).bad:
            self._bad_line(f"line {bad.position}: {bad.reason}: {bad.detail}")
        self._lines += len(lines)

    def _judge_quarantine(self, lines: Sequence[bytes]) -> None:
        try:
            self._count_reasons(list(map(_read_quarantine_line, lines)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            for number, line in enumerate(lines, self._lines + 1):
                try:
                    self._count_reasons([_read_quarantine_line(line)])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    self._bad_line(f"line {number}: no line of quarantine: {error}")
        self._lines += len(lines)

    def _count_reasons(self, lines: Sequence[_QuarantineLine]) -> None:
        """Count by reason; what batcher never wrote cannot fill the memory."""
        for reason, count in Counter(line.reason for line in lines).items():
            is_room = reason in self.reasons or len(self.reasons) < MAX_BAD_LINES
            self.reasons[printable(reason) if is_room else "others"] += count

    def _bad_line(self, why: str) -> None:
        self._bad_lines += 1
        self._first_bad = self._first_bad or why

    def damaged(self, why: str) -> None:
        """Note that the body could not be decoded to its end; so there is nothing to compare."""
        self._find(Kind.DAMAGED, why)
        self._end_lines()

    def end(self) -> None:
        """Compare the whole text with the metadata, and these with the name."""
        if not self._is_at_line_start:
            self._find(Kind.DAMAGED, "the text ends within a line")
        self._end_lines()
        if not self._said:
            self._find(Kind.NO_METADATA, f"none of {', '.join(FIELDS)}")
        found = {
            RECORDS: str(self.records),
            BYTES: str(self.text_bytes),
            CRC32: f"{self._checksum.crc32:08x}",
        }
        wrong = [
            f"{field} is {self._said[field]}, the body has {value}"
            for field, value in found.items()
            if self._said.get(field, value) != value
        ]
        first = self._said.get(FIRST, "")
        if self._name.naming is Naming.SEQUENCE and first and not self._is_named_by(first):
            wrong.append(f"{FIRST} is {first}, the name says {self._name.first}")
        if wrong:
            self._find(Kind.MISMATCH, "; ".join(wrong))

    def _is_named_by(self, first: str) -> bool:
        is_number = first.isdecimal() and len(first) <= SEQUENCE_DIGITS
        return is_number and int(first) == self._name.first

    def _end_lines(self) -> None:
        """Tell of bad lines once, by the first one."""
        if self._bad_lines:
            many = f" (and {self._bad_lines - 1:,} more)" if self._bad_lines > 1 else ""
            self._find(Kind.BAD_LINE, f"{self._first_bad}{many}")

    def _find(self, kind: Kind, detail: str) -> None:
        self.findings.append(Finding(kind, printable(self._name.key), printable(detail)))
