"""Sizes as people write them: `64MiB`, `10MB`, `4096`."""

_DECIMAL_STEPS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def format_size(size_bytes: float) -> str:
    """Write bytes for people: `1.4 MB`."""
    for step, unit in _DECIMAL_STEPS:
        if size_bytes >= step:
            return f"{size_bytes / step:,.1f} {unit}"
    return f"{size_bytes:,.0f} B"
