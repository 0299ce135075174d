"""Answers: what AWS says, that there is no such thing, or that nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batcher.checking.findings import Finding, error, not_checked


@dataclass(frozen=True, slots=True)
class Unknown:
    """AWS did not say."""

    why: str
    do: str = ""
    is_fault: bool = False
    """Whether nothing else will be answered either: no credentials, no network."""

    def finding(self, check: str, *, subject: str = "") -> Finding:
        """Tell of it: what may not be read is no fault of what is checked."""
        if self.is_fault:
            return error(check, self.why, self.do, subject=subject)
        return not_checked(check, self.why, subject=subject)


Answer = Mapping[str, Any] | Unknown | None
"""The answer as the API gives it; None: there is no such thing."""
