"""Repeated: what had to be sent again for one object, told in one line when the object is there."""

from __future__ import annotations

import logging

log = logging.getLogger("batcher")


class Repeated:
    """Remembers the first failure of an object's requests, and how many were sent again.

    Where the object does not come about, nothing is told here: the error that says so is.
    """

    __slots__ = ("_error", "_operation", "_times", "key")

    def __init__(self, key: str) -> None:
        """Begin an object at `key`, with nothing repeated."""
        self.key = key
        self._operation = self._error = ""
        self._times = 0

    def note(self, operation: str, error: Exception) -> None:
        """Count a request that is sent again after this error."""
        if not self._times:
            self._operation, self._error = operation, str(error)
        self._times += 1

    def tell(self) -> None:
        """Tell, if there is something to be told."""
        if self._times:
            log.warning(
                "request_repeated operation=%s key=%s times=%s error=%s",
                self._operation,
                self.key,
                self._times,
                self._error,
            )
            self._times = 0
