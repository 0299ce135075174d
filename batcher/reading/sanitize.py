"""Printable: text from anywhere, escaped where it could steer a terminal or break a line."""

from __future__ import annotations

MAX_LINE_CHARACTERS = 300


def sanitize_line(text: str) -> str:
    """Return text that can be printed and written as JSON, whatever a key or a body has in it.

    It is one line, and no longer than people read.
    """
    return _escape(text if len(text) <= MAX_LINE_CHARACTERS else f"{text[:MAX_LINE_CHARACTERS]}…")


def sanitize(text: str) -> str:
    """Return text whose lines can be printed, whatever stood in them: escapes, bells, colours."""
    return "\n".join(map(_escape, text.split("\n")))


def _escape(line: str) -> str:
    return line if line.isprintable() else line.encode("unicode_escape").decode()
