"""Counts and sizes as text: `1 object`, `1.4 MB`."""

_DECIMAL_STEPS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def format_size(size_bytes: float) -> str:
    """Return a size in decimal units: `1.4 MB`."""
    for step, unit in _DECIMAL_STEPS:
        if size_bytes >= step:
            return f"{size_bytes / step:,.1f} {unit}"
    return f"{size_bytes:,.0f} B"


def format_count(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun in the singular or plural: `1 day`, `1,000 days`.

    Args:
        count: how many there are.
        noun: in the singular.
        plural: the plural of `noun`, if it is not `noun` with an `s`.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
