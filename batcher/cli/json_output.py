"""JSON on standard output: one document per line, as docs/reference/json.md describes them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Mapping

from batcher.cli.json_line import to_json
from batcher.cli.signals import handle_stop_signals


def print_json(documents: Iterable[Mapping[str, object]]) -> None:
    """Print documents to standard output, one a line, and flush it.

    A signal that arrives meanwhile takes effect after the last one, so that a reader that is slow
    gets no half document.
    """
    lines = "".join(f"{to_json(document)}\n" for document in documents).encode()
    received: list[int] = []
    try:
        with handle_stop_signals(lambda number, _: received.append(number)):
            sys.stdout.flush()
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()
    finally:
        for number in received:
            signal.raise_signal(number)
