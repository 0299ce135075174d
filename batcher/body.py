"""Body: encoded bytes that wait to be sent, and the parts they are cut into."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator


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
        return self.cut(self.size_bytes)

    def full_parts(self, part_bytes: int) -> Iterator[bytes]:
        """Take parts of `part_bytes` off its start, as long as there are such."""
        while self.size_bytes >= part_bytes:
            yield self.cut(part_bytes)

    def parts(self, part_bytes: int) -> Iterator[bytes]:
        """Take all that is left in parts of one size; the last one may be shorter."""
        yield from self.full_parts(part_bytes)
        if self.size_bytes:
            yield self.rest()


async def parts_of(
    body: Body, encoded: AsyncIterator[bytes], part_bytes: int
) -> AsyncGenerator[bytes]:
    """Cut a body into parts of one size as it comes; the last one may be shorter."""
    for part in body.full_parts(part_bytes):
        yield part
    async for piece in encoded:
        body.append(piece)
        for part in body.full_parts(part_bytes):
            yield part
    if body.size_bytes:
        yield body.rest()
