"""Answer: what an engine is given, and what its user must know besides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """Text for one engine."""

    text: str
    """Statements or a program, to be run as they are; ends with a newline."""
    notes: tuple[str, ...] = ()
    """What to know of it, a sentence or two each."""
