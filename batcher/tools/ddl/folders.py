"""Folders: what a `partition_by` template makes of an object's path, one after another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter

_DIRECTIVE = re.compile(r"%(.)")


DIRECTIVE_DIGITS = dict.fromkeys("ymdHMSVUW", 2) | {"Y": 4, "G": 4, "j": 3, "u": 1}
"""How many digits each directive of an arrival time writes."""


_DIRECTIVE_NAMES = {
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


_NOT_IN_NAMES = re.compile(r"[^a-z0-9_]")


class PieceKind(StrEnum):
    """What a piece of a template is."""

    LITERAL = "literal"
    ARRIVAL = "arrival"
    FIELD = "field"


@dataclass(frozen=True, slots=True)
class TemplatePiece:
    """A piece of a template."""

    kind: PieceKind
    text: str
    """The literal itself, the letter of one `strftime` directive, or a field's path."""

    @property
    def pattern(self) -> str:
        """A regular expression, of those that all engines read, for what can stand here."""
        if self.kind is PieceKind.LITERAL:
            return _escape_regex(self.text)
        return (
            f"[0-9]{{{DIRECTIVE_DIGITS[self.text]}}}" if self.kind is PieceKind.ARRIVAL else "[^/]+"
        )

    @property
    def glob(self) -> str:
        """A glob for it; literals of a template hold nothing that a glob would take otherwise."""
        if self.kind is PieceKind.LITERAL:
            return self.text
        return "[0-9]" * DIRECTIVE_DIGITS[self.text] if self.kind is PieceKind.ARRIVAL else "*"


@dataclass(frozen=True, slots=True)
class PartitionFolder:
    """One folder of a partition's path: a literal start, then a value."""

    literal_start: str
    """`dt=`, say; all of it where the folder is always the same."""
    value_pieces: tuple[TemplatePiece, ...]
    """What follows; empty where the folder is always the same."""

    @property
    def is_field(self) -> bool:
        """Whether the value is one record field and nothing else, so percent-encoded."""
        return [piece.kind for piece in self.value_pieces] == [PieceKind.FIELD]

    @property
    def is_time(self) -> bool:
        """Whether arrival times alone make the value."""
        return bool(self.value_pieces) and all(
            piece.kind is not PieceKind.FIELD for piece in self.value_pieces
        )

    @property
    def name(self) -> str:
        """What the value is called: as in `name=`, else by what it is made of."""
        if "=" in self.literal_start:
            return to_column_name(self.literal_start.partition("=")[0])
        first = self.value_pieces[0]
        if first.kind is PieceKind.ARRIVAL:
            letters = [piece.text for piece in self.value_pieces if piece.kind is PieceKind.ARRIVAL]
            return _DIRECTIVE_NAMES.get(first.text, "part") if len(letters) == 1 else "dt"
        return to_column_name(first.text.rpartition(".")[2])

    @property
    def pattern(self) -> str:
        """A regular expression for the folder, its value as a group."""
        value = "".join(piece.pattern for piece in self.value_pieces)
        return _escape_regex(self.literal_start) + (f"({value})" if value else "")

    @property
    def glob(self) -> str:
        """A glob for the folder; one without a start is exact, so that no other folder fits."""
        exact = not self.literal_start or not self.value_pieces
        return self.literal_start + (
            "".join(piece.glob for piece in self.value_pieces) if exact else "*"
        )


def parse_folders(partition_by: str) -> list[PartitionFolder]:
    """Take a template apart that `batcher.keys.partition.Template` found no fault with."""
    folders: list[list[TemplatePiece]] = []
    for piece in _split_template(partition_by.strip("/")):
        first, *others = piece.text.split("/") if piece.kind is PieceKind.LITERAL else [piece.text]
        if not folders:
            folders.append([])
        if first:
            folders[-1].append(TemplatePiece(piece.kind, first))
        folders += [[TemplatePiece(PieceKind.LITERAL, text)] if text else [] for text in others]
    return [_make_folder(pieces) for pieces in folders]


def to_column_name(text: str) -> str:
    """Make a name that every engine takes as a column's: a-z, 0-9 and `_`, no digit first."""
    name = _NOT_IN_NAMES.sub("_", text.lower()) or "part"
    return f"_{name}" if name[0].isdecimal() else name


def _split_template(text: str) -> Iterator[TemplatePiece]:
    """Cut a template; the directives of a time are a piece each."""
    for literal, kind, argument, _ in Formatter().parse(text):
        if literal:
            yield TemplatePiece(PieceKind.LITERAL, literal)
        if kind == "field":
            yield TemplatePiece(PieceKind.FIELD, argument or "")
        elif kind == "arrival":
            for index, part in enumerate(_DIRECTIVE.split(argument or "")):
                if index % 2 and part != "%":
                    yield TemplatePiece(PieceKind.ARRIVAL, part)
                elif part:
                    yield TemplatePiece(PieceKind.LITERAL, part)


def _make_folder(pieces: list[TemplatePiece]) -> PartitionFolder:
    """Divide a folder's literal start from its value."""
    kinds = [piece.kind is PieceKind.LITERAL for piece in pieces]
    count = kinds.index(False) if False in kinds else len(pieces)
    return PartitionFolder("".join(piece.text for piece in pieces[:count]), tuple(pieces[count:]))


def _escape_regex(text: str) -> str:
    """Make a literal a regular expression: of what a template may hold only the dot is special."""
    return text.replace(".", r"\.")
