"""A document as one line of JSON that is safe for any program and terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""Writes ASCII, and escapes all else. Unlike orjson, it accepts names that are not UTF-8."""


def to_json(document: Mapping[str, object]) -> str:
    """Return a document as one line of printable ASCII, without its newline."""
    return _encode(document).replace("\x7f", "\\u007f")
