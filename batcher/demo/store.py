"""The demo's fault: a store whose PUT of one chosen object fails, once."""

from __future__ import annotations

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores import About, ObjectStore, Stored, Upload


class FailingOnce:
    """Passes everything on to a real store, but for the one PUT that is made to fail."""

    def __init__(self, store: ObjectStore) -> None:
        """Pass on to `store`."""
        self.failed: list[str] = []
        """The keys whose PUT was made to fail."""
        self.error: BatcherError | None = None
        """What the real store raised last, if that means that something was not written."""
        self._store = store
        self._fragment: str | None = None

    def fail_next(self, fragment: str) -> None:
        """Let the next PUT fail whose key has `fragment` in it."""
        self._fragment = fragment

    async def put(
        self, key: str, body: bytes, about: About, *, replaces: str | None = None
    ) -> Stored:
        """Store one object, or fail without having sent anything; see `ObjectStore.put`."""
        if self._fragment is not None and self._fragment in key:
            self._fragment = None
            self.failed.append(key)
            msg = f"{key}: the demo let this PUT fail"
            raise RetryableError(msg)
        try:
            return await self._store.put(key, body, about, replaces=replaces)
        except (RetryableError, RejectedError) as error:
            self.error = error
            raise

    async def head(self, key: str) -> Stored | None:
        """Look at an object; see `ObjectStore.head`."""
        return await self._store.head(key)

    async def create_upload(self, key: str, about: About, *, part_bytes: int) -> Upload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""
        return await self._store.create_upload(key, about, part_bytes=part_bytes)

    async def aclose(self) -> None:
        """Close the real store."""
        await self._store.aclose()
