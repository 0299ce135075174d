"""A proxy in front of an S3 server that injects faults by rules, at the level of HTTP and TCP.

It passes the Host header on unchanged, because clients sign it.
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
from support.http_client import Message, exchange, make_error_response, read_body, read_head

T = TypeVar("T")

HOST = "127.0.0.1"
CALL_TIMEOUT_S = 10.0
"""A test fails if a call to the proxy takes longer. Normally calls take milliseconds."""
LOOP_STEPS = 5
"""More steps than the event loop needs to open or close a connection."""
SO_LINGER_RESET = struct.pack("ii", 1, 0)
"""Value of SO_LINGER with which closing a connection sends a reset."""


class FaultProxy:
    """A proxy on a free port, with its own thread and event loop, while it is entered."""

    def __init__(self, upstream: str) -> None:
        """Create a proxy for the server at this URL."""
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or HOST, parts.port or 80)
        # Bound but never listening: reserves the port and refuses connections while disconnected
        self._reserved_port = _bound_socket(0)
        self.port: int = self._reserved_port.getsockname()[1]
        self.seen: list[SeenRequest] = []
        """Every request since the last `use_rules`."""
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
        self._thread.join(CALL_TIMEOUT_S)
        self._reserved_port.close()

    def use_rules(self, *rules: Rule, seed: int = 0) -> None:
        """Inject faults by these rules from now on, and forget requests seen before."""
        self.seen = []
        self._script = FaultScript(rules, seed)

    def unfired(self) -> list[str]:
        """Describe the rules that applied to fewer requests than they should have."""
        return self._script.unfired()

    def count(self, operation: str, key: str = "", fault: Fault | None = None) -> int:
        """Count requests of one operation on keys that contain `key`, or those with this fault."""
        return sum(
            request.operation == operation
            and key in request.key
            and (fault is None or request.fault == fault)
            for request in self.seen
        )

    def disconnect(self) -> None:
        """Reset all connections and refuse new ones."""
        self._call(self._disconnect())

    def reconnect(self) -> None:
        """Accept connections again, on the same port."""
        self._call(self._reconnect())

    def close_idle_connections(self) -> None:
        """Close idle connections, as S3 does after some seconds, and wait until clients notice."""
        self._call(self._close_idle_connections())

    def release(self) -> list[int]:
        """Send the held requests to the server and return the status of each response."""
        held, self._held = self._held, []
        responses = [self._call(exchange(*self._upstream, request)) for request in held]
        return [response.status for response in responses if response is not None]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)

    async def _reconnect(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=_bound_socket(self.port))

    async def _disconnect(self) -> None:
        if self._server is None:
            return
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())
        for _ in range(LOOP_STEPS):  # a server that is closed while it accepts leaks the connection
            await asyncio.sleep(0)
        self._server.close()
        for task, writer in self._connections.items():
            task.cancel()
            _reset(writer)
        if self._connections:
            await asyncio.wait(list(self._connections))
        for _ in range(LOOP_STEPS):  # an aborted connection is closed in a later step
            await asyncio.sleep(0)

    async def _close_idle_connections(self) -> None:
        for writer in self._connections.values():
            writer.write_eof()
        if self._connections:
            await asyncio.wait(list(self._connections))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client's connection until either side closes it."""
        try:
            # A connection that breaks needs no response; the other side notices by itself
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while (head := await read_head(reader)) is not None:
                    if head.headers.get("expect", "").lower() == "100-continue":
                        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request = await read_body(reader, head, to_end=False)
                    operation, key = classify(request.first_line[0], request.first_line[1])
                    fault = self._script.decide(operation, key)
                    self.seen.append(SeenRequest(operation, key, fault))
                    if not await self._respond(request, fault, reader, writer):
                        break
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _respond(
        self,
        request: Message,
        fault: Fault | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Respond to one request, or inject a fault. Returns whether the connection stays open."""
        kind = None if fault is None else fault.kind
        response = None
        if fault is None or fault.after_success or kind is FaultKind.CUT_BODY:
            response = await exchange(*self._upstream, request, cut=kind is FaultKind.CUT_BODY)
        if kind is FaultKind.HOLD:
            self._held.append(request)
        if kind in {FaultKind.STALL, FaultKind.HOLD}:
            await reader.read(1)  # until the client gives up
            return False
        if fault is not None and kind is FaultKind.RESPOND:
            response = make_error_response(fault, request)
        if response is None or kind in {FaultKind.RESET, FaultKind.CUT_BODY}:
            _reset(writer)
            return False
        sent = response.head + response.body
        if kind is FaultKind.CUT_RESPONSE:
            cut_bytes = len(response.body) // 2 if response.body else len(sent) - 10
            sent = sent[: len(sent) - cut_bytes]
        writer.write(sent)
        await writer.drain()
        has_length = {"content-length", "transfer-encoding"} & {*response.headers}
        has_end = response.status < 200 or response.status == 204 or bool(has_length)
        is_last = response.headers.get("connection", "").lower() == "close"
        return kind is not FaultKind.CUT_RESPONSE and not is_last and has_end


def _bound_socket(port: int) -> socket.socket:
    """Return a socket that is bound to a port but does not listen."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):  # it is closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SO_LINGER_RESET)
    writer.transport.abort()
