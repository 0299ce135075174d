"""A model of Lambda's event source mapping for one lane of a shard.

It behaves as AWS documents:

- On success the checkpoint moves to the end of the batch.
- After an error or a timeout the batch is redelivered, halved if bisect is on.
- If the function returns sequence numbers, the batch is redelivered from the lowest one on.
- If it returns an unknown sequence number, the whole batch is redelivered.
- Without `ReportBatchItemFailures` the response is ignored.

Where a batch ends, and whether an acknowledged batch is delivered again, is random, because AWS
does not specify it.
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
    """Records that are delivered in sequence: a shard, or one parallel batch of a shard."""

    records: Sequence[R]
    reports: bool
    """Whether `ReportBatchItemFailures` is on."""
    bisects: bool
    """Whether `BisectBatchOnFunctionError` is on."""
    reached: Counter[str]
    checkpoint: int = 0
    """Records before this index are acknowledged."""
    acknowledged: list[Sequence[R]] = field(default_factory=list)
    """The acknowledged batches, as delivered."""
    _ends: list[int] = field(default_factory=list)
    """Ends of batches that have failed before, the nearest last."""
    _last_end: int = 0
    """End of the batch delivered last."""

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left to deliver."""
        return self.checkpoint >= len(self.records)

    def batch(self, size: int, *, as_before: bool) -> Sequence[R]:
        """Return the next batch, which starts at the checkpoint.

        Args:
            size: number of records of a new batch.
            as_before: whether a redelivery ends where the first delivery ended, or where bisect has
                cut it. Otherwise the mapping has restarted and forms a new batch.
        """
        if not as_before:
            self._ends.clear()
        if not self._ends:
            self._ends.append(min(self.checkpoint + size, len(self.records)))
        end = self._ends[-1]
        if self.checkpoint < self._last_end != end:
            longer = end > self._last_end
            self.reached["longer retry" if longer else "shorter retry"] += 1
        self._last_end = end
        return self.records[self.checkpoint : end]

    def settle(self, batch: Sequence[R], outcome: Outcome) -> None:
        """Move the checkpoint after an invocation, or prepare the redelivery."""
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

    def _first_failed(self, batch: Sequence[R], response: Responded) -> int:
        """Return the index of the first record to redeliver, or the length of the batch."""
        index = {record.number: i for i, record in enumerate(batch)}
        if any(identifier not in index for identifier in response.identifiers):
            return 0
        return min((index[i] for i in response.identifiers), default=len(batch))
