"""FaultyStore: a store whose requests fail by script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from batcher.errors import (
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    ThrottledError,
    UploadLostError,
)
from batcher.stores.base import ObjectStore
from batcher.stores.memory import MemoryStore
from batcher.stores.request import Request, Response
from batcher.testing.fault_script import FaultRule, FaultScript


class StoreFault(StrEnum):
    """How one request fails."""

    OUTAGE = "outage"
    """500: it has no effect, and can be retried."""
    THROTTLED = "throttled"
    """503 SlowDown: it has no effect, and can be retried."""
    REFUSED = "refused"
    """403: it has no effect, and a retry would not have one either."""
    RESPONSE_LOST = "response lost"
    """It takes effect, and the connection breaks before the response."""
    SLOW = "slow"
    """It takes effect after `FaultyStore.slow_s`."""
    HANGS = "hangs"
    """It has no effect and gets no response: the caller waits until its deadline."""
    LATE = "late"
    """It gets an error, but takes effect at some later time; see `FaultyStore.land`."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request that a `FaultyStore` received, and the fault it was given."""

    operation: str
    key: str
    fault: StoreFault | None


class FaultyStore(ObjectStore):
    """Passes requests on to `inner`, except for those that fail by the rules.

    With a loop of your own, a slow request sleeps and one that hangs never ends. `run_deliveries`
    has virtual time.
    """

    def __init__(
        self,
        rules: Sequence[FaultRule[StoreFault]] = (),
        *,
        inner: ObjectStore | None = None,
        seed: int = 0,
        slow_s: float = 3.0,
    ) -> None:
        """Fail requests by the first of the `rules` that applies.

        Args:
            rules: which requests fail, and how.
            inner: where requests go. None: an empty `MemoryStore`.
            seed: decides about the rules' `chance`.
            slow_s: how long a slow request takes.
        """
        self.inner: ObjectStore = MemoryStore() if inner is None else inner
        self.script: FaultScript[StoreFault] = FaultScript(rules, seed)
        self.slow_s = slow_s
        self.requests: list[SentRequest] = []
        """All requests so far, in order."""
        self.late: list[Request] = []
        """The requests that have not taken effect yet."""

    def decide(self, request: Request) -> StoreFault | None:
        """Return the fault of the next request, or None. Subclasses may choose otherwise."""
        return self.script.decide(request.operation.label, request.key)

    async def send(self, request: Request) -> Response:
        """Send one request; see `ObjectStore.send`."""
        fault = self.decide(request)
        label = request.operation.label
        self.requests.append(SentRequest(label, request.key, fault))
        what = f"{label} {request.key}: {fault}"
        match fault:
            case StoreFault.OUTAGE:
                raise RetryableError(what)
            case StoreFault.THROTTLED:
                raise ThrottledError(what)
            case StoreFault.REFUSED:
                raise RejectedError(what)
            case StoreFault.HANGS:
                await asyncio.Event().wait()
            case StoreFault.LATE:
                if not request.operation.only_reads:
                    self.late.append(request)
                raise RetryableError(what)
            case StoreFault.SLOW:
                await asyncio.sleep(self.slow_s)
        response = await self.inner.send(request)
        if fault is StoreFault.RESPONSE_LOST:
            raise RetryableError(what)
        return response

    async def land(self, index: int = 0) -> None:
        """Let a late request take effect, under the conditions that hold now."""
        request = self.late.pop(index)
        with suppress(PreconditionFailedError, UploadLostError):
            await self.inner.send(request)

    async def aclose(self) -> None:
        """Do nothing: the objects stay, for the test to look at."""
