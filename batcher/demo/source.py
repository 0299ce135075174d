"""The demo's part of AWS: it invokes the handler, and sends again what is handed back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from batcher.demo.events import Record, Source
from batcher.handler import LambdaHandler

TIMEOUT_MS = 60_000
DELIVERIES = 5


class EventSourceMapping:
    """An event source mapping: one source, one function, and what was counted between them."""

    def __init__(self, source: Source, handler: LambdaHandler) -> None:
        """Deliver the records of `source` to `handler`."""
        self.source = source
        self.deliveries = 0
        self.handed_back = 0
        """Records that were sent again because an answer asked for it."""
        self.handler_s = 0.0
        """Time within the handler."""
        self._handler = handler

    def deliver(self, records: Sequence[Record]) -> list[list[str]]:
        """Invoke the function until it hands nothing back; give the identifiers of each answer.

        As with AWS, events come as JSON, and after some deliveries they are given up.
        """
        answers: list[list[str]] = []
        while records and len(answers) < DELIVERIES:
            event: Any = orjson.loads(orjson.dumps({"Records": records}))
            started_s = time.perf_counter()
            answer = self._handler(event, _Context())
            self.handler_s += time.perf_counter() - started_s
            self.deliveries += 1
            identifiers = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
            answers.append(identifiers)
            records = self.source.again(records, identifiers) if identifiers else []
            self.handed_back += len(records)
        return answers


class _Context:
    """What Lambda tells the function about its time."""

    def get_remaining_time_in_millis(self) -> int:
        """Give all of it: the invocation is new."""
        return TIMEOUT_MS
