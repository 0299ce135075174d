"""Handler processes that start in some milliseconds, to be killed.

A child needs no import: it is forked from a server that has the handler and both engines.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from batcher.handler import make_handler
from batcher.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

ANSWER_S = 60.0
"""A test fails if an answer takes longer. Normally it takes some milliseconds."""

PRELOADED = ["batcher.handler", "batcher.stores.obstore.store", "batcher.stores.s3.store"]

_CONTEXT = get_context("forkserver")


def serve(requests: Connection, environ: Mapping[str, str], settings: Mapping[str, object]) -> None:
    """Handle one event after another: the program of a process."""
    os.environ.update(environ)
    handle = make_handler(Settings(**settings))  # type: ignore[arg-type]  # as they were made
    while True:
        event = requests.recv()
        try:
            requests.send(handle(event))
        except Exception as error:  # noqa: BLE001  # whatever it is, the event comes again
            requests.send(repr(error))


class HandlerProcess:
    """A handler process."""

    def __init__(self, environ: Mapping[str, str], settings: Mapping[str, object]) -> None:
        """Start it."""
        _CONTEXT.set_forkserver_preload(PRELOADED)
        self._requests, theirs = _CONTEXT.Pipe()
        self._process: ForkServerProcess = _CONTEXT.Process(
            target=serve, args=(theirs, dict(environ), dict(settings)), daemon=True
        )
        self._process.start()
        theirs.close()

    def send(self, event: Mapping[str, Any]) -> None:
        """Send an event."""
        self._requests.send(event)

    def answer(self) -> object:
        """Wait for the answer: a response, or the text of an error."""
        assert self._requests.poll(ANSWER_S), "no answer"
        return self._requests.recv()

    def kill(self) -> bool:
        """Send SIGKILL. Return whether it had not answered yet."""
        has_answered = self._requests.poll(0.0)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._requests.close()
        return not has_answered
