"""Replay: every quarantine object under a root, one after another, and what became of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batcher.errors import DamagedError, NotFoundError, RejectedError, RetryableError
from batcher.keys.parse import is_check
from batcher.tools.replay.grouping import quarantine_prefix
from batcher.tools.replay.job import Found, Job, Means

if TYPE_CHECKING:
    from batcher.stores.base import Listed

SHOWN = 10
"""Records, and errors, that are kept to be named one by one."""


GIVE_UP = 3
"""Quarantine objects in a row that the store may fail, before the rest is not tried."""


@dataclass(slots=True)
class Tally:
    """What a replay has done so far."""

    replayed: Counter[str] = field(default_factory=Counter)
    """Records that have arrived, or, in a dry run, would be sent, by reason."""
    left: Counter[str] = field(default_factory=Counter)
    """Wanted records that stay as they are, by the reason for which they are bad now."""
    named: list[str] = field(default_factory=list)
    """The first of them, with position and reason."""
    unfinished: int = 0
    """Records that were begun and have not arrived, or may have; the next run finds out."""
    errors: list[str] = field(default_factory=list)
    """The first errors."""
    failures: int = 0
    """How many errors there were."""
    is_stopped: bool = False
    """Whether it was ended before the last object, by `Replay.stop` or by a store that fails."""

    def add(self, key: str, found: Found) -> None:
        """Add what became of the quarantine object at `key`."""
        self.replayed += found.replayed
        self.unfinished += found.unfinished
        for left in found.left.values():
            self.left[str(left.reason)] += 1
            if len(self.named) < SHOWN:
                self.named.append(f"{left.line.position}: {left.reason}: {left.detail} ({key})")
        for error in found.errors:
            self.error(error)

    def error(self, text: str) -> None:
        """Note an error."""
        self.failures += 1
        if len(self.errors) < SHOWN:
            self.errors.append(text)


class Replay:
    """Replays the wanted records under a root; holds one quarantine object, some times over.

    Every quarantine object is read, whatever is wanted: one may have a group that was started.
    """

    def __init__(self, means: Means, root: str, *, is_dry: bool = False) -> None:
        """Replay what stands in quarantine under `root`; nothing is opened or closed here.

        Args:
            means: stores, destination, and what is wanted.
            root: the fixed start of every key.
            is_dry: whether nothing is sent or marked.
        """
        self.tally = Tally()
        self.read_bytes = 0
        """Bytes of quarantine objects read so far."""
        self._means = means
        self._root = root
        self._is_dry = is_dry

    def stop(self) -> None:
        """End after the quarantine object that is being replayed."""
        self.tally.is_stopped = True

    async def found(self) -> list[Listed]:
        """List the quarantine objects."""
        prefix = quarantine_prefix(self._root)
        listing = self._means.reader.list_objects(prefix)
        return [listed async for listed in listing if not is_check(listed.key, self._root)]

    async def run(self, objects: list[Listed]) -> AsyncIterator[None]:
        """Replay these objects in turn, and pause after each."""
        failed_in_a_row = 0
        for listed in objects:
            if self.tally.is_stopped:
                return
            is_failed = await self._replay(listed.key)
            failed_in_a_row = failed_in_a_row + 1 if is_failed else 0
            if failed_in_a_row == GIVE_UP:
                self.tally.error(f"stopped: {GIVE_UP} quarantine objects in a row failed")
                return
            yield

    async def _replay(self, key: str) -> bool:
        """Replay one object; True: the store failed."""
        job = Job(self._means, key, self._count)
        try:
            await (job.look() if self._is_dry else job.run())
        except NotFoundError:
            return False  # a lifecycle rule has removed it meanwhile
        except DamagedError as error:
            job.found.errors.append(str(error))
        except (RetryableError, RejectedError) as error:
            job.found.errors.append(str(error))
            return True
        finally:
            self.tally.add(key, job.found)
        return job.found.is_failed

    def _count(self, size_bytes: int) -> None:
        self.read_bytes += size_bytes
