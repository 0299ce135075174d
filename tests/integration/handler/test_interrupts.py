"""Interrupts: Ctrl-C in a program that calls the handler; nothing goes on after it."""

from __future__ import annotations

import asyncio
import signal

import pytest

from batcher.stores import Operation, Request, Response
from batcher.stores.memory import MemoryStore
from support.examples import message
from support.handler_harness import NO_FAILURES, HandlerFactory, data_of


class Interrupted(MemoryStore):
    """A store at whose first PUT somebody presses Ctrl-C; it would be answered afterwards."""

    async def send(self, request: Request) -> Response:
        """See `ObjectStore.send`."""
        if request.operation is Operation.PUT and not self.calls:
            self.calls += 1
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            for _ in range(3):
                await asyncio.sleep(0)
        return await super().send(request)

    calls = 0


def test_what_was_interrupted_does_not_run_in_the_next_event(
    handler_factory: HandlerFactory,
) -> None:
    """Its caller was told that nothing is durable, and will send it again."""
    store = Interrupted()
    handle = handler_factory.make(store)
    with pytest.raises(KeyboardInterrupt):
        handle({"Records": [message("a", "1")]}, None)
    assert handle({"Records": [message("b", "2")]}, None) == NO_FAILURES
    assert data_of(store) == ["2"]
