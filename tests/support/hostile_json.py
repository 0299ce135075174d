"""Records that would take many times their size if their values were built."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Make = Callable[[int], bytes]


def repeated(start: bytes, unit: bytes, end: bytes) -> Make:
    """Return a function that makes a record of a size by repeating `unit`."""

    def make(size_bytes: int) -> bytes:
        return start + unit * ((size_bytes - len(start) - len(end)) // len(unit)) + end

    return make


def nested(depth: int) -> bytes:
    """Return arrays of this depth."""
    return b"[" * depth + b"]" * depth


def _many_keys(size_bytes: int) -> bytes:
    return b"{" + b",".join(b'"%08x":0' % number for number in range(size_bytes // 13)) + b"}"


GOOD: Mapping[str, Make] = {
    "objects": repeated(b"[", b'{"":0},', b"{}]"),
    "nested and wide": repeated(b'{"x":[' + nested(300), b",[]", b"]}"),
    "nested to the limit and wide": repeated(b'{"x":[' + nested(1022), b",[[]]", b"]}"),
    "keys": _many_keys,
    "one key again and again": repeated(b"{", b'"x":[],', b'"x":1}'),
    "digits": repeated(b'{"x":', b"1", b"}"),
    "digits after the point": repeated(b'{"x":0.', b"1", b"}"),
    "numbers over a double": repeated(b'{"x":[', b"1e999,", b"1]}"),
    "numbers of 4,300 digits": repeated(b'{"x":[', b"1" * 4_300 + b",", b"1]}"),
    "escapes": repeated(b'{"x":"', b"\\u0041", b'"}'),
    "a wide character": repeated(b'{"x":"', b"a", '\U0001f600"}'.encode()),
    "line ends": repeated(b"[", b'{"":0},\r', b"{}]"),
}
"""Valid records of up to 1,024 levels."""

BAD: Mapping[str, Make] = {
    "nested too deep": lambda size_bytes: nested(size_bytes // 2),
    "too deep within wide": repeated(b"[" + nested(1024), b',{"":0}', b"]"),
    "objects and a fault": repeated(b"[", b'{"":0},', b"{}]x"),
    "nested and a fault": repeated(b"[" + nested(1000), b",[]", b"}"),
    "not UTF-8": lambda size_bytes: b"\xff" * size_bytes,
    "a wide character and a fault": repeated(b'{"x":"', b"a", '\U0001f600"}'.encode() + b"\xff"),
    "control characters": lambda size_bytes: b"\x01" * size_bytes,
    "quotes": lambda size_bytes: b'"' * size_bytes,
}
"""Records that go to quarantine."""
