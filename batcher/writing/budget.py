"""Budget: limits the bytes held at once, by making new records wait for room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_BACKLOG_BYTES = 32 * 1024**2
"""If more text than this waits, the encoder is far behind: it needs 1/3 s to encode it."""


BATCH_BYTES = 4096
"""What a batch is charged besides its text, until its outcome is known.

Source: measured with CPython 3.11 and 100,000 batches, 3.5 KB while open and 4.2 KB while written.
"""


class Budget:
    """Counts held bytes against a limit. Taking waits, first come, first served.

    Taking also waits while the encoder is far behind. More text would be held without being
    encoded, and its buffers would fragment the heap (measured: a third more memory for the same
    budget, and no more speed).
    """

    def __init__(self, limit_bytes: int) -> None:
        """Start with nothing held."""
        self.limit_bytes = limit_bytes
        self.batch_bytes: int = min(BATCH_BYTES, limit_bytes // 256)
        """Charged for each batch besides its text. Less if the budget is below 1 MiB."""
        self.held_bytes: int = 0
        self.peak_bytes: int = 0
        self.backlog_bytes = 0
        """Held text that streaming writers could encode now but have not taken yet."""
        self._turn_lock = asyncio.Lock()
        self._freed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Budget {self.held_bytes} of {self.limit_bytes} bytes held>"

    def has_room(self, size_bytes: int) -> bool:
        """Return whether `size_bytes` fit. More than the whole limit fits if nothing is held."""
        if self.held_bytes == 0:
            return True
        is_behind = self.backlog_bytes > MAX_BACKLOG_BYTES
        return self.held_bytes + size_bytes <= self.limit_bytes and not is_behind

    async def take(self, size_bytes: int, make_room: Callable[[int], None]) -> None:
        """Wait for room, after those who waited earlier, and hold `size_bytes` more.

        Args:
            size_bytes: the bytes to hold.
            make_room: called before each wait with the number of missing bytes. It must start
                writing held bytes, or the wait does not end.
        """
        if self.take_nowait(size_bytes):
            return
        async with self._turn_lock:
            while not self.has_room(size_bytes):
                self._freed.clear()
                make_room(self.held_bytes + size_bytes - self.limit_bytes)
                await self._freed.wait()
            self.adjust(size_bytes)

    def take_nowait(self, size_bytes: int) -> bool:
        """Hold `size_bytes` more if they fit and nobody waits for room. Return whether they do."""
        if self._turn_lock.locked() or not self.has_room(size_bytes):
            return False
        self.adjust(size_bytes)
        return True

    def adjust(self, delta_bytes: int) -> None:
        """Hold `delta_bytes` more without waiting. A negative number releases bytes."""
        self.held_bytes += delta_bytes
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)
        if delta_bytes < 0:
            self.notify()

    def notify(self) -> None:
        """Wake the waiting `take`: bytes were released, or a streaming writer has no text left."""
        self._freed.set()
