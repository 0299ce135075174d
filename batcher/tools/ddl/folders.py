"""Folders: what a `partition_by` template makes of an object's path, one after another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter

_DIRECTIVE = re.compile(r"%(.)")


DIGITS = dict.fromkeys("ymdHMSVUW", 2) | {"Y": 4, "G": 4, "j": 3, "u": 1}
"""How many digits each directive of an arrival time writes."""


_TIMES = {
    "Y": "year",
    "y": "year",
    "G": "year",
    "m": "month",
    "d": "day",
    "j": "day_of_year",
    "u": "weekday",
    "H": "hour",
    "M": "minute",
    "S": "second",
}


_NO_NAME = re.compile(r"[^a-z0-9_]")


class Kind(StrEnum):
    """What a piece of a template is."""

    LITERAL = "literal"
    ARRIVAL = "arrival"
    FIELD = "field"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a template."""

    kind: Kind
    text: str
    """The literal itself, the letter of one `strftime` directive, or a field's path."""

    @property
    def pattern(self) -> str:
        """A regular expression, of those that all engines read, for what can stand here."""
        if self.kind is Kind.LITERAL:
            return _escaped(self.text)
        return f"[0-9]{{{DIGITS[self.text]}}}" if self.kind is Kind.ARRIVAL else "[^/]+"

    @property
    def glob(self) -> str:
        """A glob for it; literals of a template hold nothing that a glob would take otherwise."""
        if self.kind is Kind.LITERAL:
            return self.text
        return "[0-9]" * DIGITS[self.text] if self.kind is Kind.ARRIVAL else "*"


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of a partition's path: a literal start, then a value."""

    start: str
    """`dt=`, say; all of it where the folder is always the same."""
    value: tuple[Piece, ...]
    """What follows; empty where the folder is always the same."""

    @property
    def is_field(self) -> bool:
        """Whether the value is one record field and nothing else, so percent-encoded."""
        return [piece.kind for piece in self.value] == [Kind.FIELD]

    @property
    def is_time(self) -> bool:
        """Whether arrival times alone make the value."""
        return bool(self.value) and all(piece.kind is not Kind.FIELD for piece in self.value)

    @property
    def name(self) -> str:
        """What the value is called: as in `name=`, else by what it is made of."""
        if "=" in self.start:
            return legal_name(self.start.partition("=")[0])
        first = self.value[0]
        if first.kind is Kind.ARRIVAL:
            letters = [piece.text for piece in self.value if piece.kind is Kind.ARRIVAL]
            return _TIMES.get(first.text, "part") if len(letters) == 1 else "dt"
        return legal_name(first.text.rpartition(".")[2])

    @property
    def pattern(self) -> str:
        """A regular expression for the folder, its value as a group."""
        value = "".join(piece.pattern for piece in self.value)
        return _escaped(self.start) + (f"({value})" if value else "")

    @property
    def glob(self) -> str:
        """A glob for the folder; one without a start is exact, so that no other folder fits."""
        exact = not self.start or not self.value
        return self.start + ("".join(piece.glob for piece in self.value) if exact else "*")


def folders_of(partition_by: str) -> list[Folder]:
    """Take a template apart that `batcher.keys.partition.Template` found no fault with."""
    folders: list[list[Piece]] = []
    for piece in _pieces(partition_by.strip("/")):
        first, *others = piece.text.split("/") if piece.kind is Kind.LITERAL else [piece.text]
        if not folders:
            folders.append([])
        if first:
            folders[-1].append(Piece(piece.kind, first))
        folders += [[Piece(Kind.LITERAL, text)] if text else [] for text in others]
    return [_folder(pieces) for pieces in folders]


def legal_name(text: str) -> str:
    """Make a name that every engine takes as a column's: a-z, 0-9 and `_`, no digit first."""
    name = _NO_NAME.sub("_", text.lower()) or "part"
    return f"_{name}" if name[0].isdecimal() else name


def _pieces(text: str) -> Iterator[Piece]:
    """Cut a template; the directives of a time are a piece each."""
    for literal, kind, argument, _ in Formatter().parse(text):
        if literal:
            yield Piece(Kind.LITERAL, literal)
        if kind == "field":
            yield Piece(Kind.FIELD, argument or "")
        elif kind == "arrival":
            for index, part in enumerate(_DIRECTIVE.split(argument or "")):
                if index % 2 and part != "%":
                    yield Piece(Kind.ARRIVAL, part)
                elif part:
                    yield Piece(Kind.LITERAL, part)


def _folder(pieces: list[Piece]) -> Folder:
    """Divide a folder's literal start from its value."""
    kinds = [piece.kind is Kind.LITERAL for piece in pieces]
    count = kinds.index(False) if False in kinds else len(pieces)
    return Folder("".join(piece.text for piece in pieces[:count]), tuple(pieces[count:]))


def _escaped(text: str) -> str:
    """Make a literal a regular expression: of what a template may hold only the dot is special."""
    return text.replace(".", r"\.")
