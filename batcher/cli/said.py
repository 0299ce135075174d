"""Said: what a command tells on standard error; a name or a body in it cannot steer a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from batcher.printable import shown


def say(text: str) -> None:
    """Tell people something, in one line or several."""
    print(f"batcher: {shown(text)}", file=sys.stderr)  # noqa: T201  # what a command line is for


@contextmanager
def warnings_said() -> Iterator[None]:
    """Tell in the same way what batcher logs meanwhile."""
    log, ours = logging.getLogger("batcher"), _Said(logging.WARNING)
    log.addHandler(ours)
    try:
        yield
    finally:
        log.removeHandler(ours)


class _Said(logging.Handler):
    """Tells one line of the log; a bar that is on the screen moves down for it."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {record.getMessage()}")
