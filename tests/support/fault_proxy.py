"""Proxy: stands before an S3 server and lets requests go wrong on the wire, as a script says.

The Host header goes through as it is, for clients sign it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from support.fault_script import Fault, FaultKind, FaultScript, Rule, SeenRequest, classify
from support.http_client import Message, answer_of, exchange, read_body, read_head

T = TypeVar("T")

HOST = "127.0.0.1"
STOP_S = 10.0
"""The most that anything of it takes that a test waits for; nothing does."""
TURNS = 5
"""Turns of the loop that opening or closing a connection takes, and some."""
RST = struct.pack("ii", 1, 0)
"""SO_LINGER of a connection whose close is a reset."""


class FaultProxy:
    """A proxy on a free port while it is entered, in a thread and on a loop of its own."""

    def __init__(self, upstream: str) -> None:
        """Stand before the server at this URL."""
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or HOST, parts.port or 80)
        # Bound and never listening: the port stays ours, and refuses, while the proxy is away
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self.seen: list[SeenRequest] = []
        """Every request since the last `follow`."""
        self._script = FaultScript()
        self._held: list[Message] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.reconnect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._place.close()

    def use_rules(self, *rules: Rule, seed: int = 0) -> None:
        """Let requests go wrong as these rules say, from now on."""
        self.seen = []
        self._script = FaultScript(rules, seed)

    def unfired(self) -> list[str]:
        """Name the rules that did less than they were to do."""
        return self._script.unfired()

    def count(self, operation: str, key: str = "", fault: Fault | None = None) -> int:
        """Count requests of one operation on keys that hold `key`; with `fault`, those it hit."""
        return sum(
            one.operation == operation and key in one.key and (fault is None or one.fault == fault)
            for one in self.seen
        )

    def disconnect(self) -> None:
        """Refuse connections, and break those there are."""
        self._wait_for(self._go_away())

    def reconnect(self) -> None:
        """Take connections again, on the same port."""
        self._wait_for(self._come_back())

    def close_idle_connections(self) -> None:
        """Close idle connections, as S3 does after some seconds; clients have noticed it then."""
        self._wait_for(self._hang_up())

    def release(self) -> list[int]:
        """Send what was held to the server, and give the status of each answer."""
        held, self._held = self._held, []
        answers = [self._wait_for(exchange(*self._upstream, request)) for request in held]
        return [answer.status for answer in answers if answer is not None]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_S)

    async def _come_back(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=_bound(self.port))

    async def _go_away(self) -> None:
        if self._server is None:
            return
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())
        for _ in range(TURNS):  # a server that is closed while it accepts leaks the connection
            await asyncio.sleep(0)
        self._server.close()
        for task, writer in self._connections.items():
            task.cancel()
            _reset(writer)
        if self._connections:
            await asyncio.wait(list(self._connections))
        for _ in range(TURNS):  # an aborted connection is closed in a later turn
            await asyncio.sleep(0)

    async def _hang_up(self) -> None:
        for writer in self._connections.values():
            writer.write_eof()
        if self._connections:
            await asyncio.wait(list(self._connections))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client's connection until either side has enough of it."""
        try:
            # Whoever breaks off is told nothing; the other side sees it soon enough
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while (head := await read_head(reader)) is not None:
                    if head.headers.get("expect", "").lower() == "100-continue":
                        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request = await read_body(reader, head, to_end=False)
                    operation, key = classify(request.first_line[0], request.first_line[1])
                    fault = self._script.decide(operation, key)
                    self.seen.append(SeenRequest(operation, key, fault))
                    if not await self._answer(request, fault, reader, writer):
                        break
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(
        self,
        request: Message,
        fault: Fault | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Answer one request, or let it go wrong; says whether the connection goes on."""
        way = None if fault is None else fault.kind
        answer = None
        if fault is None or fault.after_success or way is FaultKind.CUT_BODY:
            answer = await exchange(*self._upstream, request, cut=way is FaultKind.CUT_BODY)
        if way is FaultKind.HOLD:
            self._held.append(request)
        if way in {FaultKind.STALL, FaultKind.HOLD}:
            await reader.read(1)  # until the client gives up
            return False
        if fault is not None and way is FaultKind.ANSWER:
            answer = answer_of(fault, request)
        if answer is None or way in {FaultKind.RESET, FaultKind.CUT_BODY}:
            _reset(writer)
            return False
        sent = answer.head + answer.body
        if way is FaultKind.CUT_ANSWER:
            cut_bytes = len(answer.body) // 2 if answer.body else len(sent) - 10
            sent = sent[: len(sent) - cut_bytes]
        writer.write(sent)
        await writer.drain()
        has_end = answer.status < 200 or {"content-length", "transfer-encoding"} & {*answer.headers}
        is_last = answer.headers.get("connection", "").lower() == "close"
        return (
            way is not FaultKind.CUT_ANSWER
            and not is_last
            and (bool(has_end) or answer.status == 204)
        )


def _bound(port: int) -> socket.socket:
    """Return a socket that is bound to a port, and does not listen yet."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((HOST, port))
    return made


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection in such a way that the client sees a reset."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):  # it is closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    writer.transport.abort()
