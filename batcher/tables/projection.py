"""Projection: how Athena is told all values of a partition, so that it need not be told of each.

Source: Amazon Athena user guide, "Supported types for partition projection".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from batcher.tables.folders import DIGITS, Folder, Kind, Piece
from batcher.tables.table import Partition

MOST_ENUM_BYTES = 200_000
"""A longer list would not fit into a statement: Athena takes 262,144 bytes."""
_LETTERS = {"Y": "yyyy", "m": "MM", "d": "dd", "H": "HH", "M": "mm", "S": "ss", "j": "DDD"}
"""Directives of `strftime` as `java.time.format.DateTimeFormatter` has them."""
_UNITS = {"Y": "YEARS", "m": "MONTHS", "d": "DAYS", "H": "HOURS", "M": "MINUTES", "S": "SECONDS"}
_RANGES = {
    "m": (1, 12),
    "d": (1, 31),
    "j": (1, 366),
    "H": (0, 23),
    "M": (0, 59),
    "S": (0, 59),
    "y": (0, 99),
    "V": (1, 53),
    "U": (0, 53),
    "W": (0, 53),
    "u": (1, 7),
}


def projection_of(partition: Partition, since: date | None) -> dict[str, str]:
    """Give the properties for one partition, without `projection.{column}.`.

    Args:
        partition: one that is a column.
        since: the first day; None for a year before each query.
    """
    if partition.values:
        return enum(partition.values)
    folder = partition.folder
    if folder.is_time:
        unit = _unit(folder)
        if unit:
            return _date(folder, unit, since)
        if len(folder.value) == 1 and folder.value[0].text in _RANGES:
            low, high = _RANGES[folder.value[0].text]
            digits = DIGITS[folder.value[0].text]
            return {"type": "integer", "range": f"{low},{high}", "digits": str(digits)}
    return {"type": "injected"}


def enum(values: Sequence[str]) -> dict[str, str]:
    """Give the properties of a column with these values, or, of too many, of one that is asked."""
    text = ",".join(values)
    if len(text) > MOST_ENUM_BYTES:
        return {"type": "injected"}
    return {"type": "enum", "values": text}


def _unit(folder: Folder) -> str:
    """Give the step of a folder that is a date, or nothing: a date has all units above its least.

    Every part of it is written once.
    """
    letters = [piece.text for piece in folder.value if piece.kind is Kind.ARRIVAL]
    if sorted(letters) == ["Y", "j"]:
        return "DAYS"
    ladder = list(_UNITS)[: len(letters)]
    return _UNITS[ladder[-1]] if sorted(letters) == sorted(ladder) else ""


def _date(folder: Folder, unit: str, since: date | None) -> dict[str, str]:
    """Give the properties of a date, in the form that it has in keys."""
    first = (
        "NOW-1YEARS" if since is None else "".join(_text(piece, since) for piece in folder.value)
    )
    return {
        "type": "date",
        "format": "".join(map(_pattern, folder.value)),
        "range": f"{first},NOW",
        "interval": "1",
        "interval.unit": unit,
    }


def _text(piece: Piece, since: date) -> str:
    """Write one part of the first date."""
    return since.strftime(f"%{piece.text}") if piece.kind is Kind.ARRIVAL else piece.text


def _pattern(piece: Piece) -> str:
    """Write one part as Java's pattern; letters that are meant as such are quoted."""
    if piece.kind is Kind.ARRIVAL:
        return _LETTERS[piece.text]
    return "".join(f"'{char}'" if char.isalpha() else char for char in piece.text)
