"""Starts: what the first bytes of a file of JSON tell: a mark to be left out, or no JSON at all."""

from __future__ import annotations

import codecs
import shlex

UTF8_MARK = codecs.BOM_UTF8
"""What Windows puts before a text; JSON has no place for it. Source: RFC 8259, 8.1."""
_OTHERS = (
    (b"\xfd7zX", "compressed by xz", "xz -dc"),
    (b"BZh", "compressed by bzip2", "bzip2 -dc"),
    (codecs.BOM_UTF16_LE, "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (codecs.BOM_UTF16_BE, "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
)
"""What no JSON starts with, what that is, and what makes JSON of it."""


def why_no_json(start: bytes, name: str) -> str | None:
    """Say what an input is that is no JSON line by line, and what to do; None: it may be JSON.

    Args:
        start: its first four bytes, decompressed, or all if it has fewer.
        name: the input's.
    """
    for magic, what, command in _OTHERS:
        if start.startswith(magic):
            do = f"{command} {shlex.quote(name)} | batcher write - …"
            return f"{name}: cannot be read, for it is {what}: convert it first, as in {do}"
    return None
