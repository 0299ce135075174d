"""Said: what a command tells on standard error; a name or a body in it cannot steer a terminal."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Tell people something, in one line or several."""
    print(f"batcher: {shown(text)}", file=sys.stderr)  # noqa: T201  # what a command line is for


def shown(text: str) -> str:
    """Give text whose lines can be printed, whatever stood in them: escapes, bells, colours."""
    return "\n".join(
        line if line.isprintable() else line.encode("unicode_escape").decode()
        for line in text.split("\n")
    )
