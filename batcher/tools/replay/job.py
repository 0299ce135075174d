"""Job: the replay of one quarantine object; a crash at any moment doubles and loses nothing.

1. Groups that an earlier run has started are finished, whatever is wanted now.
2. Of the others, those that can go are marked `started`, with the place they go to, by replacing
   the quarantine object: written ahead, so that whoever comes next knows what may have arrived.
3. They are sent. The key of an object follows from its records, so one that is there already is
   met by 412, and known by its digest.
4. They are marked `done`, by replacing the quarantine object again.

Each replacement names what was read. Where that is not there any more (another replay, a
redelivery), the object is read again and the job goes on from what it finds.

What is left: a stream that redelivers half of an invocation (bisect) replaces the quarantine object
by one with fewer records, and their marks are lost. This job remembers what it has sent itself. For
a later run the object of data still has the same key if it gets the same records of that shard, and
so is not written twice; records that then come together with others than before are doubled. So
replay a stream's records when the stream has moved on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from batcher.errors import RetryableError
from batcher.stores.base import ObjectReader, ObjectStore
from batcher.tools.replay.grouping import group_by_mark, identity_scope
from batcher.tools.replay.marks import QuarantineLine, RecordFilter, ReplayMark, ReplayState
from batcher.tools.replay.quarantine_object import (
    QuarantineObject,
    read_quarantine_object,
    replace_quarantine_object,
)
from batcher.tools.replay.target import ReplayTarget, SendPlan, SendResult, Skipped

MAX_ROUNDS = 20
"""How often one object may change under a job before it gives up."""


@dataclass(slots=True)
class JobResult:
    """What became of one quarantine object's records."""

    replayed: Counter[str] = field(default_factory=Counter)
    """Records that have arrived, or, in a dry run, would be sent, by reason."""
    skipped: dict[str, Skipped] = field(default_factory=dict)
    """Records that were wanted and stay as they are, by identity."""
    unfinished: int = 0
    """Records that were begun and have not arrived, or may have."""
    errors: list[str] = field(default_factory=list)
    """What else went wrong."""
    is_failed: bool = False
    """Whether records could not be brought to their place."""


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """What all jobs of a replay work with."""

    store: ObjectStore
    """Where quarantine objects are replaced."""
    reader: ObjectReader
    """Reads the same objects."""
    target: ReplayTarget
    record_filter: RecordFilter
    max_bytes: int
    """The most text of a quarantine object that is held."""
    restart: bool = False
    """Whether groups that were started for another place are begun anew."""


