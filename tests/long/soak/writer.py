"""Writer: one process of a soak, which writes round after round and reports what it has sent.

It reads a line of JSON a round from standard input, and answers with one. All that is batcher's is
the real thing, but for one constant: a request without an answer is given up after some seconds
instead of ten or more (Complete: 300), so that a soak meets many of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from batcher.handler import Handler
from batcher.settings import Settings
from batcher.stores import ObjectStore, open_store, request
from long.soak.event_sources import MARGIN_S, Invocations, Queue, Shard
from long.soak.library_writer import Library

PATIENCE_S = 2.0
SLOWEST_BYTES_PER_S = 1024**2
"""Not less: parts that are given up while the server is still busy with them make a storm."""
SHARDS = 2
EVENTS: dict[str, Any] = {
    "partition_by": "hour={arrival:%H}/k={field:k}",
    "deadline_margin_s": MARGIN_S,
}
ANSWERING: dict[str, Any] = {"partial_response": True}
RAISING: dict[str, Any] = {"compression": "none"}
VARIANTS: list[dict[str, Any]] = [
    {"engine": "obstore", **ANSWERING},
    {"engine": "aioboto3", **RAISING},
    {"engine": "aioboto3", **ANSWERING},
    {"engine": "obstore", **RAISING},
]
"""Functions that take turns: what is not set is at its default."""

Answer = dict[str, Any]


class Writes(Protocol):
    """What writes round after round."""

    def write(self, part: int, seconds: float, chance: random.Random) -> Answer:
        """Write for some seconds, and drain; gives what was sent."""

    def close(self) -> None:
        """Let go of everything."""


class Functions:
    """Handlers that live as long as the process, as in a warm environment."""

    def __init__(self, bucket: str, root: str, counted: Counter[str]) -> None:
        """Write to `bucket`, each handler under a root of its own that starts with `root`."""
        self._counted = counted
        self._handlers = []
        for number, chosen in enumerate(VARIANTS):
            settings = Settings(bucket=bucket, root=f"{root}{number}", **EVENTS, **chosen)
            self._handlers.append(Handler(settings, store=counting_store(settings, counted)))

    def invocations(self, part: int, chance: random.Random) -> Invocations:
        """Return the function whose turn it is."""
        handler = self._handlers[part % len(self._handlers)]
        return Invocations(handler, chance, self._counted)

    def close(self) -> None:
        """End all environments."""
        for handler in self._handlers:
            handler.close()


class Streams(Functions):
    """Shards of a stream, in turn."""

    def write(self, part: int, seconds: float, chance: random.Random) -> Answer:
        """Deliver for some seconds; all that was begun is acknowledged at the end."""
        invoke = self.invocations(part, chance)
        shards = [Shard(part, number, SHARDS, chance) for number in range(SHARDS)]
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            for shard in shards:
                shard.deliver_next(invoke)
        return {"sent": [shard.sent for shard in shards]}


class Queues(Functions):
    """A standard queue."""

    def write(self, part: int, seconds: float, chance: random.Random) -> Answer:
        """Deliver for some seconds, and then what came back until nothing does."""
        invoke = self.invocations(part, chance)
        queue = Queue(part, chance)
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            queue.deliver_next(invoke)
        while not queue.is_drained:
            queue.deliver_next(invoke, fresh=False)
        return {"sent": [queue.sent]}


class Programs:
    """Programs with a `Batcher` each, one of which writes multipart uploads."""

    def __init__(self, bucket: str, root: str, counted: Counter[str]) -> None:
        """Open them on a loop of their own."""
        self._runner = asyncio.Runner()

        def store(settings: Settings) -> ObjectStore:
            return counting_store(settings, counted)

        self._library = Library(bucket, root, store, counted)

    def write(self, part: int, seconds: float, chance: random.Random) -> Answer:
        """Submit for some seconds, and then what failed until nothing does."""
        return self._runner.run(self._library.write(part, seconds, chance))

    def close(self) -> None:
        """Drain, and end the loop."""
        self._runner.run(self._library.aclose())
        self._runner.close()


KINDS: dict[str, Callable[[str, str, Counter[str]], Writes]] = {
    "kinesis": Streams,
    "sqs": Queues,
    "library": Programs,
}


def counting_store(settings: Settings, counted: Counter[str]) -> ObjectStore:
    """Open the store that the settings name, and count what it sends again."""

    def retried() -> None:
        counted["retries"] += 1

    return open_store(settings, retried)


def main() -> None:
    """Write rounds until standard input ends."""
    kind, bucket, root, seed = sys.argv[1:]
    logging.getLogger("batcher").setLevel(logging.CRITICAL)  # faults are what we are here for
    request.RESPONSE_TIMEOUT_S = PATIENCE_S
    request.COMPLETE_TIMEOUT_S = PATIENCE_S
    request.MIN_BYTES_PER_S = SLOWEST_BYTES_PER_S
    counted: Counter[str] = Counter()
    writes = KINDS[kind](bucket, root, counted)
    print(json.dumps({"package": sys.modules["batcher"].__file__}), flush=True)  # noqa: T201
    for line in sys.stdin:
        command = json.loads(line)
        chance = random.Random(f"{seed} {kind} {command['part']}")  # noqa: S311  # no secret
        counted.clear()
        answer = writes.write(command["part"], command["seconds"], chance)
        print(json.dumps({**answer, "counted": counted}), flush=True)  # noqa: T201
    writes.close()


if __name__ == "__main__":
    main()
