"""Findings: what a check has found, how bad it is, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from batcher.reading.sanitize import printable


class Mark(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and costs money, safety or sleep."""
    ERROR = "error"
    """Records are lost, doubled or never written."""
    NOT_CHECKED = "not checked"
    """Nobody knows; the finding says what would be needed to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    mark: Mark
    check: str
    """What was looked at; stable, for programs: `mapping.responses`."""
    found: str
    do: str = ""
    """What to do about it; empty where nothing is to be done."""
    subject: str = ""
    """Which one of several: a mapping, a queue."""

    def line(self) -> str:
        """Write it for people, less the mark; it is one line, whatever stood in a name."""
        return ": ".join(printable(part) for part in (self.subject, self.found, self.do) if part)

    def fields(self) -> dict[str, str]:
        """Write it for programs."""
        return {
            "mark": str(self.mark),
            "check": self.check,
            "subject": printable(self.subject),
            "found": printable(self.found),
            "do": printable(self.do),
        }


def ok(check: str, found: str, *, subject: str = "") -> Finding:
    """Give a finding that all is well."""
    return Finding(Mark.OK, check, found, "", subject)


def warning(check: str, found: str, do: str, *, subject: str = "") -> Finding:
    """Give a finding of what should be changed."""
    return Finding(Mark.WARNING, check, found, do, subject)


def error(check: str, found: str, do: str, *, subject: str = "") -> Finding:
    """Give a finding of what must be changed."""
    return Finding(Mark.ERROR, check, found, do, subject)


def not_checked(check: str, why: str, *, subject: str = "") -> Finding:
    """Give a finding that nothing is known."""
    return Finding(Mark.NOT_CHECKED, check, why, "", subject)


@dataclass(slots=True)
class Report:
    """All findings of one run, in the order of the looking."""

    findings: list[Finding] = field(default_factory=list)

    def add(self, findings: Iterable[Finding]) -> None:
        """Add what was found."""
        self.findings += findings

    @property
    def counts(self) -> Counter[Mark]:
        """How many findings there are of each mark."""
        return Counter(finding.mark for finding in self.findings)

    @property
    def is_fine(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not self.counts[Mark.ERROR]

    def summary(self) -> str:
        """Count in one line."""
        return ", ".join(f"{self.counts[mark]} {mark}" for mark in Mark if self.counts[mark])

    def as_dict(self, place: str) -> dict[str, object]:
        """Give the document for programs."""
        return {
            "place": place,
            "fine": self.is_fine,
            "counts": {str(mark).replace(" ", "_"): self.counts[mark] for mark in Mark},
            "findings": [finding.fields() for finding in self.findings],
        }
