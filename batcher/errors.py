"""The exceptions of batcher, sorted by what the caller does next.

| error | next step of the caller |
| --- | --- |
| `RetryableError` | retry the same bytes later |
| `RejectedError` | let the source redeliver, and alert an operator: retries alone do not help |
| `PoisonRecordError` | quarantine this record; the other records are not affected |
| `UnknownSourceError` | route this event to another function |
| `SettingsError` | correct the settings; the message has every fault |
| `NotFoundError`, `DamagedError` | skip or restore this object; a retry does not help |
"""

from collections.abc import Sequence


class BatcherError(Exception):
    """The base class of all exceptions that batcher defines."""


class RetryableError(BatcherError):
    """A write failed that may succeed later. Its bytes are valid, but not known to be durable.

    `retry_after_s` is the shortest wait that the store asks for, or None if it names none.
    """

    def __init__(self, message: str = "", retry_after_s: float | None = None) -> None:
        """Create the error.

        Args:
            message: what happened.
            retry_after_s: the shortest wait that the store asks for, in seconds.
        """
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ThrottledError(RetryableError):
    """The store is throttling: it asks for fewer requests per second.

    Raised by stores. The rate limit of the prefix is then lowered
    (`batcher.stores.rate_limits.limiter`).
    """


class TooLateError(RetryableError):
    """A request was not sent, because the rate limit allows it only after its deadline, or not yet.

    Raised by the rate limits. The records are returned to the source at once, because a retry would
    have to wait at least as long.
    """


class UploadLostError(RetryableError):
    """A multipart upload no longer exists, or lost a race: all of its parts must be sent again.

    Raised by stores. The writer starts a new upload if it still holds the parts.
    """


class RejectedError(BatcherError):
    """The store rejects the request until its cause is fixed: a bucket, a permission, a KMS key."""


class PoisonRecordError(BatcherError):
    """A record can never be written. Other records are not affected."""

    def __init__(self, reason: str, detail: str, position: str) -> None:
        """Create the error.

        Args:
            reason: the code of the fault.
            detail: the fault in words.
            position: the record's position in its source.
        """
        super().__init__(f"record {position}: {reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.position = position


class UnknownSourceError(BatcherError):
    """An event of a source that batcher does not read, or of several sources at once."""


class SettingsError(BatcherError):
    """Settings are invalid. `faults` holds every fault that was found."""

    def __init__(self, faults: Sequence[str]) -> None:
        """Join all faults into one message, one per line."""
        super().__init__("\n".join(["invalid settings:", *(f"  - {f}" for f in faults)]))
        self.faults = tuple(faults)


class NotFoundError(BatcherError):
    """An object to read does not exist."""


class DamagedError(BatcherError):
    """An object's body does not match its name, or ends early. Reading it again does not help.

    Raised when objects are read back. The message names the object.
    """


class PreconditionFailedError(BatcherError):
    """The condition of a write was false: the key exists or has another ETag (HTTP 412).

    Raised by stores and handled by the writer. It never reaches a user.
    """
