"""RefusedError: why no package or lock is made, in words for whoever typed the command."""

from __future__ import annotations


class RefusedError(Exception):
    """Nothing was made; the message says what to do."""
