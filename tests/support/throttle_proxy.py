"""A TCP proxy that can hold back a PUT or its response, and release it later."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from enum import StrEnum
from threading import Event, Thread
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
STEP_TIMEOUT_S = 30.0
"""A test fails if a step takes longer."""
READ_BYTES = 1024**2


class Direction(StrEnum):
    """Which bytes of the next PUT are held back."""

    NOTHING = "nothing"
    REQUEST = "request"
    """The request: the server does not get it before its release."""
    RESPONSE = "response"
    """The response: the server has processed the request."""


class ThrottleProxy:
    """A proxy of one server on a free port, while it is entered."""

    def __init__(self, url: str) -> None:
        """Create a proxy of the server at `url`."""
        host, _, port = url.removeprefix("http://").partition(":")
        self._server = (host, int(port))
        self._stop = Direction.NOTHING
        self._stopped = Event()
        self._released = Event()
        self._passed = Event()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stop(self, direction: Direction) -> None:
        """Hold back the next PUT, or its response."""
        self._stopped.clear()
        self._released.clear()
        self._stop = direction

    def wait_until_stopped(self) -> None:
        """Wait until a PUT or its response is held back."""
        assert self._stopped.wait(STEP_TIMEOUT_S), "no PUT arrived"

    def release(self) -> None:
        """Release what is held back, and wait until the server has responded."""
        self._passed.clear()
        self._released.set()
        assert self._passed.wait(STEP_TIMEOUT_S), "the server has not responded"

    def _start(self, work: Callable[..., None], *args: socket.socket) -> None:
        Thread(target=work, args=args, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                self._start(self._forward_requests, client, server)
                self._start(self._forward_responses, client, server)

    def _forward_requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(READ_BYTES):
                if self._stop is Direction.REQUEST and data.startswith(b"PUT "):
                    self._hold()
                server.sendall(data)

    def _forward_responses(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(READ_BYTES):
                if self._stop is Direction.RESPONSE and not data.startswith(b"HTTP/1.1 100"):
                    self._hold()
                self._passed.set()
                client.sendall(data)

    def _hold(self) -> None:
        self._stop = Direction.NOTHING
        self._stopped.set()
        self._released.wait()
