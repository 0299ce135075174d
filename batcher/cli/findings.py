"""Findings of readers, printed on standard error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from batcher.cli.output import echo
from batcher.errors import BatcherError
from batcher.reading.catalog import MAX_PASSED_OVER
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.tools.formatting import format_count

MAX_SHOWN_PER_KIND = 20
"""The most findings of each kind that are printed. The rest are only counted."""


_KIND_SUMMARIES = {
    FindingKind.FOREIGN: "not written by batcher",
    FindingKind.OVERLAP: "overlapping another object",
    FindingKind.COVERED: "left out, because other objects hold all their records",
    FindingKind.DUPLICATE: "without some of their lines, because other objects hold these records",
    FindingKind.UNREADABLE: "not readable to the end",
}


_DUPLICATES = {FindingKind.COVERED, FindingKind.DUPLICATE}
"""Kinds of which only the number is printed: the records are read from other objects."""


class FindingPrinter:
    """Prints findings on standard error: the first of each kind at once, the rest as a count."""

    def __init__(self) -> None:
        self.counts: Counter[FindingKind] = Counter()

    @property
    def is_complete(self) -> bool:
        """Whether all selected records were read. Overlaps and duplicates lose none."""
        return not self.counts[FindingKind.FOREIGN] + self.counts[FindingKind.UNREADABLE]

    def print_finding(self, finding: Finding) -> None:
        """Count a finding. Print it unless it is a duplicate, or its kind was printed often."""
        self.counts[finding.kind] += 1
        if finding.kind not in _DUPLICATES and self.counts[finding.kind] <= MAX_SHOWN_PER_KIND:
            is_warning = finding.kind is FindingKind.OVERLAP
            echo(f"{'warning' if is_warning else 'error'}: {finding.key}: {finding.detail}")

    def print_error(self, error: BatcherError) -> None:
        """Count and print an object that could not be read. The error names it."""
        self.counts[FindingKind.UNREADABLE] += 1
        if self.counts[FindingKind.UNREADABLE] <= MAX_SHOWN_PER_KIND:
            echo(f"error: {sanitize_line(str(error))}")

    def print_summary(
        self, location: str, objects: int, filters: str, passed_over: Collection[str]
    ) -> None:
        """Print counts of findings that were not all printed, or a warning if nothing was found.

        Args:
            location: the root.
            objects: that were found.
            filters: the options that selected them.
            passed_over: some partitions that these excluded.
        """
        for kind, meaning in _KIND_SUMMARIES.items():
            count = self.counts[kind]
            if count > MAX_SHOWN_PER_KIND or (kind in _DUPLICATES and count):
                echo(f"{format_count(count, 'object')} {meaning}")
        if not objects and self.is_complete:
            message = " for ".join(filter(None, [f"no objects found under {location}", filters]))
            if passed_over:
                more = ", …" if len(passed_over) == MAX_PASSED_OVER else ""
                message += f"; there is {', '.join(passed_over)}{more}"
            echo(f"warning: {message}")
