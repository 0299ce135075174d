"""Replay: go through the quarantine objects under a root, one at a time, and count the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batcher.errors import DamagedError, NotFoundError, RejectedError, RetryableError
from batcher.keys.parse import is_check_key
from batcher.tools.formatting import format_count
from batcher.tools.replay.grouping import quarantine_prefix
from batcher.tools.replay.job import JobResult, ReplayContext, ReplayJob

if TYPE_CHECKING:
    from batcher.stores.base import ListEntry

MAX_FAILURES_IN_A_ROW = 3
"""After this many failed quarantine objects in a row, the rest is not tried."""


class Replay:
    """Replays the selected records under a root. Holds a few copies of one quarantine object.

    Every quarantine object is read, whatever the filter: it may have a started group.
    """

    def __init__(
        self,
        context: ReplayContext,
        root: str,
        *,
        dry_run: bool = False,
        may_leave_all_out: bool = True,
    ) -> None:
        """Replay the quarantine under `root`. The caller closes what `context` has.

        Args:
            context: stores, target and filter.
            root: the common prefix of all keys.
            dry_run: send and mark nothing.
            may_leave_all_out: whether to mark records if the transform leaves out every one. If
                not, those of an object are held back until one of another object is sent.
        """
        self.stats: ReplayStats = ReplayStats()
        self.read_bytes: int = 0
        """Stored bytes of quarantine objects read so far."""
        self._context = context
        self._root = root
        self._dry_run = dry_run
        self._may_leave_all_out = may_leave_all_out
        self._held_back: list[tuple[str, JobResult]] = []

    def stop(self) -> None:
        """End the run after the current quarantine object."""
        self.stats.is_stopped = True

    async def list_objects(self) -> list[ListEntry]:
        """List the quarantine objects."""
        prefix = quarantine_prefix(self._root)
        listing = self._context.reader.list_objects(prefix)
        return [listed async for listed in listing if not is_check_key(listed.key, self._root)]

    async def run(self, objects: list[ListEntry]) -> AsyncIterator[None]:
        """Replay these objects one at a time. Yields after each."""
        async for _ in self._replay_all(objects):
            yield
        if self.stats.is_stopped or not self._held_back:
            return
        if self.stats.replayed:
            for key, _ in self._held_back:
                await self._replay_object(key)
                yield
            return
        for key, result in self._held_back:
            self.stats.add_result(key, result)
        records = format_count(self.stats.left_out.total(), "record")
        self.stats.left_out.clear()
        self.stats.add_error(
            f"the transform returned None for all of {records} that could be replayed, and would "
            "leave them out for good: nothing was marked; let it return what to write, or use "
            "--leave-all-out"
        )

    async def _replay_all(self, objects: list[ListEntry]) -> AsyncIterator[None]:
        failed_in_a_row = 0
        for listed in objects:
            if self.stats.is_stopped:
                return
            if listed.fault:  # neither the store nor the target failed
                self.stats.add_error(f"{listed.key}: {listed.fault}")
                continue
            is_failed = await self._replay_object(listed.key)
            failed_in_a_row = failed_in_a_row + 1 if is_failed else 0
            if failed_in_a_row == MAX_FAILURES_IN_A_ROW:
                self.stats.add_error(
                    f"stopped: {MAX_FAILURES_IN_A_ROW} quarantine objects in a row failed"
                )
                return
            yield

    async def _replay_object(self, key: str) -> bool:
        """Replay one object. Return whether the store or the target failed."""
        holds_back = not (self._may_leave_all_out or self.stats.replayed)
        job = ReplayJob(self._context, key, self._count_read_bytes, holds_back)
        try:
            await (job.preview() if self._dry_run else job.run())
        except NotFoundError:
            return False  # removed since it was listed, for example by a lifecycle rule
        except DamagedError as error:
            job.result.errors.append(str(error))
        except (RetryableError, RejectedError) as error:
            job.result.errors.append(str(error))
            return True
        finally:
            if job.result.is_held_back:
                self._held_back.append((key, job.result))
            else:
                self.stats.add_result(key, job.result)
        return job.result.is_failed

    def _count_read_bytes(self, size_bytes: int) -> None:
        self.read_bytes += size_bytes


MAX_EXAMPLES = 10
"""Skipped records, and errors, that are listed. All are counted."""


@dataclass(slots=True)
class ReplayStats:
    """The results of a replay so far."""

    replayed: Counter[str] = field(default_factory=Counter)
    """Records that have arrived (in a dry run: would be sent), by reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Records that the transform left out (in a dry run: would), by reason."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Selected records that stay in quarantine unchanged, by the reason that they are bad now."""
    examples: list[str] = field(default_factory=list)
    """The first skipped records, with position and reason."""
    unfinished: int = 0
    """Records that were started and did not arrive, or with an unknown outcome. The next run finds
    out."""
    errors: list[str] = field(default_factory=list)
    """The first errors."""
    error_count: int = 0
    """All errors."""
    is_stopped: bool = False
    """Whether `Replay.stop` ended the replay before the last object."""

    def add_result(self, key: str, result: JobResult) -> None:
        """Add the result of the quarantine object at `key`."""
        self.replayed += result.replayed
        self.left_out += result.left_out
        self.unfinished += result.unfinished
        for skipped in result.skipped.values():
            self.skipped[str(skipped.reason)] += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append(
                    f"{skipped.line.position}: {skipped.reason}: {skipped.detail} ({key})"
                )
        for error in result.errors:
            self.add_error(error)

    def add_error(self, text: str) -> None:
        """Count an error, and keep the first ones."""
        self.error_count += 1
        if len(self.errors) < MAX_EXAMPLES:
            self.errors.append(text)
