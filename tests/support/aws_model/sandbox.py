"""Environment: one Lambda sandbox with the real handler in it, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

from batcher.errors import BatcherError
from batcher.handler import make_handler
from batcher.settings import Settings
from batcher.stores import ObjectStore
from batcher.stores.retrying import Backoff, RetryingStore
from support.aws_model.s3 import Bucket, Connection, RequestOutcome
from support.fakes import FakeContext
from support.virtual_loop import Killed, virtual_loop


@dataclass(frozen=True, slots=True)
class InvocationFaults:
    """What one invocation meets."""

    fates: Sequence[RequestOutcome] = ()
    """Of its requests, in their order; those after them succeed."""
    kill_after: int | None = None
    """The steps after which its process is killed."""
    left_ms: int | None = None
    """The time that Lambda gives it; None: for ever."""


NO_FAULTS = InvocationFaults()


@dataclass(frozen=True, slots=True)
class Responded:
    """The handler has returned; these identifiers it names."""

    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler has raised, or was killed."""

    why: str


Outcome = Responded | Failed


class LambdaSandbox:
    """A sandbox: warm from one invocation to the next, until it is killed."""

    def __init__(
        self,
        bucket: Bucket,
        settings: Settings,
        *,
        transform: Callable[[bytes], bytes | None] | None = None,
        retries: bool = True,
    ) -> None:
        """Start one, which writes to `bucket`; `retries`: through the real `RetryingStore`."""
        self.is_alive = True
        self._connection = Connection(bucket)
        store: ObjectStore = self._connection
        if retries:
            store = RetryingStore(
                store, Backoff(base_s=0.1, max_elapsed_s=25.0), jitter=lambda: 0.5
            )
        self._handler = make_handler(settings, transform=transform, store=store)
        self._loop = virtual_loop()
        self._reached = bucket.reached

    @property
    def requests(self) -> list[str]:
        """What was sent to the bucket so far."""
        return self._connection.requests

    def invoke(self, event: dict[str, Any], fortune: InvocationFaults = NO_FAULTS) -> Outcome:
        """Invoke the handler once, and tell what its source gets to see of it."""
        assert self.is_alive
        loop = self._loop
        self._connection.draw(fortune.fates)
        context = None if fortune.left_ms is None else FakeContext(fortune.left_ms)
        loop.kill_at_s = None if context is None else loop.time() + context.left_ms / 1000
        if fortune.kill_after is not None:
            loop.kill_at_step = loop.steps + fortune.kill_after
        runner = partial(asyncio.Runner, loop_factory=lambda: loop)
        try:
            with patch.object(asyncio, "Runner", runner):
                answer = self._handler(event, context)
        except Killed as killed:
            self._reached[f"killed by {killed.reason}"] += 1
            self.is_alive = False
            self._connection.is_cut = True
            loop.close_without_cleanup()
            return Failed(killed.reason)
        except BatcherError as error:
            self._reached["handler raised"] += 1
            return Failed(str(error))
        finally:
            loop.kill_at_s = loop.kill_at_step = None
        assert not loop.unheard, loop.unheard
        assert list(answer) == ["batchItemFailures"]
        return Responded(tuple(each["itemIdentifier"] for each in answer["batchItemFailures"]))
