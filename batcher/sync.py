"""SyncBatcher: `Batcher` for programs without asyncio, such as scripts, Django and Celery."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401  # its exit function must be registered before ours
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from batcher.batcher import Batcher, attach_ticket
from batcher.concurrency.background_loop import BackgroundLoop, LoopEndedError
from batcher.errors import BatcherError, RetryableError, own_copy
from batcher.writing.early_leave import DRAIN_TIMEOUT_S, OnCancel
from batcher.writing.ticket import ManyTicket, Ticket

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from batcher.batching.validation import Transform
    from batcher.records.bad_record import BadRecord
    from batcher.records.payload import JsonDefault, Record
    from batcher.settings import Settings
    from batcher.stores import ObjectStore
    from batcher.stores.custom import CustomStore
    from batcher.writing.object import Receipt
    from batcher.writing.stats import Stats

T = TypeVar("T")
R = TypeVar("R")


_LOGGER = logging.getLogger("batcher")


class SyncBatcher:
    """Writes records into few, large objects. Use it as `with SyncBatcher(settings) as batcher`.

    Its methods may be called from any number of threads. An event loop in a thread of its own does
    the work. The thread starts at the first call. Create one for each process and close it at its
    end. If the interpreter exits first, what is not durable is written for at most
    `drain_timeout_s`. The logger `batcher` gets a warning with the number of records that are not.

    A forked process cannot use the batcher of its parent: the thread exists only there.
    """

    def __init__(  # noqa: PLR0913  # all but one are optional and have names
        self,
        settings: Settings,
        *,
        store: ObjectStore | CustomStore | None = None,
        transform: Transform | None = None,
        default: JsonDefault | None = None,
        on_cancel: OnCancel = "abort",
        drain_timeout_s: float = DRAIN_TIMEOUT_S,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """Set up. Nothing connects and no thread starts before the first call.

        Args:
            settings: what to write, and where.
            store: as for `Batcher`. It is used in the thread of the event loop.
            transform: as for `Batcher`. It is called in the thread of the event loop.
            default: as for `Batcher`. It is called in the thread of the event loop.
            on_cancel: what leaving the `with` by `KeyboardInterrupt` or `SystemExit` does; see
                `Batcher`.
            drain_timeout_s: seconds, above 0, for a drain and for the exit of the interpreter.
            meter_provider: as for `Batcher`.
            tracer_provider: as for `Batcher`.

        Raises:
            TypeError, ValueError: as `Batcher`.
        """
        self._batcher = Batcher(
            settings,
            store=store,
            transform=transform,
            default=default,
            on_cancel=on_cancel,
            drain_timeout_s=drain_timeout_s,
            meter_provider=meter_provider,
            tracer_provider=tracer_provider,
        )
        self.settings = settings
        self._on_cancel = on_cancel
        self._drain_timeout_s = drain_timeout_s
        self._process_id = os.getpid()
        self._loop = BackgroundLoop()

    def __repr__(self) -> str:
        return f"<SyncBatcher of {self._batcher!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, or do as `on_cancel` says if the block was left by an interrupt."""
        self._close(lambda: self._batcher.__aexit__(kind, error, trace))

    @property
    def counts(self) -> Stats:
        """Totals so far."""
        return self._batcher.counts

    def submit(self, record: Record) -> SyncTicket[Receipt]:
        """Take one record, waiting only for room. Ask the ticket to know that it is durable.

        Raises:
            RuntimeError: the batcher is closed, or belongs to the parent of this process.
            TypeError: the record is none, or JSON cannot represent it; see `Batcher.submit`.
            RetryableError: the batcher was closed while this waited for room, or the transform or
                `default` raised it. The record was not taken.
            KeyboardInterrupt: it was interrupted. `error.ticket` is set if the record was taken.
        """
        return self._take(lambda: self._batcher.submit(record))

    def submit_nowait(self, record: Record) -> SyncTicket[Receipt]:
        """Take one record without waiting for room, only for the event loop's next turn.

        Raises:
            BudgetFullError: there is no room. Nothing of the record was kept.
            RuntimeError, TypeError, RetryableError, KeyboardInterrupt: as `submit`.
        """

        async def submit() -> Ticket[Receipt]:
            return self._batcher.submit_nowait(record)

        return self._take(submit)

    def _take(
        self, submit: Callable[[], Coroutine[Any, Any, Ticket[Receipt]]]
    ) -> SyncTicket[Receipt]:
        """Submit a record in the event loop. If this is interrupted, the error has its ticket."""
        taken: list[SyncTicket[Receipt]] = []

        async def take() -> None:
            taken.append(SyncTicket(self, await submit()))

        try:
            self._call(take)
        except BaseException as error:
            if taken:
                error.ticket = taken[0]  # type: ignore[attr-defined]  # an interrupt has a dict
            raise
        return taken[0]

    def submit_many(self, records: Iterable[Record]) -> SyncTicket[list[Receipt]]:
        """Take many records in their order. Many times faster per record than `submit`.

        `records` is read in the caller's thread. The error of the ticket says which records are not
        durable: `error.failed` has their indices in `records`.

        If this raises, the exception has the ticket of the records that were taken before as
        `error.ticket`. These are the first `error.ticket.records` ones.

        Raises:
            RuntimeError, RetryableError: as `submit`.
            TypeError: as `submit`, with the index of the record, or `records` is itself one record.
        """
        ticket = ManyTicket([], [], [])
        mine = SyncTicket(self, ticket)
        try:
            self._check_usable()
            for part in self._batcher.iter_slices(records):
                self._call(partial(self._batcher.submit_slice, part, ticket))
        except BaseException as error:
            attach_ticket(error, mine)
            raise
        return mine

    def flush(self) -> None:
        """Write all records that were submitted so far, and wait until their outcome is known.

        Raises:
            RuntimeError: as `submit`.
            BatcherError: a batch is not durable, and no ticket has raised its error.
        """
        self._call(self._batcher.flush)

    def close(self) -> None:
        """Refuse new records, write all that were taken, and end the thread.

        Closing again does nothing, nor does closing the batcher of a parent process. If this is
        interrupted, it does as leaving the `with` by an interrupt does.

        Raises:
            BatcherError: as `flush`.
        """
        self._close(self._batcher.aclose)

    def _check_usable(self) -> None:
        """Raise if nothing can be submitted, in this process or thread, or at all."""
        self._check_reachable()
        if _EXITING.is_set():
            msg = (
                "the interpreter is exiting, and nothing can be written any more; let the main "
                "thread wait for those that submit records, and submit none in atexit functions"
            )
            raise RuntimeError(msg)
        if self._loop.is_ending:
            raise _closed_error()

    def _check_reachable(self) -> None:
        """Raise if this process or thread would wait for the event loop without end."""
        if os.getpid() != self._process_id:
            msg = (
                "this SyncBatcher was created before the process was forked, and its thread runs "
                "only in the parent; create one in each process after the fork, for Celery in "
                "worker_process_init"
            )
            raise RuntimeError(msg)
        if self._loop.is_own_thread():
            msg = (
                "SyncBatcher: called in the thread of its own event loop, which would wait for "
                "itself; do not call it in a transform or a store"
            )
            raise RuntimeError(msg)

    def _call(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function in the event loop. Return or raise what it does."""
        self._check_usable()
        try:
            _OPEN.add(self)
            return self._loop.run(function)
        except LoopEndedError:
            raise _closed_error() from None
        except (BatcherError, TypeError) as error:
            failure = _trimmed(error)
        raise failure

    def _close(self, function: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run a coroutine function that closes the batcher, and end the event loop."""
        if os.getpid() != self._process_id:
            return
        self._check_reachable()
        failure: BaseException | None = None
        with suppress(LoopEndedError):  # another thread closes it
            try:
                self._loop.run(function, is_last=True)
            except BatcherError as error:
                failure = _trimmed(error)
        self._loop.join()
        _OPEN.discard(self)
        if failure is not None:
            raise failure

    def wait_for(self, ticket: Ticket[R], timeout: float | None) -> R:
        """Return or raise what awaiting a ticket does.

        Raises:
            TimeoutError: the outcome is not known after `timeout` seconds.
            RuntimeError: as `submit`, unless the outcome is known.
        """
        if timeout is not None:
            timeout = min(timeout, threading.TIMEOUT_MAX)  # infinity, too
        until_s = time.monotonic() + (threading.TIMEOUT_MAX if timeout is None else timeout)
        try:
            if os.getpid() != self._process_id and ticket.is_settled:
                return _run_settled(ticket)
            self._check_reachable()
            try:
                return self._loop.run(ticket.wait, None if ticket.is_settled else timeout)
            except LoopEndedError:
                self._loop.join(max(0.0, until_s - time.monotonic()))
            return _run_settled(ticket)
        except TimeoutError:
            if ticket.is_settled:  # a store raised it
                raise
            msg = f"not known to be durable after {timeout} s; ask the ticket again"
            failure: BaseException = TimeoutError(msg)
        except BatcherError as error:
            failure = _trimmed(error)
        raise failure

    def close_at_exit(self) -> None:
        """Write what is not durable before the interpreter exits. Log what cannot be written."""
        try:
            self._close(self._drain_at_exit)
        except KeyboardInterrupt:
            pass  # what is dropped was logged
        except Exception as error:  # noqa: BLE001  # no caller is left to catch it
            notes = "; ".join([str(error), *getattr(error, "__notes__", ())])
            _LOGGER.error("at the exit of the interpreter: %s: %s", type(error).__name__, notes)  # noqa: TRY400

    async def _drain_at_exit(self) -> None:
        """Drain for at most `drain_timeout_s`. `Batcher` logs how many records it drops."""
        if self._on_cancel == "drain":
            await self._batcher.__aexit__(SystemExit, SystemExit(), None)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_timeout_s):
                await self._batcher.aclose()


