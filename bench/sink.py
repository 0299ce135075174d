"""Sink: an S3 that takes everything: over TLS, in a process of its own, 200 to every request.

`python sink.py CERTIFICATE KEY` prints its port as JSON. Then, for each bucket named by a line of
standard input, it prints what it has seen there. It ends with its standard input.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import sys
import threading
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import BinaryIO, cast

BUFFER_BYTES = 256 * 1024
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-amz-request-id: 0\r\n"
    b'ETag: "d41d8cd98f00b204e9800998ecf8427e"\r\n\r\n'
)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """What came for one bucket."""

    requests: int = 0
    size_bytes: int = 0
    """Of all bodies."""
    path: str = ""
    """The last request's."""
    headers: dict[str, str] = field(default_factory=dict)
    """The last request's, names in lower case."""
    body: bytes = b""
    """The last one, without its transfer encoding."""

    def stored(self) -> bytes:
        """Give the last body as S3 would store it: boto3 sends chunks, its checksum after them."""
        is_chunked = "aws-chunked" in self.headers.get("content-encoding", "")
        return _dechunked(BytesIO(self.body)) if is_chunked else self.body


def serve(listener: socket.socket, context: ssl.SSLContext, seen: dict[str, Seen]) -> None:
    """Take connections, a thread each; a bucket is used over one connection at a time."""
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_converse, args=(plain, context, seen), daemon=True).start()


def _converse(plain: socket.socket, context: ssl.SSLContext, seen: dict[str, Seen]) -> None:
    """Answer the requests of one connection until the client closes it."""
    try:
        with (
            context.wrap_socket(plain, server_side=True) as secure,
            cast("BinaryIO", secure.makefile("rb", BUFFER_BYTES)) as reader,
        ):
            while request := reader.readline():
                path = request.split()[1].decode()
                headers = _headers(reader)
                if "expect" in headers:
                    secure.sendall(_CONTINUE)
                body = _body(reader, headers)
                bucket = seen.setdefault(path.split("/")[1], Seen())
                bucket.requests += 1
                bucket.size_bytes += len(body)
                bucket.path, bucket.headers, bucket.body = path, headers, body
                secure.sendall(_ANSWER)
    except OSError:
        return  # the client went away


def _headers(reader: BinaryIO) -> dict[str, str]:
    headers = {}
    while (line := reader.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return headers


def _body(reader: BinaryIO, headers: dict[str, str]) -> bytes:
    """Read a body of known length or in chunks."""
    if headers.get("transfer-encoding") != "chunked":
        return reader.read(int(headers.get("content-length", 0)))
    body = _dechunked(reader)
    _headers(reader)  # the trailer
    return body


def _dechunked(reader: BinaryIO) -> bytes:
    chunks = []
    while size_bytes := int(reader.readline().partition(b";")[0], 16):
        chunks.append(reader.read(size_bytes))
        reader.readline()
    return b"".join(chunks)


def main() -> None:
    """Serve until standard input ends."""
    certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    seen: dict[str, Seen] = {}
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        threading.Thread(target=serve, args=(listener, context, seen), daemon=True).start()
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        for line in sys.stdin:
            found = seen.get(json.loads(line)["bucket"], Seen())
            body = base64.b64encode(found.stored()).decode()
            print(json.dumps(asdict(found) | {"body": body}), flush=True)


if __name__ == "__main__":
    main()
