"""Pattern: which partitions a user means, as `dt=2026-11-23/hour=*` or `customer=acme`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

_PART = re.compile(r"[A-Za-z0-9._=~%*?-]+")  # what folders are made of, and the wildcards
_COLUMN = re.compile(r"([A-Za-z0-9._~%-]+)=.*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Folders that a partition must have, in this order; others may stand before and between.

    `*` stands for any characters of one folder, `?` for one, all else for itself, escaped as keys
    have it. A column (`name=`) that a pattern names counts where it first stands in the partition.
    """

    parts: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> Pattern:
        """Read what a user gives.

        Raises:
            ValueError: no partition can match it; the message says why.
        """
        parts = tuple(text.strip("/").split("/"))
        for part in parts:
            if not part:
                msg = f"{text!r} has an empty folder"
                raise ValueError(msg)
            if not _PART.fullmatch(part):
                escaped = quote(part, safe="=*?%")
                msg = f"{part!r} stands in no key: write it as keys have it, {escaped!r}"
                raise ValueError(msg)
        return Pattern(parts)

    def left(self, folders: Sequence[str]) -> tuple[str, ...] | None:
        """Give the parts that are not met by a partition's first folders yet; None: it is none.

        An empty tuple says that all partitions that start so are meant.
        """
        left = self.parts
        for folder in folders:
            if left and _like(left[0]).fullmatch(folder):
                left = left[1:]
            elif (column := _column(folder)) and column in map(_column, left):
                return None
        return left

    def decides_below(self, folders: Sequence[str]) -> bool:
        """Say whether deeper folders can rule partitions out, by more than by not being there."""
        return any(not part.endswith("=*") for part in self.left(folders) or ())


ANY = Pattern()
"""Every partition."""


def _column(folder: str) -> str | None:
    found = _COLUMN.fullmatch(folder)
    return found[1] if found else None


def _like(part: str) -> re.Pattern[str]:
    text = re.escape(part).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text)  # which keeps the last ones itself
