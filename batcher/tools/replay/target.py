"""Target: where replayed records go. Plans which records can be sent, and sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from batcher.tools.replay.marks import QuarantineLine, ReplayMark
from batcher.writing.stats import Stats


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that cannot be sent, and stays in quarantine unchanged."""

    line: QuarantineLine
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class SendPlan:
    """What `send` will do with some lines."""

    marks: Mapping[str, ReplayMark]
    """The marks of the lines that can be sent, by identity. They are written before `send`."""
    skipped: Sequence[Skipped]
    """The lines that cannot be sent."""
    prepared: object
    """Data of the target."""
    filtered: frozenset[str] = frozenset()
    """The lines of `marks` that a transform leaves out, by identity."""

    @property
    def sends_none(self) -> bool:
        """Whether a transform leaves out all lines that could be sent."""
        return bool(self.filtered) and self.marks.keys() == self.filtered


@dataclass(slots=True)
class SendResult:
    """The outcome of sending a plan. Records are named by identity."""

    delivered: set[str] = field(default_factory=set)
    """Records that are durable at the target, or were filtered out by a transform."""
    rejected: dict[str, str] = field(default_factory=dict)
    """Records that the target does not accept, with the reason."""
    unsent: set[str] = field(default_factory=set)
    """Records known not to have arrived. They can be sent again."""
    errors: list[Exception] = field(default_factory=list)
    """Why the outcome of all other records is unknown."""


class ReplayTarget(Protocol):
    """Receives replayed records."""

    counts: Stats
    """What was delivered so far."""

    def plan(
        self, lines: Sequence[QuarantineLine], scope: str, group: str | None = None
    ) -> SendPlan:
        """Plan what to do with `lines`, without I/O.

        Args:
            lines: undamaged lines of one quarantine object.
            scope: the scope in which their identities are unique; see `identity_scope`.
            group: the id of their group; None: a new group.
        """

    async def send(self, plan: SendPlan) -> SendResult:
        """Send the records of a plan."""

    async def has_arrived(self, mark: ReplayMark, lines: Sequence[QuarantineLine]) -> bool:
        """Return whether these records, all that have `mark`, are known to have arrived."""

    async def aclose(self) -> None:
        """Close connections and end threads."""
