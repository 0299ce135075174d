"""RetryLog: one log line per object whose requests had to be retried."""

from __future__ import annotations

import logging

log = logging.getLogger("batcher")


class RetryLog:
    """Remembers the first failure of an object's requests, and counts the retries.

    If the object cannot be written, nothing is logged here: the error that is raised has it all.
    """

    __slots__ = ("_first_error", "_first_operation", "_retries", "key")

    def __init__(self, key: str) -> None:
        """Start for the object at `key`, with no retries."""
        self.key = key
        self._first_operation = self._first_error = ""
        self._retries = 0

    def add(self, operation: str, error: Exception) -> None:
        """Count a request that is retried after this error."""
        if not self._retries:
            self._first_operation, self._first_error = operation, str(error)
        self._retries += 1

    def write(self) -> None:
        """Log one `request_repeated` if there were retries since the last one."""
        if self._retries:
            log.warning(
                "request_repeated operation=%s key=%s times=%s error=%s",
                self._first_operation,
                self.key,
                self._retries,
                self._first_error,
            )
            self._retries = 0
