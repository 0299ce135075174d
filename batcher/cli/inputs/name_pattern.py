"""Patterns of file names and keys: `*`, `?`, `[a-z]`, and `**` for folders at any depth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

ANY_DEPTH = "**"


_WILDCARD = re.compile(r"[*?\[]")


_HIDDEN = ("_", ".")
"""How names start that no wildcard matches, as in Spark: `_SUCCESS`, `_quarantine`, `.crc`."""


def has_wildcard(text: str) -> bool:
    """Return whether a text is a pattern."""
    return _WILDCARD.search(text) is not None


def fixed_start(text: str) -> str:
    """Return the start of a pattern up to its first wildcard."""
    found = _WILDCARD.search(text)
    return text if found is None else text[: found.start()]


class NamePattern:
    """A pattern of paths, matched name by name from the top.

    A folder that matches stands for everything below it, at any depth. Names that start with `.` or
    `_` are hidden: they match only a part of the pattern that starts with the same character.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        """Create a pattern of one part per name. Without parts it matches everything."""
        self._parts = parts
        self._matchers = [None if p == ANY_DEPTH else re.compile(translate(p)) for p in parts]
        self.start = self._close({0})
        """The state before the first name."""

    def step(self, state: frozenset[int], name: str) -> tuple[frozenset[int], bool]:
        """Return the state after one more name, and whether the name is left out as hidden.

        An empty state matches nothing, however the path goes on.
        """
        indices: set[int] = set()
        is_left_out = False
        for index in state:
            matcher = self._matchers[index] if index < len(self._parts) else None
            if matcher is not None and not matcher.match(name):
                continue
            if name.startswith(_HIDDEN) and (
                matcher is None or not self._parts[index].startswith(name[0])
            ):
                is_left_out = True
            else:
                indices.add(index if matcher is None else index + 1)
        return self._close(indices), is_left_out and not indices

    def is_match(self, state: frozenset[int]) -> bool:
        """Return whether a path matches that led to this state."""
        return len(self._parts) in state

    def is_any_depth(self, state: frozenset[int]) -> bool:
        """Return whether this state is below a folder that matches, or within a `**`."""
        return any(index == len(self._parts) or self._matchers[index] is None for index in state)

    def _close(self, indices: Iterable[int]) -> frozenset[int]:
        """Add the states that are reached without a name: `**` may stand for no folder."""
        closed = set(indices)
        for index, matcher in enumerate(self._matchers):
            if index in closed and matcher is None:
                closed.add(index + 1)
        return frozenset(closed)
