"""FakeContext: what Lambda hands a handler besides the event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FakeContext:
    """Lambda's context, with so much time left."""

    left_ms: int

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the function is killed."""
        return self.left_ms
