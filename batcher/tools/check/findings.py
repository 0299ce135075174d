"""Findings: what a check has found, how bad it is, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from batcher.reading.sanitize import sanitize_line


class CheckStatus(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and costs money, safety or sleep."""
    ERROR = "error"
    """Records are lost, doubled or never written."""
    NOT_CHECKED = "not checked"
    """Nobody knows; the finding says what would be needed to know."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at."""

    status: CheckStatus
    check: str
    """What was looked at; stable, for programs: `mapping.responses`."""
    detail: str
    fix: str = ""
    """What to do about it; empty where nothing is to be done."""
    subject: str = ""
    """Which one of several: a mapping, a queue."""

    def as_line(self) -> str:
        """Write it for people, less the mark; it is one line, whatever stood in a name."""
        return ": ".join(
            sanitize_line(part) for part in (self.subject, self.detail, self.fix) if part
        )

    def as_dict(self) -> dict[str, str]:
        """Write it for programs."""
        return {
            "mark": str(self.status),
            "check": self.check,
            "subject": sanitize_line(self.subject),
            "found": sanitize_line(self.detail),
            "do": sanitize_line(self.fix),
        }


def ok(check: str, detail: str, *, subject: str = "") -> CheckResult:
    """Return a finding that all is well."""
    return CheckResult(CheckStatus.OK, check, detail, "", subject)


def warning(check: str, detail: str, fix: str, *, subject: str = "") -> CheckResult:
    """Return a finding of what should be changed."""
    return CheckResult(CheckStatus.WARNING, check, detail, fix, subject)


def error(check: str, detail: str, fix: str, *, subject: str = "") -> CheckResult:
    """Return a finding of what must be changed."""
    return CheckResult(CheckStatus.ERROR, check, detail, fix, subject)


def not_checked(check: str, reason: str, *, subject: str = "") -> CheckResult:
    """Return a finding that nothing is known."""
    return CheckResult(CheckStatus.NOT_CHECKED, check, reason, "", subject)


@dataclass(slots=True)
class CheckReport:
    """All findings of one run, in the order of the looking."""

    results: list[CheckResult] = field(default_factory=list)

    def add(self, results: Iterable[CheckResult]) -> None:
        """Add what was found."""
        self.results += results

    @property
    def counts(self) -> Counter[CheckStatus]:
        """How many findings there are of each mark."""
        return Counter(finding.status for finding in self.results)

    @property
    def has_no_error(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not self.counts[CheckStatus.ERROR]

    def summary(self) -> str:
        """Count in one line."""
        return ", ".join(f"{self.counts[mark]} {mark}" for mark in CheckStatus if self.counts[mark])

    def as_dict(self, location: str) -> dict[str, object]:
        """Return the document for programs."""
        return {
            "place": location,
            "fine": self.has_no_error,
            "counts": {str(mark).replace(" ", "_"): self.counts[mark] for mark in CheckStatus},
            "findings": [finding.as_dict() for finding in self.results],
        }
