"""Job: replay one quarantine object. A crash at any time neither loses nor duplicates records.

1. Groups that an earlier run has started are finished, whatever the filter is now.
2. Of the other selected records, those that can be sent are marked `started`, with their target, by
   replacing the quarantine object. These marks are a write-ahead log: the next run knows what may
   have arrived.
3. They are sent. The key of a data object is derived from its records, so writing one that exists
   already fails with 412, and its digest identifies it.
4. They are marked `done`, by replacing the quarantine object again.

Each replacement is conditional on the version that was read (If-Match). If another replay has
replaced it, the object is read again, and the job continues from there. A redelivery never replaces
it.
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
"""How often others may replace the object during a job before the job fails."""


@dataclass(slots=True)
class JobResult:
    """What happened to the records of one quarantine object."""

    replayed: Counter[str] = field(default_factory=Counter)
    """Records that have arrived (in a dry run: would be sent), by reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Records that the transform left out (in a dry run: would), by reason."""
    is_held_back: bool = False
    """Whether the transform left out all that could be sent, and nothing was marked."""
    skipped: dict[str, Skipped] = field(default_factory=dict)
    """Selected records that stay in quarantine unchanged, by identity."""
    unfinished: int = 0
    """Records that were started and did not arrive, or with an unknown outcome."""
    errors: list[str] = field(default_factory=list)
    is_failed: bool = False
    """Whether sending failed."""


@dataclass(slots=True)
class ReplayJob:
    """Replays the selected records of one quarantine object."""

    context: ReplayContext
    key: str
    on_read: Callable[[int], None]
    """Called with the stored bytes of the object, each time it was read."""
    holds_back: bool = False
    """Whether not to mark records if the transform leaves out all of them."""
    result: JobResult = field(default_factory=JobResult)
    _sent: dict[str, ReplayMark] = field(default_factory=dict)
    """The marks of records that this job has sent, in case the object loses them."""
    _attempted: set[str] = field(default_factory=set)
    """Records that did not arrive. This job does not send them again."""

    async def run(self) -> None:
        """Replay. `result` is complete even if this raises.

        Raises:
            DamagedError: the object cannot be decoded.
            NotFoundError: the object was removed.
            RetryableError: the store failed, or others keep replacing the object. Run it again.
            RejectedError: the store refuses the request. The message says what to do.
        """
        for _ in range(MAX_ROUNDS):
            if await self._run_round(await self._read()):
                return
        msg = f"{self.key}: other writers keep replacing it; run this again when they are done"
        raise RetryableError(msg)

    async def preview(self) -> None:
        """Fill in `result` as a run would, without sending or marking anything."""
        quarantine_object = await self._read()
        started = {
            line.identity: line.mark
            for line in quarantine_object.lines
            if line.mark and line.mark.state is ReplayState.STARTED
        }
        restarted = frozenset(i for i, mark in started.items() if mark.is_filtered)
        quarantine_object = quarantine_object.with_marks(dict.fromkeys(restarted))
        plan = self._plan(quarantine_object, restarted)
        for line in _select_lines(
            quarantine_object, started.keys() - restarted | plan.marks.keys()
        ):
            self._count_arrived(line, plan)

    async def _read(self) -> QuarantineObject:
        """Read the object, and reset the parts of `result` that depend on its content."""
        quarantine_object = await read_quarantine_object(
            self.context.reader, self.key, self.context.max_bytes, self.on_read
        )
        self.result.errors = [
            f"{self.key}: line {line.number}: {line.fault}"
            for line in quarantine_object.lines
            if line.fault
        ]
        self.result.skipped.clear()
        self.result.unfinished = 0
        return quarantine_object

    async def _run_round(self, quarantine_object: QuarantineObject) -> bool:
        """Run all steps once. Return False if somebody else has replaced the object meanwhile."""
        before = quarantine_object
        quarantine_object = quarantine_object.with_marks(
            {
                line.identity: self._sent[line.identity]
                for line in quarantine_object.lines
                if line.identity in self._sent and line.mark != self._sent[line.identity]
            }
        )
        quarantine_object, restarted = await self._finish_started(quarantine_object)
        plan = self._plan(quarantine_object, restarted)
        if plan.sends_none and self.holds_back:
            self.result.is_held_back = True
            self.result.left_out.update(
                line.reason for line in _select_lines(quarantine_object, plan.filtered)
            )
        elif plan.marks:
            marked = await replace_quarantine_object(
                self.context.store, quarantine_object.with_marks(plan.marks)
            )
            if marked is None:
                return False
            send_result = await self.context.target.send(plan)
            before, quarantine_object = marked, self._apply_result(marked, send_result, plan)
        return (
            quarantine_object.lines == before.lines
            or await replace_quarantine_object(self.context.store, quarantine_object) is not None
        )

    def _plan(self, quarantine_object: QuarantineObject, restarted: frozenset[str]) -> SendPlan:
        """Plan the selected records that no replay has started."""
        lines = [
            line
            for line in quarantine_object.lines
            if line.is_unstarted
            and line.identity not in self._attempted
            and (line.identity in restarted or self.context.record_filter.matches(line))
        ]
        plan = self.context.target.plan(lines, identity_scope(self.key))
        self.result.skipped |= {skipped.line.identity: skipped for skipped in plan.skipped}
        return plan

    async def _finish_started(
        self, quarantine_object: QuarantineObject
    ) -> tuple[QuarantineObject, frozenset[str]]:
        """Finish the groups that an earlier run has started.

        Returns:
            The object with new marks, and the identities of the records to start again.
        """
        restarted: list[str] = []
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
                restarted += identities
            else:
                self.result.unfinished += len(lines)
                records = "1 record" if len(lines) == 1 else f"{len(lines)} records"
                self.result.errors.append(
                    f"{self.key}: {records} from line {lines[0].number} on: replay to "
                    f"{mark.key or mark.queue} was started with other settings or another "
                    "transform; finish it with those, or use --restart while no other replay runs"
                )
        return quarantine_object, frozenset(restarted)

    def _apply_result(
        self, quarantine_object: QuarantineObject, send_result: SendResult, plan: SendPlan
    ) -> QuarantineObject:
        """Mark the records that have arrived, and unmark those known not to have arrived."""
        marks: dict[str, ReplayMark | None] = dict.fromkeys(
            [*send_result.rejected, *send_result.unsent]
        )
        self._attempted |= marks.keys()
        done = {i: plan.marks[i].as_done() for i in plan.marks if i in send_result.delivered}
        marks |= done
        self._sent |= done
        for line in _select_lines(quarantine_object, plan.marks):
            if line.identity in done:
                self._count_arrived(line, plan)
            elif line.identity in send_result.rejected:
                detail = send_result.rejected[line.identity]
                self.result.skipped[line.identity] = Skipped(line, line.reason, detail)
            else:
                self.result.unfinished += 1
        self.result.errors += [f"{self.key}: {error}" for error in send_result.errors]
        self.result.is_failed |= bool(send_result.errors)
        return quarantine_object.with_marks(marks)

    def _count_arrived(self, line: QuarantineLine, plan: SendPlan) -> None:
        counter = self.result.left_out if line.identity in plan.filtered else self.result.replayed
        counter[line.reason] += 1


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """What all jobs of a replay share."""

    store: ObjectStore
    """Replaces quarantine objects."""
    reader: ObjectReader
    """Reads quarantine objects from the same place."""
    target: ReplayTarget
    record_filter: RecordFilter
    max_bytes: int
    """The most text that a quarantine object may have."""
    restart: bool = False
    """Start groups again that were started for another target."""


def _select_lines(
    quarantine_object: QuarantineObject, identities: Collection[str]
) -> Sequence[QuarantineLine]:
    return [line for line in quarantine_object.lines if line.identity in identities]


def _marks_by_identity(lines: Sequence[QuarantineLine]) -> dict[str, ReplayMark]:
    return {line.identity: line.mark for line in lines if line.mark is not None}
