"""A model of a Lambda sandbox that runs the real handler in virtual time."""

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
from batcher.testing.virtual_loop import Killed, virtual_loop
from support.aws_model.s3 import Bucket, Connection, RequestOutcome
from support.fakes import FakeContext


@dataclass(frozen=True, slots=True)
class InvocationFaults:
    """The faults of one invocation."""

    outcomes: Sequence[RequestOutcome] = ()
    """Outcomes of its first requests, in order. Later requests succeed."""
    kill_after: int | None = None
    """Steps of the event loop after which the process is killed."""
    left_ms: int | None = None
    """The time until Lambda's timeout, or None for no timeout."""


NO_FAULTS = InvocationFaults()


@dataclass(frozen=True, slots=True)
class Responded:
    """The handler returned a partial response with these identifiers."""

    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised an error, or was killed."""

    why: str


Outcome = Responded | Failed


def _interrupt_loop(act: Callable[[], object]) -> None:
    """Do something while the running event loop stands still; it may run a loop of its own."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)  # noqa: SLF001  # exported for implementers of loops
    try:
        act()
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001  # as above


class LambdaSandbox:
    """A sandbox that stays warm between invocations until it is killed."""

    def __init__(
        self,
        bucket: Bucket,
        settings: Settings,
        *,
        transform: Callable[[bytes], bytes | None] | None = None,
        retries: bool = True,
    ) -> None:
        """Start a sandbox that writes to `bucket`, by default through a `RetryingStore`."""
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
        """The operations sent to the bucket so far."""
        return self._connection.requests

    def invoke(
        self,
        event: dict[str, Any],
        faults: InvocationFaults = NO_FAULTS,
        meanwhile: Sequence[Callable[[], object] | None] = (),
    ) -> Outcome:
        """Invoke the handler once and return the outcome as its event source sees it.

        Args:
            event: the records.
            faults: what goes wrong.
            meanwhile: what others do before each of its first requests.
        """
        assert self.is_alive
        self._connection.meanwhile = [
            None if act is None else partial(_interrupt_loop, act) for act in meanwhile
        ]
        loop = self._loop
        self._connection.draw(faults.outcomes)
        context = None if faults.left_ms is None else FakeContext(faults.left_ms)
        loop.kill_at_s = None if context is None else loop.time() + context.left_ms / 1000
        if faults.kill_after is not None:
            loop.kill_at_step = loop.steps + faults.kill_after
        runner = partial(asyncio.Runner, loop_factory=lambda: loop)
        try:
            with patch.object(asyncio, "Runner", runner):
                response = self._handler(event, context)
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
        assert not loop.unhandled, loop.unhandled
        assert list(response) == ["batchItemFailures"]
        return Responded(tuple(item["itemIdentifier"] for item in response["batchItemFailures"]))
