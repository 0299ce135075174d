"""Position: the text that identifies one record of an event, made from the source's identity.

Nearly always the two are equal. Only where several records share an identity, all but the first
have an index: `49590338271490256608/1`.
"""

from __future__ import annotations

_SEPARATOR = "/"


def indexed_position(identity: str, index: int) -> str:
    """Return the position of a further record of an identity. The index is 1 or more."""
    return f"{identity}{_SEPARATOR}{index}"


def sequence_number(position: str) -> str:
    """Return a position of a stream without its index. Names and ranges of objects have none."""
    number, separator, index = position.partition(_SEPARATOR)
    return number if separator and number.isdecimal() and index.isdecimal() else position
