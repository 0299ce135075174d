"""Turns: children that answer `{"invocations": n}`, driven in turn, round after round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from child_process import Child

SAMPLE_CPU_S = 0.12
"""A round of a contender lasts at least this long, so that timers and noise don't matter."""
SAMPLE_WALL_S = 0.5
"""But where it mostly waits, no longer than this, or one invocation."""


@dataclass
class TimedContender:
    """One child, and what an invocation of it took, a round each."""

    name: str
    child: Child
    bucket: str
    invocations: int = 1
    """In one round."""
    peak_bytes: int = 0
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def warm_up(self, invocations: int = 2) -> None:
        """Connect, import, fill caches; then see how many invocations make a round."""
        if invocations:
            self.child.ask(invocations=invocations)
        took = self.child.ask(invocations=1)
        by_cpu, by_wall = SAMPLE_CPU_S / took["cpu_s"], SAMPLE_WALL_S / took["wall_s"]
        self.invocations = max(1, ceil(min(by_cpu, by_wall)))

    def round(self) -> None:
        """Measure one round."""
        took = self.child.ask(invocations=self.invocations)
        self.cpu_s.append(took["cpu_s"] / self.invocations)
        self.wall_s.append(took["wall_s"] / self.invocations)
        self.peak_bytes = int(took["peak_bytes"])


def interleave(contenders: Sequence[TimedContender], rounds: int) -> None:
    """Measure all in turn, starting with another one each round."""
    for number in range(rounds):
        first = number % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            contender.round()
