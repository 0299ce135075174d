"""Results of checks: the status, what was found, and how to fix it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

from batcher.reading.sanitize import sanitize_line
from batcher.tools.formatting import format_count


class CheckStatus(StrEnum):
    """The severity of a result."""

    OK = "ok"
    WARNING = "warning"
    """Records are safe, but something costs money, weakens security or will need attention."""
    ERROR = "error"
    """Records are lost, duplicated or never written."""
    NOT_CHECKED = "not checked"
    """Unknown. The result names the missing permission or the reason."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    status: CheckStatus
    check: str
    """The check's id, stable for programs: `mapping.responses`."""
    detail: str
    fix: str = ""
    """How to fix it. Empty if there is nothing to fix."""
    subject: str = ""
    """Which one of several mappings or queues was checked. Empty if there is only one."""

    def as_line(self) -> str:
        """Return `subject: detail; fix` in one line, safe for a terminal, without the status."""
        problem = ": ".join(sanitize_line(part) for part in (self.subject, self.detail) if part)
        return f"{problem}; {sanitize_line(self.fix)}" if self.fix else problem

    def as_dict(self) -> dict[str, str]:
        """Return the result as an entry of the JSON document. Programs rely on its field names."""
        return {
            "mark": _as_name(self.status),
            "check": self.check,
            "subject": sanitize_line(self.subject),
            "detail": sanitize_line(self.detail),
            "do": sanitize_line(self.fix),
        }


def _as_name(status: CheckStatus) -> str:
    """Return a status as a name for programs, without a space."""
    return str(status).replace(" ", "_")


def ok(check: str, detail: str, *, subject: str = "") -> CheckResult:
    """Return a result without a problem."""
    return CheckResult(CheckStatus.OK, check, detail, "", subject)


def warning(check: str, detail: str, fix: str, *, subject: str = "") -> CheckResult:
    """Return a result that should be fixed."""
    return CheckResult(CheckStatus.WARNING, check, detail, fix, subject)


def error(check: str, detail: str, fix: str, *, subject: str = "") -> CheckResult:
    """Return a result that must be fixed."""
    return CheckResult(CheckStatus.ERROR, check, detail, fix, subject)


def not_checked(check: str, reason: str, *, subject: str = "") -> CheckResult:
    """Return a result for a check that could not be made, with the reason."""
    return CheckResult(CheckStatus.NOT_CHECKED, check, reason, "", subject)


_SEVERITIES = (CheckStatus.OK, CheckStatus.NOT_CHECKED, CheckStatus.WARNING, CheckStatus.ERROR)


def _merge_key(result: CheckResult) -> tuple[str, ...]:
    return (result.status, result.check.partition(".")[0], result.detail, result.subject)


@dataclass(slots=True)
class CheckReport:
    """All results of one run, in the order of the checks."""

    results: list[CheckResult] = field(default_factory=list)

    def add(self, results: Iterable[CheckResult]) -> None:
        """Append `results`."""
        self.results += results

    @property
    def counts(self) -> Counter[CheckStatus]:
        """Number of results per status."""
        return Counter(result.status for result in self.results)

    @property
    def has_no_error(self) -> bool:
        """Whether no result is an error. Warnings do not count."""
        return not self.counts[CheckStatus.ERROR]

    def summary(self) -> str:
        """Return the counts in one line: `21 ok, 5 warnings, 1 error`."""
        return ", ".join(
            format_count(count, status)
            if status in {CheckStatus.WARNING, CheckStatus.ERROR}
            else f"{count} {status}"
            for status in CheckStatus
            if (count := self.counts[status])
        )

    def in_order_of_severity(self) -> list[CheckResult]:
        """Return the results with the worst ones last, where a reader of a terminal looks.

        Checks of one kind that were not made for one reason, one after another, are one result.
        """
        merged: list[CheckResult] = []
        for _, group in groupby(self.results, _merge_key):
            results = list(group)
            kind = results[0].check.partition(".")[0]
            if len(results) > 1 and results[0].status is CheckStatus.NOT_CHECKED:
                names = ", ".join(result.check.partition(".")[2] for result in results)
                detail = f"{results[0].detail} ({names})"
                results = [not_checked(f"{kind}.*", detail, subject=results[0].subject)]
            merged += results
        return sorted(merged, key=lambda result: _SEVERITIES.index(result.status))

    def as_dict(self, location: str) -> dict[str, object]:
        """Return the JSON document of the run. Programs rely on its field names."""
        return {
            "place": location,
            "fine": self.has_no_error,
            "counts": {_as_name(status): self.counts[status] for status in CheckStatus},
            "findings": [result.as_dict() for result in self.results],
        }
