"""A minimal HTTP/1.1 client whose messages are raw bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

from support.fault_script import Fault

MAX_BODY_BYTES = 64 * 1024**2
"""Far more than any message of a test."""


@dataclass(frozen=True)
class Message:
    """A request or a response."""

    head: bytes
    """Everything up to and including the empty line."""
    body: bytes
    """The raw body, including the sizes of chunks if it is chunked."""

    @cached_property
    def first_line(self) -> list[str]:
        """Return the words of the first line."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def status(self) -> int:
        """Return the status of a response."""
        return int(self.first_line[1])

    @cached_property
    def headers(self) -> dict[str, str]:
        """Return the headers, by name in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def without(self, name: str) -> Message:
        """Return the message without one header."""
        start = name.lower().encode() + b":"
        lines = [x for x in self.head.split(b"\r\n") if not x.lower().startswith(start)]
        return Message(b"\r\n".join(lines), self.body)


async def read_head(reader: asyncio.StreamReader) -> Message | None:
    """Read a head, or return None if the other side has closed the connection."""
    try:
        return Message(await reader.readuntil(b"\r\n\r\n"), b"")
    except asyncio.IncompleteReadError:
        return None


async def read_body(reader: asyncio.StreamReader, message: Message, *, to_end: bool) -> Message:
    """Read the body that belongs to a head.

    Args:
        reader: the connection.
        message: has the head.
        to_end: whether a body without a length extends to the end of the connection; otherwise it
            is empty.
    """
    headers = message.headers
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        size_bytes = int(headers["content-length"])
        if size_bytes > MAX_BODY_BYTES:
            msg = f"a body of {size_bytes} bytes"
            raise ValueError(msg)
        body = await reader.readexactly(size_bytes)
    else:
        body = await reader.read(MAX_BODY_BYTES) if to_end else b""
    return Message(message.head, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    size_bytes = -1
    while size_bytes:
        line = await reader.readuntil(b"\r\n")
        size_bytes = int(line.split(b";")[0], 16)
        if sum(map(len, pieces)) + size_bytes > MAX_BODY_BYTES:
            msg = f"a body of more than {MAX_BODY_BYTES} bytes"
            raise ValueError(msg)
        pieces.append(line)
        if size_bytes:
            pieces.append(await reader.readexactly(size_bytes + 2))
    while pieces[-1] != b"\r\n":  # trailers, then an empty line
        pieces.append(await reader.readuntil(b"\r\n"))
    return b"".join(pieces)


async def exchange(host: str, port: int, request: Message, *, cut: bool = False) -> Message | None:
    """Send a request over a new connection and return the response.

    Args:
        host: of the server.
        port: of the server.
        request: sent without its Expect header.
        cut: send half of the body and close the connection. The result is None.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        sent = request.without("expect")
        writer.write(sent.head)
        writer.write(sent.body[: len(sent.body) // 2] if cut else sent.body)
        await writer.drain()
        if cut:
            return None
        response = await read_head(reader)
        while response is not None and response.status == HTTPStatus.CONTINUE:
            response = await read_head(reader)
        if response is None or _has_no_body(request, response):
            return response
        return await read_body(reader, response, to_end=True)
    finally:
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])


def _has_no_body(request: Message, response: Message) -> bool:
    no_body = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
    return request.first_line[0] == "HEAD" or response.status in no_body


def make_error_response(fault: Fault, request: Message) -> Message:
    """Return the error response of a fault of kind RESPOND."""
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
