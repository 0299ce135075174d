"""Text: blocks of text to complete lines; the start of one line is all that is held."""

from __future__ import annotations


class Cutter:
    """Cuts text where its lines end; whoever feeds it says how long a line may get."""

    def __init__(self) -> None:
        """Start with no text."""
        self._waiting: list[bytes] = []
        self._is_skipping = False
        self.waiting_bytes = 0
        """Bytes of the line that has not ended yet."""

    @property
    def is_within_line(self) -> bool:
        """Whether the text so far does not end with a newline."""
        return self._is_skipping or self.waiting_bytes > 0

    def cut(self, block: bytes) -> bytes:
        """Append a block; give all lines that are complete now, each with its newline."""
        if self._is_skipping:
            start = block.find(b"\n") + 1
            if not start:
                return b""
            self._is_skipping = False
            block = block[start:]
        end = block.rfind(b"\n") + 1
        text = b""
        if end:
            text = b"".join((*self._waiting, block[:end]))
            self._waiting, self.waiting_bytes = [], 0
        if end < len(block):
            self._waiting.append(block[end:])
            self.waiting_bytes += len(block) - end
        return text

    def skip(self) -> None:
        """Forget the line that has not ended yet, and what is still to come of it."""
        self._waiting, self.waiting_bytes = [], 0
        self._is_skipping = True


def lines_of(text: bytes) -> list[bytes]:
    """Give the lines of complete lines, without their newlines."""
    return text[:-1].split(b"\n") if text else []
