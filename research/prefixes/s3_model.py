"""S3's partitions, as far as they are published; every assumption is a parameter.

A bucket begins as one partition. A partition accepts a number of PUTs per second and refuses the
rest at once. If its offered load stays high for long enough, it splits after a while at the median
of the keys that it was offered. Partitions that are idle for long merge.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

KEPT_KEYS = 4_000
"""Of those a partition was offered last: enough to find their median within a hundredth."""
KEY_EVERY = 16


@dataclass(frozen=True)
class Assumptions:
    """What is taken for true of S3; the first is Amazon's word, the others are guesses."""

    put_per_s: float = 3_500
    """PUTs that a partition takes in a second."""
    burst_s: float = 1.0
    """Unused capacity of this many seconds can be used at once."""
    hot_per_s: float = 3_000
    """A partition that is offered more than this in each minute ..."""
    hot_s: float = 600
    """... for so long begins to split ..."""
    split_s: float = 1_800
    """... which takes so long."""
    cold_per_s: float = 100
    """Two neighbours that are offered less than this each ..."""
    cold_s: float = 6 * 3_600
    """... for so long merge."""
    off_median: float = 0.05
    """A partition begins at the shortest leading string that is so near the median; 0: at the very
    key."""

    def scaled(self, scale: float) -> Assumptions:
        """Return the same for a store that is smaller by this factor.

        What comes by chance goes up and down by more there: by the square root of the scale, and
        for so much longer unused capacity is kept, so that chance alone refuses as much as before.
        """
        return replace(
            self,
            put_per_s=self.put_per_s / scale,
            burst_s=self.burst_s * sqrt(scale),
            hot_per_s=self.hot_per_s / scale,
            cold_per_s=self.cold_per_s / scale,
        )


class Partition:
    """The keys from `start` up to the next partition."""

    __slots__ = ("cold_since_s", "filled_s", "hot_since_s", "keys", "offered", "splits_s", "start",
                 "tokens")  # fmt: skip

    def __init__(self, start: str, now_s: float, tokens: float) -> None:
        """Begin at `start`, with all its capacity."""
        self.start = start
        self.tokens = tokens
        self.filled_s = now_s
        self.offered = 0
        """Requests since the last look."""
        self.keys: list[str] = []
        self.hot_since_s: float | None = None
        self.cold_since_s: float | None = None
        self.splits_s: float | None = None
        """When the split that is under way ends."""


class S3:
    """A bucket."""

    look_s = 60.0
    """How often load is looked at."""

    def __init__(self, assumptions: Assumptions, starts: Sequence[str] = ("",)) -> None:
        """Begin with partitions at these keys; the first must be the empty one."""
        self._assumptions = assumptions
        self._per_s = assumptions.put_per_s
        self._most_tokens = max(1.0, assumptions.put_per_s * assumptions.burst_s)
        self._partitions = [Partition(start, 0.0, self._most_tokens) for start in starts]
        self._starts = list(starts)
        self.next_look_s = self.look_s
        self.splits: list[tuple[float, str]] = []
        """When each split was over, and where the new partition begins."""

    @property
    def partitions(self) -> int:
        """Count them."""
        return len(self._partitions)

    def put(self, key: str, now_s: float) -> bool:
        """Offer a request. Return whether it is accepted."""
        partition = self._partitions[bisect_right(self._starts, key) - 1]
        partition.offered += 1
        if not partition.offered % KEY_EVERY:
            partition.keys.append(key)
        tokens = partition.tokens + (now_s - partition.filled_s) * self._per_s
        tokens = min(tokens, self._most_tokens)
        partition.filled_s = now_s
        is_taken = tokens >= 1.0
        partition.tokens = tokens - is_taken
        return is_taken

    def look(self, now_s: float) -> None:
        """See what is hot and what is cold; to be called every `look_s`."""
        self.next_look_s += self.look_s
        born = [new for old in self._partitions if (new := self._judge(old, now_s)) is not None]
        if born:
            self._partitions = sorted([*self._partitions, *born], key=lambda one: one.start)
        self._merge(now_s)
        self._starts = [partition.start for partition in self._partitions]

    def _judge(self, partition: Partition, now_s: float) -> Partition | None:
        """Look at one partition; give the new one if its split is over."""
        its = self._assumptions
        offered_per_s = partition.offered / self.look_s
        partition.offered = 0
        del partition.keys[:-KEPT_KEYS]
        began_s = now_s - self.look_s
        if offered_per_s >= its.cold_per_s:
            partition.cold_since_s = None
        elif partition.cold_since_s is None:
            partition.cold_since_s = began_s
        if partition.splits_s is not None:
            if now_s < partition.splits_s:
                return None
            partition.splits_s = partition.hot_since_s = None
            start = middle(sorted(partition.keys), its.off_median)
            partition.keys.clear()
            self.splits.append((now_s, start))
            return Partition(start, now_s, self._most_tokens)
        if offered_per_s < its.hot_per_s:
            partition.hot_since_s = None
        elif partition.hot_since_s is None:
            partition.hot_since_s = began_s
        if partition.hot_since_s is not None and now_s - partition.hot_since_s >= its.hot_s:
            partition.splits_s = now_s + its.split_s
        return None

    def _merge(self, now_s: float) -> None:
        """Take neighbours together that were cold for long enough."""
        kept: list[Partition] = []
        for partition in self._partitions:
            if kept and self._is_cold(kept[-1], now_s) and self._is_cold(partition, now_s):
                continue
            kept.append(partition)
        self._partitions = kept

    def _is_cold(self, partition: Partition, now_s: float) -> bool:
        since_s = partition.cold_since_s
        return since_s is not None and now_s - since_s >= self._assumptions.cold_s


def middle(keys: Sequence[str], off_median: float) -> str:
    """Return shortest leading string that parts sorted keys within `off_median` of the middle."""
    median = keys[len(keys) // 2]
    if not off_median:
        return median
    low, high = (int(len(keys) * (0.5 + off)) for off in (-off_median, off_median))
    near = keys[max(0, low) : high + 1]
    for length in range(1, len(median)):
        starts = {key[:length] for key in near}
        shares = [(abs(bisect_left(keys, start) / len(keys) - 0.5), start) for start in starts]
        found = min(shares, default=(1.0, ""))
        if found[0] <= off_median:
            return found[1]
    return median
