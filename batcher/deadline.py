"""Deadline: when the event that is being written must have its answer, for all that serve it."""

from __future__ import annotations

from contextvars import ContextVar

deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
"""On the event loop's clock; None: there is none. Tasks inherit it from who starts them."""
