"""Collects everything that is wrong with the usage of a command, and reports it in one message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from batcher.cli.output import echo
from batcher.errors import SettingsError


class FaultCollector:
    """Collects faults, so that one message can report them all.

    Use it as a context manager, several times. Each `with` block ends at its first `SettingsError`.
    Call `raise_if_any` before using values that the blocks set.
    """

    def __init__(self, faults: Iterable[str] = ()) -> None:
        self._faults = list(faults)

    def __enter__(self) -> None:
        """Start collecting."""

    def __exit__(self, _kind: object, error: object, _trace: object) -> bool:
        """Keep the faults of a `SettingsError` and suppress it. Other exceptions pass."""
        if not isinstance(error, SettingsError):
            return False
        self._faults += error.faults
        return True

    def raise_if_any(self) -> None:
        """Raise if any block failed.

        Raises:
            SettingsError: with every fault.
        """
        if self._faults:
            raise SettingsError(self._faults)


def echo_usage_faults(command_path: str, faults: Sequence[str]) -> None:
    """Print everything that is wrong with the usage of a command, as one message."""
    lines = ["wrong usage or settings:", *(f"  - {fault}" for fault in faults)]
    echo("\n".join([*lines, f"try '{command_path} --help'"]), "error", command_path)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return a question for the names that are like a mistyped one, or nothing."""
    near = find_near(word, names)
    return f"; did you mean {' or '.join(near)}?" if near else ""


_VAGUE_WORDS = {"to"}
"""Words of options that say nothing about them alone, as in `--skip-to`."""


MIN_LIKENESS = 0.75
"""Of names that are like a mistyped one, by difflib: one letter of three is missing, or more."""


def find_near(word: str, names: Iterable[str]) -> list[str]:
    """Return the names that a mistyped one probably meant.

    They start with it, or have it as a word or as the start of one, or else are very much like it.
    """
    bare = word.lstrip("-")
    by_bare = {name.lstrip("-"): name for name in sorted(names)}
    started = [name for each, name in by_bare.items() if each.startswith(bare)]
    if len(bare) > 1 and started:
        return started[:3]
    holding = [name for each, name in by_bare.items() if _has_word(each, bare)]
    swapped = [name for each, name in by_bare.items() if sorted(each) == sorted(bare)]
    like = difflib.get_close_matches(bare, by_bare, 1, MIN_LIKENESS)
    return holding[:3] or swapped[:1] or [by_bare[each] for each in like]


def _has_word(name: str, start: str) -> bool:
    """Return whether a word of a name is this, or starts with it if that is no coincidence."""
    if start in _VAGUE_WORDS:
        return False
    words = name.split("-")
    return start in words or (len(start) > 2 and any(each.startswith(start) for each in words))  # noqa: PLR2004  # letters
