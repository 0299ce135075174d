"""Chosen: which objects `ls` and `cat` look at, as flags; and what is wrong with them, told."""

from __future__ import annotations

import argparse
import time
from collections import Counter

from batcher.cli.flags import A_TIME, add_concurrency
from batcher.cli.said import say
from batcher.errors import BatcherError
from batcher.printable import printable
from batcher.reading.findings import Finding, Kind
from batcher.reading.selection import Selection, select

SHOWN = 20
"""Findings of one kind that are told one by one."""
_MEANINGS = {
    Kind.FOREIGN: "objects are not batcher's",
    Kind.OVERLAP: "objects overlap others",
    Kind.COVERED: "objects have nothing that others do not give, and were left out",
    Kind.UNREADABLE: "objects could not be read to their end",
}


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags that choose objects."""
    parser.add_argument("place", metavar="PLACE", help="s3://bucket/root or file://folder")
    which = parser.add_argument_group("which objects")
    which.add_argument(
        "--since",
        metavar="TIME",
        help=f"that may hold records that arrived then or later: {A_TIME}",
    )
    which.add_argument(
        "--until", metavar="TIME", help="that may hold records that arrived before; as --since"
    )
    which.add_argument(
        "--partition",
        metavar="PATTERN",
        help="whose partition has these folders, in this order: dt=2026-11-23/hour=*, "
        "customer=acme; * and ? as in a shell, all else as keys have it",
    )
    which.add_argument(
        "--quarantine", action="store_true", help="of quarantine, in place of the data"
    )
    add_concurrency(parser, "requests, and objects,")


def chosen(arguments: argparse.Namespace) -> Selection:
    """Read these flags.

    Raises:
        SettingsError: with every fault.
    """
    return select(
        arguments.since,
        arguments.until,
        arguments.partition,
        is_quarantine=arguments.quarantine,
        now_s=time.time(),
    )


class Told:
    """Tells on standard error what is wrong, a bit of each kind at once and the rest counted."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.counts: Counter[Kind] = Counter()

    @property
    def is_whole(self) -> bool:
        """Whether all that was chosen was given: overlaps are, and covered objects twice."""
        return not self.counts[Kind.FOREIGN] + self.counts[Kind.UNREADABLE]

    def find(self, finding: Finding) -> None:
        """Tell of an object; of covered ones there is only a count."""
        self.counts[finding.kind] += 1
        if finding.kind is not Kind.COVERED and self.counts[finding.kind] <= SHOWN:
            is_warning = finding.kind is Kind.OVERLAP
            say(f"{'warning' if is_warning else 'error'}: {finding.key}: {finding.detail}")

    def fail(self, error: BatcherError) -> None:
        """Tell of an object that could not be read; the error names it."""
        self.counts[Kind.UNREADABLE] += 1
        if self.counts[Kind.UNREADABLE] <= SHOWN:
            say(f"error: {printable(str(error))}")

    def end(self, place: str, objects: int) -> None:
        """Tell how much was not told, or that there was nothing."""
        for kind, meaning in _MEANINGS.items():
            count = self.counts[kind]
            if count > SHOWN or (kind is Kind.COVERED and count):
                say(f"{count:,} {meaning}")
        if not objects and self.is_whole:
            say(f"warning: nothing is under {place}, or nothing of it was chosen")