@dataclass(slots=True)
class ReplayJob:
    """Replays the wanted records of one quarantine object."""

    context: ReplayContext
    key: str
    on_read: Callable[[int], None]
    """Told of bytes that were read."""
    result: JobResult = field(default_factory=JobResult)
    _sent: dict[str, ReplayMark] = field(default_factory=dict)
    """What this job has brought to its place, should the marks be lost on the way."""
    _attempted: set[str] = field(default_factory=set)
    """What did not arrive, and is not tried again by this job."""

    async def run(self) -> None:
        """Replay; what was found is complete, also when this raises.

        Raises:
            DamagedError: the object cannot be read.
            NotFoundError: it is gone.
            RetryableError: the store is busy; to be run again.
            RejectedError: the store refuses.
        """
        for _ in range(MAX_ROUNDS):
            if await self._run_round(await self._read()):
                return
        msg = f"{self.key}: others keep writing it: run this again when they are done"
        raise RetryableError(msg)

    async def preview(self) -> None:
        """Find out what a run would do, and do nothing."""
        page = await self._read()
        started = [
            line for line in page.lines if line.mark and line.mark.state is ReplayState.STARTED
        ]
        self.result.replayed.update(line.reason for line in started)
        plan = self._plan(page, frozenset())
        self.result.replayed.update(line.reason for line in _select_lines(page, plan.marks))

    async def _read(self) -> QuarantineObject:
        page = await read_quarantine_object(
            self.context.reader, self.key, self.context.max_bytes, self.on_read
        )
        self.result.errors = [
            f"{self.key}: line {line.number}: {line.fault}" for line in page.lines if line.fault
        ]
        self.result.skipped.clear()
        self.result.unfinished = 0
        return page

    async def _run_round(self, quarantine_object: QuarantineObject) -> bool:
        """Go as far as the page lets us; False: it was replaced by somebody else."""
        before = quarantine_object
        quarantine_object = quarantine_object.with_marks(
            {
                line.identity: self._sent[line.identity]
                for line in quarantine_object.lines
                if line.identity in self._sent and line.mark != self._sent[line.identity]
            }
        )
        quarantine_object, anew = await self._finish_started(quarantine_object)
        plan = self._plan(quarantine_object, anew)
        if plan.marks:
            ahead = await replace_quarantine_object(
                self.context.store, quarantine_object.with_marks(plan.marks)
            )
            if ahead is None:
                return False
            before, quarantine_object = (
                ahead,
                self._apply_result(ahead, await self.context.target.send(plan), plan),
            )
        return (
            quarantine_object.lines == before.lines
            or await replace_quarantine_object(self.context.store, quarantine_object) is not None
        )

    def _plan(self, quarantine_object: QuarantineObject, restarted: frozenset[str]) -> SendPlan:
        """Decide which records that nobody has begun with can go."""
        lines = [
            line
            for line in quarantine_object.lines
            if line.is_unstarted
            and line.identity not in self._attempted
            and (line.identity in restarted or self.context.record_filter.matches(line))
        ]
        plan = self.context.target.plan(lines, identity_scope(self.key))
        self.result.skipped |= {left.line.identity: left for left in plan.skipped}
        return plan

    async def _finish_started(
        self, quarantine_object: QuarantineObject
    ) -> tuple[QuarantineObject, frozenset[str]]:
        """Finish what an earlier run has started; give the page and what is to begin anew."""
        anew: list[str] = []
        for lines in group_by_mark(quarantine_object.lines):
            mark = lines[0].mark
            if mark is None or mark.state is not ReplayState.STARTED:
                continue
            plan = self.context.target.plan(lines, identity_scope(self.key), mark.id)
            identities = [line.identity for line in lines]
            if plan.marks == dict.fromkeys(identities, mark):
                quarantine_object = self._apply_result(
                    quarantine_object, await self.context.target.send(plan), plan
                )
            elif await self.context.target.has_arrived(mark, lines):
                quarantine_object = self._apply_result(
                    quarantine_object,
                    SendResult(set(identities)),
                    SendPlan(_marks_by_identity(lines), (), None),
                )
            elif self.context.restart or mark.is_filtered:
                quarantine_object = quarantine_object.with_marks(dict.fromkeys(identities))
                anew += identities
            else:
                self.result.unfinished += len(lines)
                self.result.errors.append(
                    f"{self.key}: {len(lines)} records from line {lines[0].number} on were begun "
                    f"for {mark.key or mark.queue}, with other settings or another transform: "
                    "finish them with those, or begin anew with --restart when nobody else replays"
                )
        return quarantine_object, frozenset(anew)

    def _apply_result(
        self, quarantine_object: QuarantineObject, send_result: SendResult, plan: SendPlan
    ) -> QuarantineObject:
        """Mark what has arrived, and unmark what is known not to have."""
        marks: dict[str, ReplayMark | None] = dict.fromkeys(
            [*send_result.rejected, *send_result.unsent]
        )
        self._attempted |= marks.keys()
        done = {i: plan.marks[i].as_done() for i in plan.marks if i in send_result.delivered}
        marks |= done
        self._sent |= done
        for line in _select_lines(quarantine_object, plan.marks):
            if line.identity in done:
                self.result.replayed[line.reason] += 1
            elif line.identity in send_result.rejected:
                why = send_result.rejected[line.identity]
                self.result.skipped[line.identity] = Skipped(line, line.reason, why)
            else:
                self.result.unfinished += 1
        self.result.errors += [f"{self.key}: {error}" for error in send_result.errors]
        self.result.is_failed |= bool(send_result.errors)
        return quarantine_object.with_marks(marks)


def _select_lines(
    quarantine_object: QuarantineObject, identities: Collection[str]
) -> Sequence[QuarantineLine]:
    return [line for line in quarantine_object.lines if line.identity in identities]


def _marks_by_identity(lines: Sequence[QuarantineLine]) -> dict[str, ReplayMark]:
    return {line.identity: line.mark for line in lines if line.mark is not None}
