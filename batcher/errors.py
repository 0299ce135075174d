"""What batcher raises, sorted by what the caller does next.

| error | what the caller does next |
| --- | --- |
| `RetryableError` | retry later with the same bytes |
| `BudgetFullError` | the same, or call `submit`, which waits for room |
| `RejectedError` | have the cause fixed, then retry; a retry alone does not help |
| `PoisonRecordError` | correct or discard this record; the other records are not affected |
| `UnknownSourceError` | send this event to another function |
| `SettingsError` | correct the settings; the message lists every fault |
| `NotInstalledError` | install the package; the message has the command |
| `NotFoundError` | check the key; the object may have been deleted |
| `DamagedError` | read the other objects; reading this one again does not help |
"""

from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from typing import Any, TypeVar

DISTRIBUTION = "s3-batcher"
"""The name on PyPI, where `batcher` is somebody else's. Every install hint derives from it."""


def install_hint(extra: str) -> str:
    """Return the command that installs an extra, for messages: `pip install 's3-batcher[cli]'`."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


E = TypeVar("E", bound=BaseException)


class BatcherError(Exception):
    """Base of all errors that batcher raises on purpose."""

    receipts: Sequence[Any] | None = None
    """Of the error of a ticket: the receipts of those of its records that are durable."""
    failed: Sequence[int] | None = None
    """Of the error of a ticket: the indices of its records that are not durable, in rising order.

    Submit these again: `[records[i] for i in error.failed]`. None: the error is of no ticket.
    """
    ticket: Any = None
    """Of an error that `submit_many` raises itself: the ticket of the records it took before."""


def own_copy(error: E) -> E:
    """Return a copy of an error that several callers receive, each with attributes of its own."""
    own = type(error).__new__(type(error), *error.args)
    if isinstance(error, UnicodeError | OSError | ImportError):  # they keep more than attributes
        with suppress(Exception):
            own = copy(error)
    own.__dict__.update(error.__dict__)
    own.__notes__ = list(getattr(error, "__notes__", ()))
    own.__cause__, own.__context__ = error.__cause__, error.__context__
    own.__suppress_context__ = error.__suppress_context__
    return own.with_traceback(error.__traceback__)


def shorten(error: E) -> E:
    """Drop the stack frames of an error, and all of its causes but the first, and return it.

    The frames hold bodies and requests, often in a cycle with the error: they stay in memory after
    it. So this is called where an error ends, too. Our message says what happened; of the causes, a
    reader needs one line of the first.
    """
    cause = error.__cause__ if error.__suppress_context__ else error.__context__
    error.__cause__ = cause
    error.__context__ = None
    if cause is not None:
        cause.with_traceback(None)
        cause.__cause__ = cause.__context__ = None
        with suppress(Exception):  # of a `__str__` of the user's store
            first, *more = str(cause).strip().splitlines()
            if more:  # obstore's have 40 lines of Rust
                cause.args = (first,)
    return error.with_traceback(None)


def clear_frames(error: BaseException) -> None:
    """Drop the variables of an error's stack frames, but not where it was raised.

    The first frame is dropped as a whole, unless it raised the error itself: it is that of the
    caller, who caught it, and still runs.
    """
    import traceback  # noqa: PLC0415  # after a bug

    if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
        error.__traceback__ = error.__traceback__.tb_next
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        traceback.clear_frames(each.__traceback__)
        each = each.__cause__ or each.__context__


class RetryableError(BatcherError):
    """A retry with the same bytes may succeed later. Nothing is known to be durable.

    `retry_after_s` is the shortest wait that the store asks for, or None if it asks for none.
    """

    def __init__(self, message: str = "", retry_after_s: float | None = None) -> None:
        """Set the message, and the wait in seconds that the store asks for."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BudgetFullError(RetryableError):
    """`submit_nowait` has no room for a record, and has kept nothing of it.

    Submit it again later, or by `submit`, which waits for room. Open batches are being written.
    """


class ThrottledError(RetryableError):
    """The store asks for fewer requests per second.

    Stores raise it. `batcher.stores.rate_limits` then lowers the rate of the prefix.
    """


class TooLateError(RetryableError):
    """The request was not sent: its turn would come after its deadline, or the store is down.

    `batcher.stores.rate_limits` raises it. It is not retried, because a retry would be later still.
    """


class UploadLostError(RetryableError):
    """A multipart upload no longer exists, or has lost a race. All of its parts must be sent again.

    Stores raise it. The writer starts a new upload if it still has the parts.
    """


class RejectedError(BatcherError):
    """The store refuses the request until something is fixed: a bucket, a permission, a key."""


class PoisonRecordError(BatcherError):
    """This record can never be written. The message says why. Other records are not affected."""

    def __init__(self, reason: str, detail: str, position: str) -> None:
        """Set the reason, a detail for the message, and the record's position at its source."""
        super().__init__(f"record {position}: {reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.position = position


class UnknownSourceError(BatcherError):
    """The event is of a source that batcher does not read, or of several sources."""


class SettingsError(BatcherError):
    """The settings are invalid. `faults` has every fault that was found."""

    def __init__(self, faults: Sequence[str]) -> None:
        """Join all faults into one message, one per line."""
        super().__init__("\n".join(["settings cannot be used:", *(f"  - {f}" for f in faults)]))
        self.faults: tuple[str, ...] = tuple(faults)


class NotInstalledError(BatcherError):
    """A package of an extra is missing. The message says what needs it and how to install it.

    Commands raise it before they have changed anything, and end with exit code 2.
    """


class NotFoundError(BatcherError):
    """The object to be read does not exist."""


class DamagedError(BatcherError):
    """An object's body is not in the format that its name says, or is incomplete.

    Readers raise it. The message says where the damage is. Reading it again does not help.
    """


class PreconditionFailedError(BatcherError):
    """The condition of a write was not met: the key is in another state (HTTP 412).

    Stores raise it and the writer handles it. It never reaches a user.
    """
