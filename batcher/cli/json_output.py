"""JSON on standard output: whole documents, one a line, each described in docs/json.md."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from batcher.cli.json_line import to_json
from batcher.cli.signals import stop_signals


def print_json(documents: Iterable[Mapping[str, object]]) -> None:
    """Print documents to standard output, one a line, and flush it.

    A signal that arrives meanwhile takes effect after the last one, so that a reader that is slow
    gets no half document.
    """
    lines = "".join(f"{to_json(document)}\n" for document in documents).encode()
    with _signals_held():
        sys.stdout.flush()
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Raise the signals that would end this process, or interrupt it, only at the end."""
    received: list[int] = []
    previous = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in stop_signals()
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
