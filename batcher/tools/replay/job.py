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
from batcher.tools.replay.grouping import by_place, scope_of
from batcher.tools.replay.marks import Line, Mark, State, Wanted
from batcher.tools.replay.quarantine_object import Page, put_back, read_page
from batcher.tools.replay.target import Arrived, Destination, Left, Plan

ROUNDS = 20
"""How often one object may change under a job before it gives up."""


@dataclass(slots=True)
class Found:
    """What became of one quarantine object's records."""

    replayed: Counter[str] = field(default_factory=Counter)
    """Records that have arrived, or, in a dry run, would be sent, by reason."""
    left: dict[str, Left] = field(default_factory=dict)
    """Records that were wanted and stay as they are, by identity."""
    unfinished: int = 0
    """Records that were begun and have not arrived, or may have."""
    errors: list[str] = field(default_factory=list)
    """What else went wrong."""
    is_failed: bool = False
    """Whether records could not be brought to their place."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all jobs of a replay work with."""

    store: ObjectStore
    """Where quarantine objects are replaced."""
    reader: ObjectReader
    """Reads the same objects."""
    destination: Destination
    wanted: Wanted
    max_bytes: int
    """The most text of a quarantine object that is held."""
    is_restart: bool = False
    """Whether groups that were started for another place are begun anew."""


@dataclass(slots=True)
class Job:
    """Replays the wanted records of one quarantine object."""

    means: Means
    key: str
    count: Callable[[int], None]
    """Told of bytes that were read."""
    found: Found = field(default_factory=Found)
    _sent: dict[str, Mark] = field(default_factory=dict)
    """What this job has brought to its place, should the marks be lost on the way."""
    _tried: set[str] = field(default_factory=set)
    """What did not arrive, and is not tried again by this job."""

    async def run(self) -> None:
        """Replay; what was found is complete, also when this raises.

        Raises:
            DamagedError: the object cannot be read.
            NotFoundError: it is gone.
            RetryableError: the store is busy; to be run again.
            RejectedError: the store refuses.
        """
        for _ in range(ROUNDS):
            if await self._round(await self._read()):
                return
        msg = f"{self.key}: others keep writing it: run this again when they are done"
        raise RetryableError(msg)

    async def look(self) -> None:
        """Find out what a run would do, and do nothing."""
        page = await self._read()
        started = [line for line in page.lines if line.mark and line.mark.state is State.STARTED]
        self.found.replayed.update(line.reason for line in started)
        plan = self._plan(page, frozenset())
        self.found.replayed.update(line.reason for line in _of(page, plan.marks))

    async def _read(self) -> Page:
        page = await read_page(self.means.reader, self.key, self.means.max_bytes, self.count)
        self.found.errors = [
            f"{self.key}: line {line.number}: {line.fault}" for line in page.lines if line.fault
        ]
        self.found.left.clear()
        self.found.unfinished = 0
        return page

    async def _round(self, page: Page) -> bool:
        """Go as far as the page lets us; False: it was replaced by somebody else."""
        before = page
        page = page.marked(
            {
                line.identity: self._sent[line.identity]
                for line in page.lines
                if line.identity in self._sent and line.mark != self._sent[line.identity]
            }
        )
        page, anew = await self._finish(page)
        plan = self._plan(page, anew)
        if plan.marks:
            ahead = await put_back(self.means.store, page.marked(plan.marks))
            if ahead is None:
                return False
            before, page = ahead, self._noted(ahead, await self.means.destination.send(plan), plan)
        return page.lines == before.lines or await put_back(self.means.store, page) is not None

    def _plan(self, page: Page, anew: frozenset[str]) -> Plan:
        """Decide which records that nobody has begun with can go."""
        lines = [
            line
            for line in page.lines
            if line.is_open
            and line.identity not in self._tried
            and (line.identity in anew or self.means.wanted.takes(line))
        ]
        plan = self.means.destination.plan(lines, scope_of(self.key))
        self.found.left |= {left.line.identity: left for left in plan.left}
        return plan

    async def _finish(self, page: Page) -> tuple[Page, frozenset[str]]:
        """Finish what an earlier run has started; give the page and what is to begin anew."""
        anew: list[str] = []
        for lines in by_place(page.lines):
            mark = lines[0].mark
            if mark is None or mark.state is not State.STARTED:
                continue
            plan = self.means.destination.plan(lines, scope_of(self.key), mark.id)
            identities = [line.identity for line in lines]
            if plan.marks == dict.fromkeys(identities, mark):
                page = self._noted(page, await self.means.destination.send(plan), plan)
            elif await self.means.destination.has_arrived(mark, lines):
                page = self._noted(page, Arrived(set(identities)), Plan(_marks(lines), (), None))
            elif self.means.is_restart or mark.is_nowhere:
                page = page.marked(dict.fromkeys(identities))
                anew += identities
            else:
                self.found.unfinished += len(lines)
                self.found.errors.append(
                    f"{self.key}: {len(lines)} records from line {lines[0].number} on were begun "
                    f"for {mark.key or mark.queue}, with other settings or another transform: "
                    "finish them with those, or begin anew with --restart when nobody else replays"
                )
        return page, frozenset(anew)

    def _noted(self, page: Page, arrived: Arrived, plan: Plan) -> Page:
        """Mark what has arrived, and unmark what is known not to have."""
        marks: dict[str, Mark | None] = dict.fromkeys([*arrived.refused, *arrived.unsent])
        self._tried |= marks.keys()
        done = {i: plan.marks[i].done() for i in plan.marks if i in arrived.identities}
        marks |= done
        self._sent |= done
        for line in _of(page, plan.marks):
            if line.identity in done:
                self.found.replayed[line.reason] += 1
            elif line.identity in arrived.refused:
                why = arrived.refused[line.identity]
                self.found.left[line.identity] = Left(line, line.reason, why)
            else:
                self.found.unfinished += 1
        self.found.errors += [f"{self.key}: {error}" for error in arrived.errors]
        self.found.is_failed |= bool(arrived.errors)
        return page.marked(marks)


def _of(page: Page, identities: Collection[str]) -> Sequence[Line]:
    return [line for line in page.lines if line.identity in identities]


def _marks(lines: Sequence[Line]) -> dict[str, Mark]:
    return {line.identity: line.mark for line in lines if line.mark is not None}
