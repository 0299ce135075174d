"""Collects everything that is wrong with the usage of a command, and reports it in one message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from types import TracebackType

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
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


def find_near(word: str, names: Iterable[str]) -> list[str]:
    """Return the names that start with a word of some length, or else are like it."""
    names = sorted(names)
    bare = word.lstrip("-")
    started = [name for name in names if len(bare) > 1 and name.lstrip("-").startswith(bare)]
    return started[:3] or difflib.get_close_matches(word, names, 1)
