"""Event source mappings of a soak: they deliver, and deliver again, until all is acknowledged."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batcher.errors import BatcherError
from batcher.handler import Handler
from long.numbered_records import kinesis_event, message_id, sequence_number, sqs_event
from support.fakes import FakeContext

LARGEST = 300
AGAIN, LONGER, SOON_OVER = 0.05, 0.2, 0.15
"""How often what is acknowledged comes again, a retry is longer, and time is nearly up."""
MARGIN_S = 0.5
LIMIT_S = 150.0
"""The most that a round may take; the load of other programs is in it."""
ENOUGH_MS, SHORT_MS = 2_000, 60
"""Less than a writer's patience: what is stalled or held is cut by the deadline, and comes late."""

Invoke = Callable[[dict[str, Any]], list[str] | None]
"""Gives the identifiers that are handed back; None: it raised."""


class Invocations:
    """Invokes a handler as Lambda does, now and then with hardly any time left, and counts."""

    def __init__(self, handler: Handler, chance: random.Random, counted: Counter[str]) -> None:
        """Invoke `handler`; what happens is added to `counted`."""
        self._handler = handler
        self._chance = chance
        self._counted = counted
        self._until_s = time.monotonic() + LIMIT_S

    def __call__(self, event: dict[str, Any]) -> list[str] | None:
        """Invoke it once; an error that batcher does not raise on purpose goes through."""
        if time.monotonic() > self._until_s:
            msg = "a round does not end: what comes again is never acknowledged"
            raise RuntimeError(msg)
        left_ms = ENOUGH_MS
        if self._chance.random() < SOON_OVER:
            left_ms = int(MARGIN_S * 1000) + self._chance.randint(1, SHORT_MS)
        self._counted["invocations"] += 1
        try:
            answer = self._handler(event, FakeContext(left_ms))
        except BatcherError:
            self._counted["failed"] += 1
            return None
        failures: Sequence[Mapping[str, str]] = answer["batchItemFailures"]
        if failures:
            self._counted["handed back"] += 1
        return [failure["itemIdentifier"] for failure in failures]


class Shard:
    """One shard: in order, from where the last acknowledgement ended; halved after an error.

    A retry starts where its first try started, and may be longer. What was acknowledged can come
    once more, as it was delivered.
    """

    def __init__(self, part: int, shard: int, shards: int, chance: random.Random) -> None:
        """Deliver every `shards`-th record from `shard` on, in a round of its own."""
        self.sent = 0
        """Records that have been delivered at least once."""
        self._part = part
        self._shard = shard
        self._shards = shards
        self._chance = chance
        self._acknowledged: deque[tuple[int, int]] = deque(maxlen=8)

    @property
    def _bisects(self) -> bool:
        return self._shard % 2 == 0

    def deliver_next(self, invoke: Invoke) -> None:
        """Deliver the next batch until it is acknowledged; then, perhaps, an earlier one again."""
        end = self.sent + self._chance.randint(1, LARGEST)
        self.sent = self._deliver(self.sent, end, invoke, may_grow=True)
        if self._acknowledged and self._chance.random() < AGAIN:
            index = self._chance.randrange(len(self._acknowledged))
            start, end = self._acknowledged[index]
            del self._acknowledged[index]
            self._deliver(start, end, invoke, may_grow=False)

    def _deliver(self, start: int, end: int, invoke: Invoke, *, may_grow: bool) -> int:
        """Deliver a batch until all of it is acknowledged; gives where it ended at last."""
        ends = [end]
        while ends:
            numbers = [i * self._shards + self._shard for i in range(start, ends[-1])]
            back = invoke(kinesis_event(self._part, numbers, self._shard))
            if back is None and self._bisects and len(numbers) > 1:
                ends.append(start + len(numbers) // 2)
                continue
            acknowledged = 0 if back is None else self._before_first(back, numbers)
            if acknowledged:
                self._acknowledged.append((start, start + acknowledged))
                start += acknowledged
            elif may_grow and len(ends) == 1 and self._chance.random() < LONGER:
                ends[0] += self._chance.randint(1, LARGEST)
                may_grow = False
            if start == ends[-1]:
                ends.pop()
        return start

    def _before_first(self, back: Sequence[str], numbers: Sequence[int]) -> int:
        """Count the records before the lowest that is handed back; an unknown one is all."""
        index = {sequence_number(self._part, number): i for i, number in enumerate(numbers)}
        return min((index.get(position, 0) for position in back), default=len(numbers))


class Queue:
    """A standard queue: what is handed back comes again, in other company, in any order."""

    def __init__(self, part: int, chance: random.Random) -> None:
        """Deliver messages from the first on, in a round of its own."""
        self.sent = 0
        """Messages that have been delivered at least once."""
        self._part = part
        self._chance = chance
        self._back: list[int] = []

    @property
    def is_drained(self) -> bool:
        """Whether everything sent is acknowledged."""
        return not self._back

    def deliver_next(self, invoke: Invoke, *, fresh: bool = True) -> None:
        """Deliver some of what came back together with new messages; perhaps all of it twice."""
        self._chance.shuffle(self._back)
        count = self._chance.randint(1, LARGEST)
        old, self._back = self._back[:count], self._back[count:]
        new = range(self.sent, self.sent + (count - len(old) if fresh else 0))
        self.sent = new.stop
        numbers = [*old, *new]
        self._chance.shuffle(numbers)
        back = self._deliver(numbers, invoke)
        self._back += back
        if not back and self._chance.random() < AGAIN:  # its deletion was lost
            self._back += self._deliver(numbers, invoke)

    def _deliver(self, numbers: Sequence[int], invoke: Invoke) -> list[int]:
        answer = invoke(sqs_event(self._part, numbers))
        if answer is None:
            return list(numbers)
        back = set(answer)
        return [number for number in numbers if message_id(self._part, number) in back]
