"""Wire: HTTP/1.1 messages as they are, byte for byte, read whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

from support.fault_script import Fault

LONGEST_BYTES = 64 * 1024**2
"""No message of a test comes near it."""


@dataclass(frozen=True)
class Message:
    """A request or an answer."""

    head: bytes
    """Up to and with the empty line."""
    body: bytes
    """As it was sent: the sizes of chunks are in it."""

    @cached_property
    def first_line(self) -> list[str]:
        """Return the words of the first line."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def status(self) -> int:
        """Return an answer's status."""
        return int(self.first_line[1])

    @cached_property
    def headers(self) -> dict[str, str]:
        """Return the headers, by their names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def without(self, name: str) -> Message:
        """Return the message without one header."""
        start = name.lower().encode() + b":"
        lines = [x for x in self.head.split(b"\r\n") if not x.lower().startswith(start)]
        return Message(b"\r\n".join(lines), self.body)


async def read_head(reader: asyncio.StreamReader) -> Message | None:
    """Read a head; None where the other side has closed."""
    try:
        return Message(await reader.readuntil(b"\r\n\r\n"), b"")
    except asyncio.IncompleteReadError:
        return None


async def read_body(reader: asyncio.StreamReader, message: Message, *, to_end: bool) -> Message:
    """Read the body that belongs to a head; without a length it goes `to_end`, or is empty."""
    headers = message.headers
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        size_bytes = int(headers["content-length"])
        if size_bytes > LONGEST_BYTES:
            msg = f"a body of {size_bytes} bytes"
            raise ValueError(msg)
        body = await reader.readexactly(size_bytes)
    else:
        body = await reader.read(LONGEST_BYTES) if to_end else b""
    return Message(message.head, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    size_bytes = -1
    while size_bytes:
        line = await reader.readuntil(b"\r\n")
        size_bytes = int(line.split(b";")[0], 16)
        if sum(map(len, pieces)) + size_bytes > LONGEST_BYTES:
            msg = f"a body of more than {LONGEST_BYTES} bytes"
            raise ValueError(msg)
        pieces.append(line)
        if size_bytes:
            pieces.append(await reader.readexactly(size_bytes + 2))
    while pieces[-1] != b"\r\n":  # trailers, then an empty line
        pieces.append(await reader.readuntil(b"\r\n"))
    return b"".join(pieces)


async def exchange(host: str, port: int, request: Message, *, cut: bool = False) -> Message | None:
    """Send a request over a connection of its own, and read the answer.

    Args:
        cut: send half of the body and close; there is no answer then.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        sent = request.without("expect")
        writer.write(sent.head)
        writer.write(sent.body[: len(sent.body) // 2] if cut else sent.body)
        await writer.drain()
        if cut:
            return None
        answer = await read_head(reader)
        while answer is not None and answer.status == HTTPStatus.CONTINUE:
            answer = await read_head(reader)
        if answer is None or _has_no_body(request, answer):
            return answer
        return await read_body(reader, answer, to_end=True)
    finally:
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])


def _has_no_body(request: Message, answer: Message) -> bool:
    no_body = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
    return request.first_line[0] == "HEAD" or answer.status in no_body


def answer_of(fault: Fault, request: Message) -> Message:
    """Return the answer that a fault puts in the server's place."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{fault.code}</Code><Message>as the test says</Message>"
        "<RequestId>1</RequestId></Error>"
    ).encode()
    if request.first_line[0] == "HEAD":
        body = b""
    lines = [f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fault.headers.items()]
    lines += ["Content-Type: application/xml", f"Content-Length: {len(body)}", "", ""]
    return Message("\r\n".join(lines).encode(), body)
