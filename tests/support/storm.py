"""A storm: S3 refuses PUTs by chance for a while, and an event is redelivered until it succeeds."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from unittest.mock import patch

from batcher.errors import PreconditionFailedError
from batcher.handler.event_writer import EventWriter
from batcher.settings import Settings
from batcher.sources import read_event
from batcher.stores import Request, Response
from batcher.stores.rate_limits.limiter import PrefixLimiters
from batcher.stores.rate_limits.store import RateLimitedStore
from batcher.stores.request import Operation
from batcher.stores.retrying import RetryingStore
from batcher.testing import FaultyStore, StoreFault, virtual_loop
from batcher.writing.pipeline import Pipeline
from support.examples import kinesis_record

STORM_S = 600.0
RESPONSE_S = 0.03
MARGIN_S = 2.0
"""The setting `deadline_margin_s`: an invocation has this much less than its timeout."""
REDELIVERY_S = 1.0
"""The time from a failed delivery to the next one."""
MAX_S = 7_200.0
"""A run ends here, even without a success."""


@dataclass(frozen=True)
class Storm:
    """One case."""

    probability: float
    """Of a 503, per PUT, until the storm is over."""
    objects: int
    """Of the event."""
    fanout: int
    timeout_s: float
    """The function's."""
    lasts_s: float = STORM_S
    seed: int = 1
    follows: bool = False
    """Whether another event follows each one that succeeds, until the storm is over."""


@dataclass
class StormResult:
    """What the store was asked for, and when the event succeeded."""

    refused: int = 0
    """PUTs that met 503."""
    taken: int = 0
    """PUTs that met 412: their objects were there."""
    created: int = 0
    heads: int = 0
    invocations: int = 0
    succeeded: int = 0
    """Events."""
    recovery_s: float = 0.0
    """The time from the storm's end to the success of the event; 0: it succeeded before."""
    put_times_s: list[float] = field(default_factory=list)


class StormyStore(FaultyStore):
    """A memory before which PUTs are refused by chance."""

    def __init__(self, storm: Storm, result: StormResult) -> None:
        """Start at time 0."""
        super().__init__()
        self._storm = storm
        self._result = result
        self._random = random.Random(storm.seed)  # noqa: S311  # no secret

    def decide(self, request: Request) -> StoreFault | None:
        """Refuse a PUT by chance if it was sent while the storm lasts."""
        sent_s = asyncio.get_running_loop().time() - RESPONSE_S
        is_hit = (
            request.operation is Operation.PUT
            and sent_s < self._storm.lasts_s
            and self._random.random() < self._storm.probability
        )
        self._result.refused += is_hit
        return StoreFault.THROTTLED if is_hit else None

    async def send(self, request: Request) -> Response:
        """Refuse or carry out one request."""
        result = self._result
        is_put = request.operation is Operation.PUT
        if is_put:
            result.put_times_s.append(asyncio.get_running_loop().time())
        else:
            result.heads += 1
        await asyncio.sleep(RESPONSE_S)
        try:
            response = await super().send(request)
        except PreconditionFailedError:
            result.taken += 1
            raise
        result.created += is_put
        return response


def run_storm(storm: Storm) -> StormResult:
    """Deliver an event, in virtual time, until the storm is over and the event has succeeded."""
    result = StormResult()
    settings = Settings(
        bucket="bucket",
        root="events",
        fanout=storm.fanout,
        partition_by="kind={field:kind}",
        compression="none",
    )
    jitter = random.Random(storm.seed)  # noqa: S311  # no secret

    async def program() -> None:
        loop = asyncio.get_running_loop()
        limiters = PrefixLimiters(
            settings.prefix_rate, settings.concurrency, settings.root, settings.fanout
        )
        limited = RateLimitedStore(StormyStore(storm, result), limiters, settings.concurrency)
        store = RetryingStore(limited, jitter=jitter.random)
        pipeline = Pipeline(settings, store, threads=1)
        writer = EventWriter(pipeline)
        try:
            while loop.time() < MAX_S:
                event = read_event(_event(storm.objects, result.succeeded), 0.0)
                result.invocations += 1
                outcome = await writer.write(event, loop.time() + storm.timeout_s - MARGIN_S)
                if len(outcome.ledger):
                    await asyncio.sleep(REDELIVERY_S)
                    continue
                result.succeeded += 1
                result.recovery_s = max(0.0, loop.time() - storm.lasts_s)
                if result.recovery_s or not storm.follows:
                    return
                await asyncio.sleep(REDELIVERY_S)
            result.recovery_s = MAX_S
        finally:
            await pipeline.aclose()

    with patch.object(virtual_loop, "MAX_STEPS", 10_000_000):
        virtual_loop.virtual_loop().run_until_complete(program())
    return result


def _event(objects: int, number: int) -> dict[str, object]:
    """Create an event of one record per object."""
    first = 100 + number * objects
    return {
        "Records": [
            kinesis_record(str(first + each), json.dumps({"kind": f"k{each}"}).encode())
            for each in range(objects)
        ]
    }
