"""Escape text from keys and bodies, so that it can neither control a terminal nor break a line."""

from __future__ import annotations

MAX_LINE_CHARACTERS = 300

MAX_DETAIL_CHARACTERS = 2_000


def sanitize_line(text: str) -> str:
    """Return `text` as one printable line of at most 300 characters, valid in JSON, too."""
    return _escape(text if len(text) <= MAX_LINE_CHARACTERS else f"{text[:MAX_LINE_CHARACTERS]}…")


def sanitize_detail(text: str) -> str:
    """Return `text` as one printable line, with room for a key, positions and a path."""
    return _escape(
        text if len(text) <= MAX_DETAIL_CHARACTERS else f"{text[:MAX_DETAIL_CHARACTERS]}…"
    )


def sanitize(text: str) -> str:
    """Return `text` with every line printable: control characters and such are escaped."""
    return "\n".join(map(_escape, text.split("\n")))


def _escape(line: str) -> str:
    return line if line.isprintable() else line.encode("unicode_escape").decode()
