"""Faults: what is wrong with a command line, gathered, so that one message names it all."""

from __future__ import annotations

from types import TracebackType

from batcher.errors import SettingsError


class Faults:
    """Gathers the faults of what is done within it, again and again; `tell` when all is read."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: list[str] = []

    def __enter__(self) -> None:
        """Gather."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Go on after a `SettingsError`: what it was raised from has no value then."""
        if not isinstance(error, SettingsError):
            return False
        self._found += error.faults
        return True

    def tell(self) -> None:
        """Do nothing if there was no fault: everything has a value.

        Raises:
            SettingsError: with every fault.
        """
        if self._found:
            raise SettingsError(self._found)
