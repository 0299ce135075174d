"""The error that `package.py` shows to its user."""

from __future__ import annotations


class RefusedError(Exception):
    """The package was not built. The message says what to do."""