class SyncTicket(Generic[R]):
    """What `SyncBatcher.submit` and `submit_many` return. Any thread may ask it, several times."""

    def __init__(self, owner: SyncBatcher, ticket: Ticket[R]) -> None:
        """Wrap a ticket of the batcher of `owner`."""
        self._owner = owner
        self._ticket = ticket

    def __repr__(self) -> str:
        state = "settled" if self.is_settled else "pending"
        return f"<SyncTicket records={self.records} {state}>"

    @property
    def records(self) -> int:
        """How many records the ticket is for."""
        return self._ticket.records

    @property
    def bad(self) -> list[BadRecord]:
        """Records that were found bad, whether they are quarantined, dropped or rejected."""
        return self._ticket.bad

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known, so that `result` does not wait."""
        return self._ticket.is_settled

    def result(self, timeout: float | None = None) -> R:
        """Wait until the records are durable. Return the receipt, or one receipt per object.

        Args:
            timeout: seconds; None: until the outcome is known.

        Raises:
            TimeoutError: the outcome is not known yet. Ask again.
            RetryableError, RejectedError, PoisonRecordError: see `Ticket`.
            RuntimeError: the batcher belongs to the parent of this process.
        """
        return self._owner.wait_for(self._ticket, timeout)


def _run_settled(ticket: Ticket[R]) -> R:
    """Return what awaiting a ticket does, without an event loop: every outcome is known."""
    waiting = ticket.wait()
    try:
        waiting.send(None)
    except StopIteration as stop:
        result: R = stop.value
        return result
    waiting.close()
    msg = "not known to be durable: the batcher was closed before its outcome was known"
    raise RetryableError(msg)


def _trimmed(error: BaseException) -> BaseException:
    """Return a copy of an error without the frames of the other thread, and with its first cause.

    Whoever reads the traceback needs the caller's line, the message and the cause.
    """
    trimmed = own_copy(error)
    cause = error.__cause__
    if cause is not None:
        cause = own_copy(cause).with_traceback(None)
        cause.__cause__ = None
        cause.__context__ = None
    trimmed.__cause__ = cause
    trimmed.__context__ = None
    return trimmed.with_traceback(None)


def _closed_error() -> RuntimeError:
    return RuntimeError("the batcher is closed; submit records inside its `with`")


_OPEN: set[SyncBatcher] = set()
"""What has a thread. It is held here, so that records are written even if the program drops it."""


_EXITING = threading.Event()
"""Set when the main thread has ended. Nothing closes what takes records after that."""


def _close_all() -> None:
    """Close what the program has not closed, while threads still run."""
    _EXITING.set()
    for each in list(_OPEN):
        each.close_at_exit()


# `atexit` would be too late: executors, which encode, take no work after `threading._shutdown`. Its
# functions are called last first, so this one runs before that of concurrent.futures.
getattr(threading, "_register_atexit", atexit.register)(_close_all)
