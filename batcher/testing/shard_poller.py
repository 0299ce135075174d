"""Shard poller: which records of a shard an event source mapping delivers next.

AWS specifies neither where a batch ends nor when an acknowledged one is delivered again, so both
are drawn. What follows an error, an answer or an age is as AWS documents.

Source: AWS Lambda developer guide, "Configuring partial batch response with Kinesis Data Streams".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

MAX_BATCH = 5
"""The most records of one delivery. Small batches make many different cuts."""

REMEMBERED = 4
"""Acknowledged ends to which a checkpoint can fall back."""


@dataclass(frozen=True)
class MappingBehavior:
    """How likely each kind of redelivery is, per delivery that has ended."""

    fault: float = 0.04
    """Of a request to the store: lost, done without a response, or late."""
    bisects: bool = True
    """Whether `BisectBatchOnFunctionError` is on."""
    restarts: float = 0.0
    """The poller forgets how the batch was bisected."""
    falls_back: float = 0.0
    """It continues from one of its last acknowledged ends."""
    jumps_back: float = 0.0
    """It continues from anywhere before."""
    expires: float = 0.0
    """The first records of a failed batch are given up, because of their age."""
    joins: float = 0.0
    """Another poller starts from an acknowledged end, and its deliveries overlap with others."""
    repeats: float = 0.0
    """An acknowledged start is delivered once more, in another cut."""


BEHAVIORS: Mapping[str, MappingBehavior] = {
    "retries": MappingBehavior(),
    "restarts": MappingBehavior(restarts=0.1),
    "checkpoint falls back": MappingBehavior(restarts=0.05, falls_back=0.1),
    "pollers overlap": MappingBehavior(restarts=0.03, joins=0.02),
    "repeats in another cut": MappingBehavior(repeats=0.15),
    "falls back anywhere": MappingBehavior(jumps_back=0.08),
    "records expire": MappingBehavior(expires=0.2),
}
"""Named behaviors of the mapping of a stream."""

EXACT_BEHAVIORS = (
    "retries",
    "restarts",
    "checkpoint falls back",
    "pollers overlap",
    "repeats in another cut",
)
"""In these, each delivery begins where one began or an acknowledged one ended.

batcher writes each record of a stream exactly once then. In the others it loses none."""


@dataclass(eq=False)
class ShardPoller:
    """One reader of a shard. Records are named by their index in the shard."""

    position: int
    """The first record of the next new batch."""
    ends: list[tuple[int, int]] = field(default_factory=list)
    """The batches to deliver, the next one last. There are several after a bisect."""
    history: list[int] = field(default_factory=list)
    """The ends that it has acknowledged."""
    resume_at: int | None = None
    """Where it continues after a batch that was only repeated."""

    def next_batch(self, chance: Random, records: int) -> tuple[int, int]:
        """Return start and end of the next batch, out of a shard with this many records."""
        if not self.ends:
            end = min(records, self.position + chance.randint(1, MAX_BATCH))
            self.ends.append((self.position, end))
        return self.ends[-1]

    def join(self, chance: Random) -> int:
        """Return where another poller of the same shard starts."""
        return chance.choice(self.history[-REMEMBERED:])

    def settle(self, chance: Random, behavior: MappingBehavior, acknowledged: int) -> int:
        """Acknowledge the first records of a batch or prepare its retry, and decide what is next.

        Args:
            chance: draws what AWS does not specify.
            behavior: how likely each case is.
            acknowledged: number of records at the start of the batch that are acknowledged.

        Returns:
            The number of records that were given up because of their age.
        """
        start, end = self.ends[-1]
        expired = 0
        is_whole = acknowledged == end - start
        if is_whole:
            self.ends.pop()
            self.position = end
            self.history.append(end)
        elif acknowledged:
            self.position = start + acknowledged
            self.ends[-1] = (self.position, end)
            self.history.append(self.position)
        elif end - start > 1:
            if chance.random() < behavior.expires:
                cut = chance.randint(start + 1, end - 1)
                expired = cut - start
                self.ends[-1] = (cut, end)
                self.position = cut
            elif behavior.bisects and chance.random() < 0.5:  # noqa: PLR2004  # a half
                middle = (start + end) // 2
                self.ends[-1:] = [(middle, end), (start, middle)]
        if self.resume_at is not None:
            if is_whole:
                self.ends, self.position = [], self.resume_at
                self.resume_at = None
            return expired
        if is_whole and not self.ends and chance.random() < behavior.repeats:
            before = [found for found in self.history[-REMEMBERED:] if found < self.position]
            self.resume_at = self.position
            self.position = chance.choice(before)
            self.ends = [(self.position, chance.randint(self.position + 1, end))]
            return expired
        self._move(chance, behavior)
        return expired

    def _move(self, chance: Random, behavior: MappingBehavior) -> None:
        """Perhaps continue elsewhere."""
        drawn = chance.random()
        if drawn < behavior.restarts:
            self.ends, self.position = [], self.history[-1]
        elif drawn < behavior.restarts + behavior.falls_back:
            self.ends, self.position = [], chance.choice(self.history[-REMEMBERED:])
            self.history = [found for found in self.history if found <= self.position]
        elif drawn < behavior.restarts + behavior.falls_back + behavior.jumps_back:
            self.ends, self.position = [], max(0, self.position - chance.randint(0, MAX_BATCH))
