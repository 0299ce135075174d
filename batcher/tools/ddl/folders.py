"""Folders: the folders of an object's path that a `partition_by` template defines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter

_DIRECTIVE = re.compile(r"%(.)")

DIRECTIVE_DIGITS = dict.fromkeys("ymdHMSVUW", 2) | {"Y": 4, "G": 4, "j": 3, "u": 1}
"""Number of digits per directive of an arrival time."""

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
    """The kind of a template's piece."""

    LITERAL = "literal"
    ARRIVAL = "arrival"
    FIELD = "field"


@dataclass(frozen=True, slots=True)
class TemplatePiece:
    """A piece of a template: literal text, one directive of a time, or a field."""

    kind: PieceKind
    text: str
    """The literal itself, the letter of one `strftime` directive, or a field's path."""

    @property
    def pattern(self) -> str:
        """A regular expression for the piece's text, in syntax that all engines understand."""
        if self.kind is PieceKind.LITERAL:
            return _escape_regex(self.text)
        return (
            f"[0-9]{{{DIRECTIVE_DIGITS[self.text]}}}" if self.kind is PieceKind.ARRIVAL else "[^/]+"
        )

    @property
    def glob(self) -> str:
        """A glob for the piece. Literals cannot contain special characters of globs."""
        if self.kind is PieceKind.LITERAL:
            return self.text
        return "[0-9]" * DIRECTIVE_DIGITS[self.text] if self.kind is PieceKind.ARRIVAL else "*"


@dataclass(frozen=True, slots=True)
class PartitionFolder:
    """One folder of a partition's path: literal text, followed by a value."""

    literal_start: str
    """For example `dt=`. The whole name if the folder is constant."""
    value_pieces: tuple[TemplatePiece, ...]
    """The pieces of the value. Empty if the folder is constant."""

    @property
    def is_field(self) -> bool:
        """Whether the value is exactly one record field, and therefore percent-encoded."""
        return [piece.kind for piece in self.value_pieces] == [PieceKind.FIELD]

    @property
    def is_time(self) -> bool:
        """Whether the value consists of arrival times only."""
        return bool(self.value_pieces) and all(
            piece.kind is not PieceKind.FIELD for piece in self.value_pieces
        )

    @property
    def name(self) -> str:
        """The name of the value: that before `=`, else derived from its first piece."""
        if "=" in self.literal_start:
            return to_column_name(self.literal_start.partition("=")[0])
        first = self.value_pieces[0]
        if first.kind is PieceKind.ARRIVAL:
            letters = [piece.text for piece in self.value_pieces if piece.kind is PieceKind.ARRIVAL]
            return _DIRECTIVE_NAMES.get(first.text, "part") if len(letters) == 1 else "dt"
        return to_column_name(first.text.rpartition(".")[2])

    @property
    def pattern(self) -> str:
        """A regular expression for the folder, with its value as a group."""
        value = "".join(piece.pattern for piece in self.value_pieces)
        return _escape_regex(self.literal_start) + (f"({value})" if value else "")

    @property
    def glob(self) -> str:
        """A glob for the folder. Without a literal start it is exact, to match no other folder."""
        exact = not self.literal_start or not self.value_pieces
        return self.literal_start + (
            "".join(piece.glob for piece in self.value_pieces) if exact else "*"
        )


def parse_folders(partition_by: str) -> list[PartitionFolder]:
    """Parse a template that `batcher.keys.partition.PartitionTemplate` has accepted."""
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
    """Return a column name valid in every engine: a-z, 0-9 and `_`, not starting with a digit."""
    name = _NOT_IN_NAMES.sub("_", text.lower()) or "part"
    return f"_{name}" if name[0].isdecimal() else name


def _split_template(text: str) -> Iterator[TemplatePiece]:
    """Yield the pieces of a template. Each directive of a time is one piece."""
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
    """Return a folder, divided into its literal start and its value."""
    literals = [piece.kind is PieceKind.LITERAL for piece in pieces]
    count = literals.index(False) if False in literals else len(pieces)
    return PartitionFolder("".join(piece.text for piece in pieces[:count]), tuple(pieces[count:]))


def _escape_regex(text: str) -> str:
    """Return a regular expression for a literal. Of its possible characters only `.` is special."""
    return text.replace(".", r"\.")
