"""Outcomes: what became of each request of a dry write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batcher.errors import BatcherError
    from batcher.stores.base import Stored


@dataclass(slots=True)
class Outcomes:
    """What became of each request: its result, or its error; None: it was not sent."""

    created: Stored | BatcherError | None = None
    again: Stored | BatcherError | None = None
    """The same creation once more."""
    seen: Stored | BatcherError | None = None
    """What HEAD showed after that."""
    replaced: Stored | BatcherError | None = None
    """Replaced as it was seen."""
    stale: Stored | BatcherError | None = None
    """Replaced once more as it had been, which it is no longer."""
    opened: BatcherError | None = None
    """Why no multipart upload could be opened, or its part not be sent."""
    completed: Stored | BatcherError | None = None
    """The upload completed on the key that is taken."""
    aborted: BatcherError | bool | None = None
    """Whether the upload was thrown away."""
