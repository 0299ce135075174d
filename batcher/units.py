"""Sizes as people write them: `64MiB`, `10MB`, `4096`."""

import re

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DECIMAL_STEPS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def parse_size(value: object) -> int:
    """Give the bytes of `64MiB` (binary), `10MB` (decimal), `4096` or a whole number.

    Raises:
        ValueError: it is none of these, or not a whole number of bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[3] and not match[2]):
        msg = f"expected a size such as 64MiB, 10MB or bytes, got {value!r}"
        raise ValueError(msg)
    base = 1024 if match[3] else 1000
    from fractions import Fraction  # noqa: PLC0415  # sizes come as text seldom

    size = Fraction(match[1]) * base ** _POWERS[match[2].lower()]
    if size.denominator != 1:
        msg = f"{value!r} is not a whole number of bytes"
        raise ValueError(msg)
    return int(size)


def show_size(size_bytes: float) -> str:
    """Write bytes for people: `1.4 MB`."""
    for step, unit in _DECIMAL_STEPS:
        if size_bytes >= step:
            return f"{size_bytes / step:,.1f} {unit}"
    return f"{size_bytes:,.0f} B"
