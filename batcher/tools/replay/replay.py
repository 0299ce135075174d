"""Replay: every quarantine object under a root, one after another, and what became of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batcher.errors import DamagedError, NotFoundError, RejectedError, RetryableError
from batcher.keys.parse import is_check_key
from batcher.tools.replay.grouping import quarantine_prefix
from batcher.tools.replay.job import JobResult, ReplayContext, ReplayJob

if TYPE_CHECKING:
    from batcher.stores.base import ListEntry

MAX_EXAMPLES = 10
"""Records, and errors, that are kept to be named one by one."""


MAX_FAILURES_IN_A_ROW = 3
"""Quarantine objects in a row that the store may fail, before the rest is not tried."""


@dataclass(slots=True)
class ReplayStats:
    """What a replay has done so far."""

    replayed: Counter[str] = field(default_factory=Counter)
    """Records that have arrived, or, in a dry run, would be sent, by reason."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Wanted records that stay as they are, by the reason for which they are bad now."""
    examples: list[str] = field(default_factory=list)
    """The first of them, with position and reason."""
    unfinished: int = 0
    """Records that were begun and have not arrived, or may have; the next run finds out."""
    errors: list[str] = field(default_factory=list)
    """The first errors."""
    error_count: int = 0
    """How many errors there were."""
    is_stopped: bool = False
    """Whether it was ended before the last object, by `Replay.stop` or by a store that fails."""

    def add_result(self, key: str, result: JobResult) -> None:
        """Add what became of the quarantine object at `key`."""
        self.replayed += result.replayed
        self.unfinished += result.unfinished
        for left in result.skipped.values():
            self.skipped[str(left.reason)] += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append(f"{left.line.position}: {left.reason}: {left.detail} ({key})")
        for error in result.errors:
            self.add_error(error)

    def add_error(self, text: str) -> None:
        """Note an error."""
        self.error_count += 1
        if len(self.errors) < MAX_EXAMPLES:
            self.errors.append(text)


class Replay:
    """Replays the wanted records under a root; holds one quarantine object, some times over.

    Every quarantine object is read, whatever is wanted: one may have a group that was started.
    """

    def __init__(self, context: ReplayContext, root: str, *, dry_run: bool = False) -> None:
        """Replay what stands in quarantine under `root`; nothing is opened or closed here.

        Args:
            means: stores, destination, and what is wanted.
            root: the fixed start of every key.
            is_dry: whether nothing is sent or marked.
        """
        self.stats = ReplayStats()
        self.read_bytes = 0
        """Bytes of quarantine objects read so far."""
        self._context = context
        self._root = root
        self._dry_run = dry_run

    def stop(self) -> None:
        """End after the quarantine object that is being replayed."""
        self.stats.is_stopped = True

    async def list_objects(self) -> list[ListEntry]:
        """List the quarantine objects."""
        prefix = quarantine_prefix(self._root)
        listing = self._context.reader.list_objects(prefix)
        return [listed async for listed in listing if not is_check_key(listed.key, self._root)]

    async def run(self, objects: list[ListEntry]) -> AsyncIterator[None]:
        """Replay these objects in turn, and pause after each."""
        failed_in_a_row = 0
        for listed in objects:
            if self.stats.is_stopped:
                return
            is_failed = await self._replay_object(listed.key)
            failed_in_a_row = failed_in_a_row + 1 if is_failed else 0
            if failed_in_a_row == MAX_FAILURES_IN_A_ROW:
                self.stats.add_error(
                    f"stopped: {MAX_FAILURES_IN_A_ROW} quarantine objects in a row failed"
                )
                return
            yield

    async def _replay_object(self, key: str) -> bool:
        """Replay one object; True: the store failed."""
        job = ReplayJob(self._context, key, self._count_read_bytes)
        try:
            await (job.preview() if self._dry_run else job.run())
        except NotFoundError:
            return False  # a lifecycle rule has removed it meanwhile
        except DamagedError as error:
            job.result.errors.append(str(error))
        except (RetryableError, RejectedError) as error:
            job.result.errors.append(str(error))
            return True
        finally:
            self.stats.add_result(key, job.result)
        return job.result.is_failed

    def _count_read_bytes(self, size_bytes: int) -> None:
        self.read_bytes += size_bytes
