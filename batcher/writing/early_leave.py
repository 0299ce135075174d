"""Early leave: drains or drops what is not durable after a cancellation, and counts it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, get_args

from batcher.settings import unknown_value
from batcher.writing.pending import PendingState

if TYPE_CHECKING:
    from batcher.writing.intake import Intake
    from batcher.writing.pending import PendingBatch

OnCancel = Literal["abort", "drain"]
"""What leaving the `async with` by a cancellation or an interrupt does."""


DRAIN_TIMEOUT_S = 20.0
"""Less than the 30 s that container services wait between SIGTERM and SIGKILL."""


_LOGGER = logging.getLogger("batcher")


class EarlyLeave:
    """What a batcher does with batches that are not durable when it is left early."""

    def __init__(self, intake: Intake, on_cancel: str, drain_timeout_s: float) -> None:
        """Leave the batches of an intake.

        Args:
            intake: holds the batches.
            on_cancel: one of `OnCancel`.
            drain_timeout_s: seconds, above 0.

        Raises:
            ValueError: `on_cancel` or `drain_timeout_s` has another value.
        """
        self._intake = intake
        self._drains = _check_on_cancel(on_cancel) == "drain"
        self._drain_timeout_s = _check_timeout(drain_timeout_s)

    async def drain(self) -> None:
        """Wait for a time until all sealed batches are written, if that is wanted."""
        try:
            if self._drains:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._drain_timeout_s):
                        await self._intake.dispatcher.wait(list(self._intake.pending.values()))
        finally:
            failed = self._failed()
            if failed:
                error = failed[0].outcome.exception()
                _LOGGER.warning("batches not written: %d; %s", len(failed), error)

    @contextmanager
    def dropped_counted(self, kind: type[BaseException]) -> Iterator[None]:
        """Log at the end, however it comes, how many records are not durable.

        Args:
            kind: of the exception that the batcher is left by.
        """
        taken = list(self._intake.pending.values())
        try:
            yield
        finally:
            dropped = [each for each in {*taken, *self._failed()} if not each.is_durable]
            for each in dropped:
                each.mark_reported()
            records = sum(each.batch.records for each in dropped)
            unknown = sum(each.batch.records for each in dropped if each.may_be_durable)
            if records:
                hint = "" if self._drains else '; to write them: on_cancel="drain"'
                _LOGGER.warning(
                    "records dropped: %d, perhaps durable of these: %d; left by %s before they "
                    "were durable%s",
                    records,
                    unknown,
                    kind.__name__,
                    hint,
                )

    def _failed(self) -> list[PendingBatch]:
        """Return the batches whose error no caller has received."""
        return [each for each in self._intake.failed if each.state is PendingState.FAILED]


def _check_on_cancel(value: str) -> str:
    if value not in get_args(OnCancel):
        msg = f"on_cancel: {unknown_value(value, get_args(OnCancel))}"
        raise ValueError(msg)
    return value


def _check_timeout(value: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        msg = f"drain_timeout_s: {value!r} is not a number of seconds above 0"
        raise ValueError(msg)
    return value
