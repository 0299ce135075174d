"""Counts: what went in, and where each record is now; one line a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the records of one scenario are."""

    scenario: str
    messages: int
    """Sent."""
    invocations: int | None
    """None: nobody counted them."""
    failed: int | None
    """Invocations that raised, were killed, or handed records back."""
    objects: int
    """Of data and of quarantine."""
    records: int
    """In objects of data."""
    quarantined: int
    dead_lettered: int
    duplicates: int
    """Records that are in objects more than once."""
    lost: int
    """Messages that are nowhere."""


def table(rows: Sequence[Counts]) -> list[str]:
    """Return the lines of a table, with a total under it."""
    names = [spec.name.replace("_", "-") for spec in fields(Counts)]
    cells = [[_shown(value) for value in astuple(row)] for row in rows]
    totals = [sum(astuple(row)[i] or 0 for row in rows) for i in range(1, len(names))]
    cells.append(["in all", *map(_shown, totals)])
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in [names, *cells]
    ]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
