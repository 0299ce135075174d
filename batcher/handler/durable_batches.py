"""DurableBatches: what a process knows about the objects of events that have failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batcher.records.chunk import NamingScheme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.batching.batch import Batch, Route
    from batcher.writing.object import Receipt

MAX_BATCHES = 4_096
"""Batches that are remembered, about 1 KB each. Beyond that the oldest ones are forgotten."""


class DurableBatches:
    """Remembers the batches of failed events: which are durable, and which need no look.

    A redelivery of the same records sends only what is not durable yet. What is forgotten costs a
    request, and is no loss: the store refuses a key that is taken.

    A stream's event has one batch per route, so only the last one of a route is remembered. A
    redelivery in another cut replaces it, and is never mistaken for it.
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self.is_throttled: bool = False
        """Whether the store has refused requests of an event, and no event has succeeded since."""
        # The digest of a batch's positions, and its receipt; None: its object does not exist
        self._known: dict[tuple[Route, str], tuple[str, Receipt | None]] = {}

    def receipt(self, batch: Batch) -> Receipt | None:
        """Return the receipt of a sealed batch that is durable. None: it is not known to be."""
        known = self._find(batch)
        return None if known is None else known[1]

    def needs_look(self, batch: Batch) -> bool:
        """Return whether S3 throttles, and nothing is known about a batch that may be durable.

        A look takes no turn from the batches that are missing, as a refused PUT would.
        """
        return (
            self.is_throttled and batch.route.origin.is_redeliverable and self._find(batch) is None
        )

    def begin(self, batches: Sequence[Batch]) -> None:
        """Forget what is known about batches that are sent now. Their event may fail."""
        self._discard(batches)

    def add(self, batch: Batch, receipt: Receipt | None) -> None:
        """Remember that a sealed batch is durable, or with None that its object does not exist."""
        if not batch.route.origin.is_redeliverable:
            return
        digest = batch.digest()
        self._known[_identify(batch, digest)] = digest, receipt
        if len(self._known) > MAX_BATCHES:
            del self._known[next(iter(self._known))]

    def end(self, batches: Sequence[Batch]) -> None:
        """Forget the batches of an event that has succeeded: it does not come again."""
        self.is_throttled = False
        self._discard(batches)

    def _find(self, batch: Batch) -> tuple[str, Receipt | None] | None:
        if not self._known:
            return None
        digest = batch.digest()
        known = self._known.get(_identify(batch, digest))
        return known if known is not None and known[0] == digest else None

    def _discard(self, batches: Sequence[Batch]) -> None:
        if self._known:
            for batch in batches:
                self._known.pop(_identify(batch, batch.digest()), None)


def _identify(batch: Batch, digest: str) -> tuple[Route, str]:
    """Return what no other batch of an event has."""
    is_stream = batch.route.origin.naming is NamingScheme.SEQUENCE
    return batch.route, "" if is_stream else digest
