"""ObstoreUpload: one multipart upload by obstore, which pulls its parts from us."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore

from batcher.errors import (
    BatcherError,
    RejectedError,
    RetryableError,
    ThrottledError,
    UploadLostError,
)
from batcher.stores import request
from batcher.stores.obstore.client import ObstoreClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore import PutResult
    from obstore.store import S3Store

    from batcher.settings import Settings
    from batcher.stores.credentials.source import CredentialSource

CREATE, PUT_PART, COMPLETE, ABORT = (
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)
"""The operations in Amazon's API."""


RETRY_S = 30.0
"""How long obstore retries a request of an upload, as `RetryingStore` does all others."""


_METHOD_MARKER = "Error performing "


def make_client(
    settings: Settings, part_bytes: int, source: CredentialSource | None = None
) -> ObstoreClient:
    """Make the client for uploads whose parts have `part_bytes`, with credentials of `source`.

    obstore retries their requests itself, with jitter, and cuts those without a response. That
    cannot be left to `RetryingStore`, because obstore gives an upload up at the first request that
    fails.
    """
    return ObstoreClient(
        settings,
        retry_config={
            "max_retries": 10,
            "retry_timeout": timedelta(seconds=RETRY_S),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        },
        request_timeout=f"{request.COMPLETE_TIMEOUT_S * 1000:.0f}ms",
        # While S3 joins parts it sends spaces. Source: Amazon S3 API reference
        read_timeout=f"{request.transfer_timeout_s(part_bytes) * 1000:.0f}ms",
        renew_credentials=True,
        source=source,
    )


class ThrottledUploadError(UploadLostError, ThrottledError):
    """An upload is lost because S3 throttles: the prefix must slow down."""


