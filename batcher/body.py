"""Body: encoded bytes that wait to be sent, and the parts they are cut into."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator


class Body:
    """Encoded bytes that wait to be sent."""

    def __init__(self) -> None:
        """Start empty."""
        self._pieces: deque[bytes] = deque()
        self.size_bytes = 0
        self.total_bytes = 0
        """All bytes that ever were in it."""

    def append(self, piece: bytes) -> None:
        """Put a piece at its end."""
        self._pieces.append(piece)
        self.size_bytes += len(piece)
        self.total_bytes += len(piece)

    def cut(self, size_bytes: int) -> bytes:
        """Take so many bytes off its start; it has at least as many."""
        taken: list[bytes | memoryview] = []
        missing = size_bytes
        while missing:
            piece = self._pieces.popleft()
            if len(piece) > missing:
                self._pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            taken.append(piece)
            missing -= len(piece)
        self.size_bytes -= size_bytes
        return b"".join(taken)

    def rest(self) -> bytes:
        """Take all that is left."""
        return self._pieces[0] if len(self._pieces) == 1 else self.cut(self.size_bytes)


async def parts_of(
    body: Body, encoded: AsyncIterator[bytes], part_bytes: int
) -> AsyncGenerator[bytes]:
    """Cut a body into parts of one size as it comes; the last one may be shorter."""
    while body.size_bytes >= part_bytes:
        yield body.cut(part_bytes)
    async for piece in encoded:
        body.append(piece)
        while body.size_bytes >= part_bytes:
            yield body.cut(part_bytes)
    if body.size_bytes:
        yield body.cut(body.size_bytes)
