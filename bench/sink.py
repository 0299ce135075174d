"""Sink: an S3 that takes everything and keeps nothing: over TLS, in a process of its own.

`python sink.py CERTIFICATE KEY` prints its port as JSON. Then it answers each line of standard
input, which names a bucket:

- `{"bucket"}`: the requests seen there, and the body of the last PUT;
- `{"bucket", "objects": true}`: size and sums of every object, of which nothing is kept;
- `{"bucket", "change": {"is_proving", "delay_s"}}`: forget them; from now on decode every body
  (`is_proving`), and delay responses by `delay_s`.

An empty question, `{}`, is answered with the CPU time that the sink has taken. It ends with its
standard input.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from collections import defaultdict
from typing import BinaryIO, cast

from sink_bucket import Bucket, Request, Response, dechunked

BUFFER_BYTES = 256 * 1024
BACKLOG = 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HEADERS = (
    "x-amz-request-id: 0\r\n"
    'ETag: "d41d8cd98f00b204e9800998ecf8427e"\r\n'
    "Last-Modified: Mon, 23 Nov 2026 07:30:00 GMT\r\n"
)


def serve(
    listener: socket.socket, context: ssl.SSLContext, buckets: defaultdict[str, Bucket]
) -> None:
    """Take connections, a thread each."""
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_converse, args=(plain, context, buckets), daemon=True).start()


def _converse(
    plain: socket.socket, context: ssl.SSLContext, buckets: defaultdict[str, Bucket]
) -> None:
    """Answer the requests of one connection until the client closes it."""
    try:
        with (
            context.wrap_socket(plain, server_side=True) as secure,
            cast("BinaryIO", secure.makefile("rb", BUFFER_BYTES)) as reader,
        ):
            while line := reader.readline():
                method, path = line.split()[:2]
                headers = _headers(reader)
                if "expect" in headers:
                    secure.sendall(_CONTINUE)
                request = Request(method.decode(), path.decode(), headers, _body(reader, headers))
                bucket = buckets[request.path.split("/")[1].partition("?")[0]]
                answer = bucket.answer(request)
                if bucket.delay_s:
                    time.sleep(bucket.delay_s)
                secure.sendall(_bytes_of(answer))
    except OSError:
        return  # the client disconnected


def _bytes_of(answer: Response) -> bytes:
    size_bytes = len(answer.body) if answer.size_bytes is None else answer.size_bytes
    head = f"HTTP/1.1 {answer.status}\r\nContent-Length: {size_bytes}\r\n{_HEADERS}\r\n"
    return head.encode() + answer.body


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
    body = dechunked(reader)
    _headers(reader)  # the trailer
    return body


def main() -> None:
    """Serve until standard input ends."""
    certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    buckets: defaultdict[str, Bucket] = defaultdict(Bucket)
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        threading.Thread(target=serve, args=(listener, context, buckets), daemon=True).start()
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        for line in sys.stdin:
            question = json.loads(line)
            if not question:
                print(json.dumps({"cpu_s": time.process_time()}), flush=True)
                continue
            bucket = buckets[question["bucket"]]
            if "change" in question:
                bucket.change(**question["change"])
                print("{}", flush=True)
                continue
            found = bucket.objects() if question.get("objects") else bucket.seen()
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
