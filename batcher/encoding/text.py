"""Text: blocks of text to complete lines; the start of one line is all that is held."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar, cast

from batcher.encoding.codec import MEMBER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from batcher.records.chunk import Chunk, Payloads

S = TypeVar("S", str, bytes)


TEXT_PIECE_BYTES = 1024**2
"""Joined text of one piece: buffers of this size are recycled, larger ones cost page faults."""


class LineSplitter:
    """Cuts text where its lines end; whoever feeds it says how long a line may get."""

    def __init__(self) -> None:
        """Start with no text."""
        self._partial_line: list[bytes] = []
        self._is_skipping = False
        self.partial_line_bytes = 0
        """Bytes of the line that has not ended yet."""

    @property
    def is_within_line(self) -> bool:
        """Whether the text so far does not end with a newline."""
        return self._is_skipping or self.partial_line_bytes > 0

    def split(self, block: bytes) -> bytes:
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
            text = b"".join((*self._partial_line, block[:end]))
            self._partial_line, self.partial_line_bytes = [], 0
        if end < len(block):
            self._partial_line.append(block[end:])
            self.partial_line_bytes += len(block) - end
        return text

    def skip_line(self) -> None:
        """Forget the line that has not ended yet, and what is still to come of it."""
        self._partial_line, self.partial_line_bytes = [], 0
        self._is_skipping = True


def split_complete_lines(text: bytes) -> list[bytes]:
    """Return the lines of complete lines, without their newlines."""
    return text[:-1].split(b"\n") if text else []


def encode_payloads(payloads: Payloads) -> list[bytes]:
    """Encode payloads that are still `str`."""
    if payloads and isinstance(payloads[0], str):
        return list(map(str.encode, cast("Sequence[str]", payloads)))
    return list(cast("Sequence[bytes]", payloads))


def join_lines(chunk: Chunk) -> list[bytes]:
    """Return the run's payloads as newline-terminated text, in pieces of about 1 MiB."""
    if chunk.text is not None:
        return [chunk.text]
    payloads = chunk.payloads
    count = len(payloads)
    if not count:
        return []
    step = max(1, count * TEXT_PIECE_BYTES // (chunk.total_length + count))
    pieces = (payloads[i : i + step] for i in range(0, count, step))
    if isinstance(payloads[0], str):
        texts = cast("Sequence[Sequence[str]]", pieces)
        return ["\n".join((*piece, "")).encode() for piece in texts]
    return [b"\n".join((*piece, b"")) for piece in cast("Sequence[Sequence[bytes]]", pieces)]


def iter_text(chunk: Chunk, used_bytes: int) -> tuple[int, Iterator[bytes | memoryview]]:
    """Return the size of the run's text, and the text itself, made only as it is taken.

    Its pieces end where members do, so that each is joined, encoded and compressed while warm
    (measured: 12 % less CPU for an event of 3 MB than joining all of it first).

    Args:
        run: one record at least.
        used_bytes: text that stands before it in its body.
    """
    payloads, lengths = chunk.payloads, chunk.lengths
    if isinstance(payloads[0], str):
        texts = cast("Sequence[str]", payloads)
        if all(map(str.isascii, texts)):
            room = MEMBER_BYTES - used_bytes % MEMBER_BYTES
            ends = list(accumulate(lengths))
            return ends[-1] + len(ends), _iter_joined(texts, "\n", str.encode, ends, room)
        payloads = encode_payloads(texts)
        lengths = list(map(len, payloads))
    ends = list(accumulate(lengths))
    room = MEMBER_BYTES - used_bytes % MEMBER_BYTES
    return ends[-1] + len(ends), _iter_joined(
        cast("Sequence[bytes]", payloads), b"\n", bytes, ends, room
    )


def _iter_joined(
    payloads: Sequence[S],
    newline: S,
    encode: Callable[[S], bytes],
    end_offsets: list[int],
    first_bytes: int,
) -> Iterator[bytes | memoryview]:
    """Join payloads, `room` bytes first and then a member at a time.

    Args:
        payloads: of bytes, or of ASCII.
        newline: as the payloads are.
        encode: makes bytes of them.
        ends: where each payload ends, newlines not counted.
        room: bytes of the first piece.
    """
    given: int = 0
    start: int = 0
    records: Sequence[Any] = payloads  # mypy cannot unpack what is `str` or `bytes`
    rest: list[Any] = []
    while start < len(payloads):
        # Up to the payload in which this piece ends
        stop: int = 1 + bisect_left(
            range(len(end_offsets) - 1),
            given + first_bytes,
            start,
            key=lambda i: end_offsets[i] + i + 1,
        )
        joined = newline.join([*rest, *records[start:stop], newline[:0]])
        text = encode(joined)
        view, cut = memoryview(text), 0
        while len(text) - cut >= first_bytes:
            yield view[cut : cut + first_bytes]
            cut, first_bytes = cut + first_bytes, MEMBER_BYTES
        given, start = given + cut, stop
        if stop == len(payloads) and cut < len(text):
            yield view[cut:]
        rest = [joined[cut:-1]] if cut < len(text) else []