class ObstoreUpload:
    """One multipart upload, whose parts are sent one after another.

    obstore does all of it in one call: it opens the upload, asks for part after part, and completes
    the upload when there is no more. If anything fails, our answer included, it aborts the upload.
    So an abort is an answer that fails. The call itself is never cancelled: obstore would forget
    the upload and leave it open. It goes on by itself if nobody waits for its end.

    With one part in flight, obstore waits until a part is sent before it takes the next one. An
    empty answer makes it wait, too, and sends nothing. So each time that obstore asks, all that it
    was given up to the answer before the last is known to be sent.

    An upload belongs to the event loop that has opened it.
    """

    def __init__(
        self, key: str, translate: Callable[[BaseException, str], BatcherError | KeyError]
    ) -> None:
        """Prepare an upload.

        Args:
            key: the object's full key.
            translate: returns what to raise for an error of obstore in an operation.
        """
        self._key = key
        self._translate = translate
        self._part_bytes = 0
        self._last_number = 0
        """The number of the last part, which is known by its size. 0: it has not come yet."""
        self._part: bytes | None = None
        """The part that obstore takes next."""
        self._taken = 0
        """How many parts obstore has taken."""
        self._taken_before = 0
        """How many it had taken before the last answer."""
        self._sent = 0
        """How many parts are known to be sent."""
        self._is_open = False
        self._is_ended = False
        self._is_aborted = False
        self._changed = asyncio.Event()
        self._call: asyncio.Future[PutResult]

    async def create(
        self,
        client: S3Store,
        part_bytes: int,
        attributes: dict[str, str],
        tags: dict[str, str] | None,
    ) -> None:
        """Open the upload.

        Args:
            client: obstore's client of the bucket.
            part_bytes: the size of all parts but the last.
            attributes: headers of the object, and its metadata.
            tags: of the object.

        Raises: see `ObjectStore.send`.
        """
        self._part_bytes = part_bytes
        self._call = asyncio.ensure_future(
            obstore.put_async(
                client,
                self._key,
                self,
                attributes=attributes,
                tags=tags,
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=1,
            )
        )
        self._call.add_done_callback(self._on_end)
        try:
            while not self._is_open:
                self._raise_failure(CREATE)
                await self._changed.wait()
        except asyncio.CancelledError:
            self._set_aborted()
            raise

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`. The last part may be shorter: `complete` sends it.

        A part whose wait was cut may be sent again: this then waits for the first attempt.

        Raises:
            UploadLostError: obstore could not send it, and has aborted the upload.
            RejectedError: S3 refuses it, and obstore has aborted the upload.
        """
        is_last = len(body) < self._part_bytes
        while number > self._taken:
            self._raise_failure(PUT_PART)
            if number == self._taken + 1 and self._part is None:
                if self._last_number:
                    msg = f"{PUT_PART} {self._key}: part {number} follows part "
                    msg += f"{self._last_number}, which is shorter than {self._part_bytes} bytes"
                    raise RejectedError(msg)
                self._last_number = number if is_last else 0
                self._part = body
                self._notify()
                if is_last:
                    return
            await self._changed.wait()
        while self._sent < number and not is_last:
            self._raise_failure(PUT_PART)
            await self._changed.wait()

    async def complete(self) -> str:
        """Make the object appear. Return its ETag. It replaces what has its key.

        Raises:
            UploadLostError: the outcome is unknown: look for the object.
            RejectedError: S3 refuses.
        """
        self._is_ended = True
        self._notify()
        while not self._call.done():
            await self._changed.wait()
        self._raise_failure(COMPLETE)
        return self._call.result()["e_tag"] or ""

    async def abort(self) -> None:
        """Discard the upload, and wait until that is done.

        The object may still appear if `complete` was called before.

        Raises:
            UploadLostError: S3 did not abort it in time.
            RejectedError: S3 refuses to abort it.
        """
        self._set_aborted()
        while not self._call.done():
            await self._changed.wait()
        error = self._call.exception()
        if error is not None and self._is_open and self._find_operation(error) == ABORT:
            raise self._translate_failure(error) from error

    def call_at_end(self, callback: Callable[[], object]) -> None:
        """Call `callback` when obstore has ended the upload, in whatever way."""
        self._call.add_done_callback(lambda _: callback())

    def __aiter__(self) -> ObstoreUpload:
        """Return itself, for obstore."""
        return self

    async def __anext__(self) -> bytes:
        """Answer obstore: with the next part, or with nothing to learn what is sent."""
        self._is_open = True
        self._sent, self._taken_before = self._taken_before, self._taken
        self._notify()
        while not self._is_aborted:
            if self._part is not None:
                part, self._part = self._part, None
                self._taken += 1
                return part
            if self._is_ended:
                raise StopAsyncIteration
            if self._sent < self._taken:
                return b""
            await self._changed.wait()
        msg = f"{self._key}: the upload is aborted"
        raise UploadLostError(msg)

    def _raise_failure(self, operation: str) -> None:
        """Raise the error that has ended the upload, if there was one."""
        if self._is_aborted:
            msg = f"{operation} {self._key}: the upload was aborted"
            raise UploadLostError(msg)
        if not self._call.done():
            return
        error = self._call.exception()
        if error is None:
            if operation != COMPLETE:
                msg = f"{operation} {self._key}: the upload is complete"
                raise UploadLostError(msg)
            return
        raise self._translate_failure(error) from error

    def _translate_failure(self, error: BaseException) -> BatcherError | KeyError:
        translated = self._translate(error, self._find_operation(error))
        if not self._is_open:
            return translated
        # obstore has retried for as long as `RetryingStore` would, and has given the upload up
        if isinstance(translated, ThrottledError):
            return ThrottledUploadError(str(translated))
        if isinstance(translated, RetryableError):
            return UploadLostError(str(translated))
        return translated

    def _find_operation(self, error: BaseException) -> str:
        """Return the operation that has failed, by the method in obstore's text."""
        if not self._is_open:
            return CREATE
        method = str(error).partition(_METHOD_MARKER)[2].partition(" ")[0]
        return {"PUT": PUT_PART, "DELETE": ABORT}.get(method, COMPLETE)

    def _set_aborted(self) -> None:
        self._is_aborted = True
        self._part = None
        self._notify()

    def _on_end(self, call: asyncio.Future[PutResult]) -> None:
        if not call.cancelled():
            call.exception()  # whoever waits raises it: asyncio need not warn
        self._part = None
        self._notify()

    def _notify(self) -> None:
        """Wake all that wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()
