"""JSON on standard output: whole documents, one a line, each described in docs/json.md."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from batcher.cli.signals import stop_signals

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""Writes ASCII, and escapes all else. Unlike orjson, it accepts names that are not UTF-8."""


def to_json(document: Mapping[str, object]) -> str:
    """Return a document as one line of printable ASCII, without its newline."""
    return _encode(document).replace("\x7f", "\\u007f")


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
