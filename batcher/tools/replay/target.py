"""Destination: where replayed records go; decides which can go at all, then brings them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from batcher.tools.replay.marks import QuarantineLine, ReplayMark
from batcher.writing.stats import Stats


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that cannot go, and stays as it is."""

    line: QuarantineLine
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class SendPlan:
    """What would become of some lines; nothing has been sent."""

    marks: Mapping[str, ReplayMark]
    """Of those that can go, by identity: what is noted before anything is sent."""
    skipped: Sequence[Skipped]
    prepared: object
    """What the destination has prepared."""


@dataclass(slots=True)
class SendResult:
    """How the sending of a plan ended."""

    delivered: set[str] = field(default_factory=set)
    """Records that are durable there, or left out by a transform."""
    rejected: dict[str, str] = field(default_factory=dict)
    """Records that never arrive as they are, by identity, and why."""
    unsent: set[str] = field(default_factory=set)
    """Records that are known not to have arrived this time, and may go at any other."""
    errors: list[Exception] = field(default_factory=list)
    """Why the outcome of all others is not known."""


class ReplayTarget(Protocol):
    """A place for replayed records."""

    counts: Stats
    """What has arrived so far."""

    def plan(
        self, lines: Sequence[QuarantineLine], scope: str, group: str | None = None
    ) -> SendPlan:
        """Decide, with no I/O, what would become of `lines`.

        Args:
            lines: undamaged ones of one quarantine object.
            scope: the name within which their identities are unique.
            group: the group they belong to; None: a new one.
        """

    async def send(self, plan: SendPlan) -> SendResult:
        """Bring the records of a plan there."""

    async def has_arrived(self, mark: ReplayMark, lines: Sequence[QuarantineLine]) -> bool:
        """Return whether these records, all that have this mark's place, are known to be there."""

    async def aclose(self) -> None:
        """Let go of connections and threads."""
