"""A model of Lambda's event source mapping for one lane of a shard.

What it does is what AWS documents: on success the checkpoint moves behind the batch; on an error or
a timeout the batch comes back, halved if bisect is on; of the sequence numbers that a function
names, the lowest counts, and it and all after it comes back; an unknown one brings everything back;
without `ReportBatchItemFailures` answers are not read. What AWS leaves open is left to chance:
where a batch ends, and whether one that was acknowledged comes again.
Source: AWS Lambda developer guide, "Configuring partial batch response with Kinesis Data Streams".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from support.aws_model.sandbox import Outcome, Responded


class Numbered(Protocol):
    """A record of a stream."""

    @property
    def number(self) -> str:
        """Its sequence number."""


R = TypeVar("R", bound=Numbered)


@dataclass
class Lane(Generic[R]):
    """Records that come one after another: a shard, or one of the parallel batches of one."""

    records: Sequence[R]
    reports: bool
    """Whether `ReportBatchItemFailures` is on."""
    bisects: bool
    """Whether `BisectBatchOnFunctionError` is on."""
    reached: Counter[str]
    checkpoint: int = 0
    """Records before this index are acknowledged."""
    acknowledged: list[Sequence[R]] = field(default_factory=list)
    """The batches of those, as they were delivered."""
    _ends: list[int] = field(default_factory=list)
    """Where the next batches end that have failed before: the nearest last."""
    _tried_to: int = 0

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left to deliver."""
        return self.checkpoint >= len(self.records)

    def batch(self, size: int, *, as_before: bool) -> Sequence[R]:
        """Return the next batch: all of them start at the checkpoint.

        Args:
            size: how many records, where the end is free to choose.
            as_before: end a retry where its first try ended, or where bisect has cut it; else the
                mapping has lost its memory, and read the shard anew.
        """
        if not as_before:
            self._ends.clear()
        if not self._ends:
            self._ends.append(min(self.checkpoint + size, len(self.records)))
        end = self._ends[-1]
        if self.checkpoint < self._tried_to != end:
            longer = end > self._tried_to
            self.reached["longer retry" if longer else "shorter retry"] += 1
        self._tried_to = end
        return self.records[self.checkpoint : end]

    def settle(self, batch: Sequence[R], outcome: Outcome) -> None:
        """Do what the mapping does when an invocation has ended."""
        end = self._ends[-1]
        if not isinstance(outcome, Responded):
            if self.bisects and len(batch) > 1:
                self.reached["bisected"] += 1
                self._ends.append(self.checkpoint + len(batch) // 2)
            return
        first = self._first_failed(batch, outcome) if self.reports else len(batch)
        if first:
            self.acknowledged.append(batch[:first])
            self.checkpoint += first
        else:
            self.reached["came back by an answer"] += 1
        if self.checkpoint == end:
            self._ends.pop()

    def _first_failed(self, batch: Sequence[R], answer: Responded) -> int:
        """Return the index of the first record that comes back; the length where none does."""
        index = {record.number: i for i, record in enumerate(batch)}
        if any(identifier not in index for identifier in answer.identifiers):
            return 0
        return min((index[i] for i in answer.identifiers), default=len(batch))
