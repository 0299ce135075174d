"""Tap: a wire to a server that can stop the bytes of a PUT, either way, and let them go later."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from enum import StrEnum
from threading import Event, Thread
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
PATIENCE_S = 30.0
AT_ONCE_BYTES = 1024**2


class Direction(StrEnum):
    """Which bytes of the next PUT are stopped."""

    NOTHING = "nothing"
    REQUEST = "request"
    """Those to the server, which hears of it late, or never."""
    ANSWER = "answer"
    """The answer: the server has done it."""


class ThrottleProxy:
    """Listens on a port of its own and passes all on to one server, while it is entered."""

    def __init__(self, url: str) -> None:
        """Pass on to the server at `url`."""
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

    def stop(self, what: Direction) -> None:
        """Stop this much of the next PUT."""
        self._stopped.clear()
        self._released.clear()
        self._stop = what

    def wait_until_stopped(self) -> None:
        """Wait until there is a PUT whose bytes are stopped."""
        assert self._stopped.wait(PATIENCE_S), "no PUT came"

    def release(self) -> None:
        """Let the bytes go on, and wait until the server has answered."""
        self._passed.clear()
        self._released.set()
        assert self._passed.wait(PATIENCE_S), "the server has not answered"

    def _start(self, work: Callable[..., None], *args: socket.socket) -> None:
        Thread(target=work, args=args, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                self._start(self._requests, client, server)
                self._start(self._answers, client, server)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(AT_ONCE_BYTES):
                if self._stop is Direction.REQUEST and data.startswith(b"PUT "):
                    self._hold()
                server.sendall(data)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(AT_ONCE_BYTES):
                if self._stop is Direction.ANSWER and not data.startswith(b"HTTP/1.1 100"):
                    self._hold()
                self._passed.set()
                client.sendall(data)

    def _hold(self) -> None:
        self._stop = Direction.NOTHING
        self._stopped.set()
        self._released.wait()
