"""Columns: sequences of one value per record, in less memory than a list.

For example, `ConstantColumn` holds one value for all records of a chunk. These are not the columns
of a table, which are in `tools/ddl/columns.py`.

Every column is a `Sequence`. Add a form here if a source gives values that need not be expanded.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from typing import ClassVar, Self, TypeVar, cast, overload

T = TypeVar("T")


class CompactColumn(Sequence[T]):
    """Base of the short forms. Columns are equal if their type and constructor arguments are."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._constructor_args() == other._constructor_args()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._constructor_args()}"

    def _constructor_args(self) -> tuple[object, ...]:
        """Return the arguments of the constructor, in order."""
        return tuple(getattr(self, name) for name in self.__slots__ if name != "__dict__")


class ConstantColumn(CompactColumn[T]):
    """A column in which every record has the same value. Its length costs no memory."""

    __slots__ = ("value", "length")  # noqa: RUF023  # in the order of the constructor

    def __init__(self, value: T, length: int) -> None:
        """Repeat `value` for `length` records."""
        self.value: T = value
        self.length: int = length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> ConstantColumn[T]: ...
    def __getitem__(self, index: int | slice) -> T | ConstantColumn[T]:
        """Return the value, or a shorter column."""
        if isinstance(index, slice):
            return ConstantColumn(self.value, len(range(*index.indices(self.length))))
        range(self.length)[index]  # raises IndexError, which ends an iteration
        return self.value


class NumbersColumn(CompactColumn[str]):
    """Positions made of a prefix and a rising number: some of the lines of a file."""

    __slots__ = ("prefix", "numbers")  # noqa: RUF023  # as above

    def __init__(self, prefix: str, numbers: range | array[int]) -> None:
        """Make positions of `prefix` followed by each number."""
        self.prefix: str = prefix
        self.numbers: range | array[int] = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[str]:
        return map(self.prefix.__add__, map(str, self.numbers))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> str | Self:
        """Return one position as text, or a shorter column."""
        if isinstance(index, slice):
            return type(self)(self.prefix, self.numbers[index])
        return f"{self.prefix}{self.numbers[index]}"

    def take(self, indices: Sequence[int]) -> NumbersColumn:
        """Return the positions at `indices`, in 4 bytes each where they fit."""
        code = "I" if not self.numbers or self.numbers[-1] < 2**32 else "Q"
        return NumbersColumn(self.prefix, array(code, map(self.numbers.__getitem__, indices)))

    def _constructor_args(self) -> tuple[object, ...]:
        return self.prefix, self.numbers


class RangeColumn(NumbersColumn):
    """Positions whose numbers are consecutive: lines of a file, records of a program."""

    __slots__ = ()
    numbers: range

    def __init__(self, prefix: str, numbers: range) -> None:
        """Make positions of `prefix` followed by each number."""
        super().__init__(prefix, numbers)

    def join(self, following: RangeColumn) -> RangeColumn | None:
        """Return one column of this and `following`, or None if the numbers do not continue."""
        if self.prefix != following.prefix or self.numbers.stop != following.numbers.start:
            return None
        return RangeColumn(self.prefix, range(self.numbers.start, following.numbers.stop))

    def __str__(self) -> str:
        """Return the column in short: `events.ndjson:1-5000`."""
        if not self.numbers:
            return self.prefix
        return f"{self.prefix}{self.numbers[0]}-{self.numbers[-1]}"


class MillisColumn(CompactColumn[float]):
    """Times in whole milliseconds. They are converted to seconds only when they are read.

    Digits of one width may stay `str`: they sort as the numbers do.
    """

    __slots__ = ("values_ms", "__dict__")  # noqa: RUF023  # as above

    def __init__(self, values_ms: Sequence[int] | Sequence[str]) -> None:
        """Hold times in milliseconds since 1970."""
        self.values_ms: Sequence[int] | Sequence[str] = values_ms

    @cached_property
    def min_s(self) -> float:
        """The earliest time, in seconds since 1970."""
        return int(min(self.values_ms)) / 1000

    @cached_property
    def max_s(self) -> float:
        """The latest time, in seconds since 1970."""
        return int(max(self.values_ms)) / 1000

    def __len__(self) -> int:
        return len(self.values_ms)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> MillisColumn: ...
    def __getitem__(self, index: int | slice) -> float | MillisColumn:
        """Return one time in seconds, or a shorter column."""
        if isinstance(index, slice):
            return MillisColumn(self.values_ms[index])
        return int(self.values_ms[index]) / 1000


class LinesColumn(CompactColumn[bytes]):
    """Payloads that are the lines of one text, which is split only when a payload is read."""

    __slots__ = ("text", "length", "__dict__")  # noqa: RUF023  # as above

    def __init__(self, text: bytes, length: int) -> None:
        """Hold a text of `length` lines, each with its newline."""
        self.text: bytes = text
        self.length: int = length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return one line or several, without their newlines."""
        return self._lines[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines)

    @cached_property
    def _lines(self) -> list[bytes]:
        lines = self.text.split(b"\n")
        del lines[-1]  # the empty rest after the last newline
        return lines


class JsonColumn(list[bytes]):
    """Payloads that orjson has written: each is one JSON value without line ends.

    They need no validation. Whatever replaces a payload makes a column of another type.
    """


def take_values(column: Sequence[T], indices: Sequence[int]) -> Sequence[T]:
    """Return the values of `column` at `indices`, in one call at C speed."""
    if isinstance(column, ConstantColumn):
        return ConstantColumn(column.value, len(indices))
    if isinstance(column, NumbersColumn):
        return cast("Sequence[T]", column.take(indices))
    if isinstance(column, LinesColumn):
        column = cast("Sequence[T]", column[:])
    if isinstance(column, MillisColumn):
        values_ms = cast("Sequence[int]", column.values_ms)
        return cast("Sequence[T]", MillisColumn(take_values(values_ms, indices)))
    if len(indices) > 1:
        return itemgetter(*indices)(column)  # type: ignore[no-any-return]  # typeshed: Any
    return [column[i] for i in indices]
