"""What batcher raises, sorted by what the caller does next.

| error | the caller's move |
| --- | --- |
| `RetryableError` | send the same bytes again, later |
| `RejectedError` | nothing will change by itself: redeliver, and tell a human |
| `PoisonRecordError` | set this one record aside; its neighbours are fine |
| `UnknownSourceError` | route this event to another function |
| `SettingsError` | correct the settings; every fault is in the one message |
"""

from collections.abc import Sequence


class BatcherError(Exception):
    """The root of everything batcher raises on purpose."""


class RetryableError(BatcherError):
    """The same bytes may succeed later: nothing is known to be durable, nothing is wrong with them.

    `retry_after_s` is what the store asks to wait at least, or None where it does not say.
    """

    def __init__(self, message: str = "", retry_after_s: float | None = None) -> None:
        """Return what happened, and how long the store wants to be left alone."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ThrottledError(RetryableError):
    """The store asks for fewer requests a second.

    Raised by stores, answered by the pace of the prefix, which slows down
    (`batcher.stores.rate_limits.limiter`).
    """


class TooLateError(RetryableError):
    """The request was not sent: its turn would come after its deadline, or nobody knows when.

    Raised by the pacing; the records are handed back at once, for no repetition would come sooner.
    """


class UploadLostError(RetryableError):
    """A multipart upload is gone, or has lost a race: all of its parts must be sent again.

    Raised by stores, answered by the writer, which starts anew where it still has the parts.
    """


class RejectedError(BatcherError):
    """The store refuses, and will until something is changed: a bucket, a permission, a key."""


class PoisonRecordError(BatcherError):
    """This record can never be written; the message says why, and its neighbours are fine."""

    def __init__(self, reason: str, detail: str, position: str) -> None:
        """Name the record by its `position` at the source, and the fault by its `reason`."""
        super().__init__(f"record {position}: {reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.position = position


class UnknownSourceError(BatcherError):
    """An event of a source that batcher does not read, or of several at once."""


class SettingsError(BatcherError):
    """Settings that cannot work; `faults` holds every one that was found."""

    def __init__(self, faults: Sequence[str]) -> None:
        """Join all faults into one message, a line each."""
        super().__init__("\n".join(["settings cannot be used:", *(f"  - {f}" for f in faults)]))
        self.faults = tuple(faults)


class NotFoundError(BatcherError):
    """An object that was to be read is not there."""


class DamagedError(BatcherError):
    """An object's body is not what its name promises, or ends early; reading it again won't help.

    Raised by what reads objects back; the message says where.
    """


class PreconditionFailedError(BatcherError):
    """A conditional write met another state of the key than it named (HTTP 412).

    Raised by stores, answered by the writer; it never reaches a user.
    """
