"""A proxy before an S3 server that accepts a limited number of writes per second and prefix.

`python limiter.py HOST:PORT PER_S BURST_S` prints its port as JSON. What is over the limit of its
prefix (the first two folders of a key) is answered 503 SlowDown at once, as S3 does; everything
else goes through as it is. A question, `{"prefix"}`, is answered with what came for it: in each
second since its first request how many were taken, and refused. It ends with its standard input.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import defaultdict
from http.client import HTTPConnection
from typing import BinaryIO, cast

BUFFER_BYTES = 64 * 1024
WRITES = {"PUT", "POST", "DELETE"}
REFUSAL = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HOP_BY_HOP = {"connection", "expect", "keep-alive", "transfer-encoding", "content-length"}


class Prefix:
    """A bucket of tokens, and what came."""

    def __init__(self, per_s: float, burst_s: float) -> None:
        """Begin full."""
        self._per_s = per_s
        self._most = self._tokens = max(1.0, per_s * burst_s)
        self._began_s = self._filled_s = time.monotonic()
        self.seconds: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        """Requests taken and refused, by the second since the first."""

    def take(self) -> bool:
        """Take one request, or refuse it."""
        now_s = time.monotonic()
        tokens = self._tokens + (now_s - self._filled_s) * self._per_s
        self._tokens, self._filled_s = min(self._most, tokens), now_s
        is_taken = self._tokens >= 1.0
        self._tokens -= is_taken
        self.seconds[int(now_s - self._began_s)][not is_taken] += 1
        return is_taken


class Limiter:
    """All prefixes, and the server behind."""

    def __init__(self, host: str, port: int, per_s: float, burst_s: float) -> None:
        """Stand before `host`."""
        self._upstream = (host, port)
        self._limits = (per_s, burst_s)
        self._prefixes: dict[str, Prefix] = {}
        self._lock = threading.Lock()

    def serve(self, listener: socket.socket) -> None:
        """Take connections, a thread each."""
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def seen(self, prefix: str) -> dict[int, list[int]]:
        """Return what came for a prefix."""
        with self._lock:
            found = self._prefixes.get(prefix)
            return {} if found is None else dict(found.seconds)

    def _is_taken(self, method: str, path: str) -> bool:
        if method not in WRITES:
            return True
        prefix = "/".join(path.partition("?")[0].split("/")[2:4])
        with self._lock:
            if prefix not in self._prefixes:
                self._prefixes[prefix] = Prefix(*self._limits)
            return self._prefixes[prefix].take()

    def _converse(self, client: socket.socket) -> None:
        """Answer one connection's requests until either side closes."""
        upstream = HTTPConnection(*self._upstream)
        try:
            with client, cast("BinaryIO", client.makefile("rb", BUFFER_BYTES)) as reader:
                while line := reader.readline():
                    method, path = line.decode("latin-1").split()[:2]
                    headers = _headers(reader)
                    names = {name.lower(): value for name, value in headers}
                    if "expect" in names:
                        client.sendall(_CONTINUE)
                    body = reader.read(int(names.get("content-length", 0)))
                    if self._is_taken(method, path):
                        client.sendall(_passed_on(upstream, method, path, headers, body))
                    else:
                        client.sendall(_answer(503, [("Content-Type", "application/xml")], REFUSAL))
        except OSError:
            return  # one of them disconnected
        finally:
            upstream.close()


def _passed_on(
    upstream: HTTPConnection, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> bytes:
    upstream.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        if name.lower() not in HOP_BY_HOP:
            upstream.putheader(name, value)
    upstream.putheader("Content-Length", str(len(body)))
    upstream.endheaders(body)
    answer = upstream.getresponse()
    kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
    return _answer(answer.status, kept, answer.read())


def _answer(status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def _headers(reader: BinaryIO) -> list[tuple[str, str]]:
    headers = []
    while (line := reader.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    return headers


def main() -> None:
    """Serve until standard input ends."""
    host, _, port = sys.argv[1].partition(":")
    limiter = Limiter(host, int(port), float(sys.argv[2]), float(sys.argv[3]))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        threading.Thread(target=limiter.serve, args=(listener,), daemon=True).start()
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        for line in sys.stdin:
            print(json.dumps(limiter.seen(json.loads(line)["prefix"])), flush=True)


if __name__ == "__main__":
    main()
