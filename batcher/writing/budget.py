"""Budget: the bytes held at once, and the waiting when they are spent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_BACKLOG_BYTES = 32 * 1024**2
"""The encoder is far behind with more than this: a third of a second of its work."""


class Budget:
    """Counts held bytes against a limit. Taking waits, in turn; giving back never does.

    Taking also waits while the encoder is far behind: more text would only lie there, and make
    holes between the buffers (measured: a third more memory for the same budget, no more speed).
    """

    def __init__(self, limit_bytes: int) -> None:
        """Start with nothing held."""
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.peak_bytes = 0
        self.backlog_bytes = 0
        """Of those held, text that the encoder could take at once, but has not come to yet."""
        self._turn_lock = asyncio.Lock()
        self._freed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Budget {self.held_bytes} of {self.limit_bytes} bytes held>"

    def has_room(self, size_bytes: int) -> bool:
        """Return whether so much fits; what is over the whole limit fits when nothing is held."""
        if self.held_bytes == 0:
            return True
        is_behind = self.backlog_bytes > MAX_BACKLOG_BYTES
        return self.held_bytes + size_bytes <= self.limit_bytes and not is_behind

    async def take(self, size_bytes: int, make_room: Callable[[int], None]) -> None:
        """Hold `size_bytes` more, as soon as there is room and those who came before have it.

        Args:
            size_bytes: what is asked for.
            relieve: called with the bytes that are short, whenever we are about to wait; it sets
                held bytes on their way out, so that waiting ends.
        """
        if not self._turn_lock.locked() and self.has_room(size_bytes):
            self.adjust(size_bytes)
            return
        async with self._turn_lock:
            while not self.has_room(size_bytes):
                self._freed.clear()
                make_room(self.held_bytes + size_bytes - self.limit_bytes)
                await self._freed.wait()
            self.adjust(size_bytes)

    def adjust(self, delta_bytes: int) -> None:
        """Count so much more as held, without waiting; a negative size gives back."""
        self.held_bytes += delta_bytes
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)
        if delta_bytes < 0:
            self.notify()

    def notify(self) -> None:
        """Let whoever waits look again: bytes were given back, or nothing moves any more."""
        self._freed.set()
