"""Library: a program that submits as fast as it may, and submits again what failed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from batcher import Receipt, Ticket
from batcher.batcher import Batcher
from batcher.errors import BatcherError
from batcher.settings import Settings
from batcher.stores import ObjectStore
from long.numbered_records import PROGRAM, payload

MIB = 1024**2
MOST = 60
"""Records of one submit."""
IN_PARTS: dict[str, Any] = {
    "compression": "none",
    "max_bytes": 12 * MIB,
    "multipart_threshold": 5 * MIB,
    "part_size": 5 * MIB,
    "budget_bytes": 48 * MIB,
    "concurrency": 4,
}
SMALL: dict[str, Any] = {"max_bytes": MIB, "linger_s": 0.2, "budget_bytes": 32 * MIB}
VARIANTS: list[dict[str, Any]] = [
    {"engine": "obstore", **IN_PARTS},
    {"engine": "aioboto3", **SMALL},
    {"engine": "aioboto3", **IN_PARTS},
    {"engine": "obstore", **SMALL},
]
"""Programs that take turns: what is not set is at its default."""
LIMIT_S = 150.0
"""The most that a round may take; the load of other programs is in it."""

Sent = tuple[range, Ticket[list[Receipt]]]
Answer = dict[str, Any]


class Library:
    """Programs whose batchers live as long as the process."""

    def __init__(
        self,
        bucket: str,
        root: str,
        store: Callable[[Settings], ObjectStore],
        counted: Counter[str],
    ) -> None:
        """Write to `bucket`, each program under a root of its own that starts with `root`."""
        self._counted = counted
        self._store = store
        self._settings = [
            Settings(bucket=bucket, root=f"{root}{number}", **chosen)
            for number, chosen in enumerate(VARIANTS)
        ]
        self._batchers: list[Batcher] = []

    async def write(self, part: int, seconds: float, chance: random.Random) -> Answer:
        """Submit records of a round for some seconds, until each has a receipt.

        Gives how many, the receipts, and the ranges that were submitted more than once.
        """
        if not self._batchers:
            self._batchers = [Batcher(one, store=self._store(one)) for one in self._settings]
        batcher = self._batchers[part % len(self._batchers)]
        async with asyncio.timeout(LIMIT_S):
            return await self._write(_Round(part, batcher, self._counted), seconds, chance)

    async def _write(self, round_: _Round, seconds: float, chance: random.Random) -> Answer:
        until_s = time.monotonic() + seconds
        sent = 0
        while time.monotonic() < until_s:
            numbers = range(sent, sent + chance.randint(1, MOST))
            sent = numbers.stop
            await round_.submit(numbers)
            await round_.keep_settled()
        while round_.is_open:
            await round_.flush()
            await round_.keep_settled()
        again = [[numbers.start, numbers.stop] for numbers in round_.again]
        return {"sent": [sent], "receipts": round_.receipts, "again": again}

    async def aclose(self) -> None:
        """Drain all programs."""
        for batcher in self._batchers:
            await batcher.aclose()


class _Round:
    """What is submitted and not settled, and what is known to be durable."""

    def __init__(self, part: int, batcher: Batcher, counted: Counter[str]) -> None:
        self.receipts: dict[str, tuple[int, int]] = {}
        """Of every object, by key: its records and its size."""
        self.again: list[range] = []
        self._part = part
        self._batcher = batcher
        self._counted = counted
        self._open: deque[Sent] = deque()

    @property
    def is_open(self) -> bool:
        """Whether something has no receipt yet."""
        return bool(self._open)

    async def submit(self, numbers: range) -> None:
        """Submit records."""
        self._counted["invocations"] += 1
        ticket = await self._batcher.submit_many([payload(self._part, n, PROGRAM) for n in numbers])
        self._open.append((numbers, ticket))

    async def flush(self) -> None:
        """Wait until everything is settled."""
        with suppress(BatcherError):  # its ticket raises it, too
            await self._batcher.flush()

    async def keep_settled(self) -> None:
        """Keep the receipts of what is settled, oldest first; submit again what has failed."""
        while self._open and self._open[0][1].is_settled:
            numbers, ticket = self._open.popleft()
            try:
                receipts = await ticket
            except BatcherError:
                self._counted["failed"] += 1
                self.again.append(numbers)
                await self.submit(numbers)
            else:
                for receipt in receipts:
                    self.receipts[receipt.key] = (receipt.records, receipt.size_bytes)
