"""Seats: how many flights are worked on at once; one that only waits gives its seat to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Seats:
    """Some seats, and who is told when one becomes free."""

    def __init__(self, count: int, on_free: Callable[[], None]) -> None:
        """Begin with all of them free."""
        self._free = count
        self._on_free = on_free

    @property
    def is_over(self) -> bool:
        """Whether more are taken than there are: those who waited are back."""
        return self._free < 0

    def take_nowait(self) -> bool:
        """Take a seat, if one is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Free a seat."""
        self._free += 1

    @contextmanager
    def left(self) -> Iterator[None]:
        """Give the seat away meanwhile; it is taken again at the end, free or not."""
        self._free += 1
        self._on_free()
        try:
            yield
        finally:
            self._free -= 1


taken: ContextVar[Seats | None] = ContextVar("taken", default=None)
"""Where the flight of this task has its seat; None: nowhere."""


@contextmanager
def aside() -> Iterator[None]:
    """Wait for the store, or for the time, without keeping another flight from its seat."""
    seats = taken.get()
    if seats is None:
        yield
    else:
        with seats.left():
            yield
