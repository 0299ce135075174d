"""Printable: text from anywhere, escaped where it could steer a terminal or break a line."""

from __future__ import annotations

SHOWN_CHARACTERS = 300


def printable(text: str) -> str:
    """Give text that can be printed and written as JSON, whatever a key or a body has in it.

    It is one line, and no longer than people read.
    """
    return _escaped(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")


def shown(text: str) -> str:
    """Give text whose lines can be printed, whatever stood in them: escapes, bells, colours."""
    return "\n".join(map(_escaped, text.split("\n")))


def _escaped(line: str) -> str:
    return line if line.isprintable() else line.encode("unicode_escape").decode()
