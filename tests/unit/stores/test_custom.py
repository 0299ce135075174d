"""A caller's own store, with a method per operation: every argument reaches it."""

from __future__ import annotations

from batcher.stores.base import ObjectAttributes, ObjectInfo
from batcher.stores.custom import CustomStoreAdapter

ATTRIBUTES = ObjectAttributes("text/plain", {"batcher-first": "1"})
INFO = ObjectInfo("etag", 3)


class OwnUpload:
    """An upload of `OwnStore`."""

    def __init__(self, calls: list[tuple[object, ...]]) -> None:
        self._calls = calls

    async def put_part(self, number: int, body: bytes) -> None:
        """See `CustomUpload.put_part`."""
        self._calls.append(("part", number, body))

    async def complete(self) -> ObjectInfo:
        """See `CustomUpload.complete`."""
        self._calls.append(("complete",))
        return INFO

    async def abort(self) -> None:
        """See `CustomUpload.abort`."""
        self._calls.append(("abort",))


class OwnStore:
    """Keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """See `CustomStore.put`."""
        self.calls.append(("put", key, body, attributes, if_match))
        return INFO

    async def head(self, key: str) -> ObjectInfo | None:
        """See `CustomStore.head`."""
        self.calls.append(("head", key))
        return INFO

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> OwnUpload:
        """See `CustomStore.create_upload`."""
        self.calls.append(("create", key, attributes, part_bytes))
        return OwnUpload(self.calls)

    async def aclose(self) -> None:
        """See `CustomStore.aclose`."""
        self.calls.append(("close",))


async def test_writes_have_their_condition() -> None:
    """Without it a late request would replace a newer object."""
    own = OwnStore()
    store = CustomStoreAdapter(own)
    assert await store.put("k", b"1", ATTRIBUTES) == INFO
    assert await store.put("k", b"2", ATTRIBUTES, if_match="old") == INFO
    assert await store.head("k") == INFO
    await store.aclose()
    assert own.calls == [
        ("put", "k", b"1", ATTRIBUTES, None),
        ("put", "k", b"2", ATTRIBUTES, "old"),
        ("head", "k"),
        ("close",),
    ]


async def test_requests_of_an_upload_reach_that_upload() -> None:
    """An abort of an upload that is over does nothing."""
    own = OwnStore()
    store = CustomStoreAdapter(own)
    upload = await store.create_upload("k", ATTRIBUTES, part_bytes=7)
    await upload.put_part(1, b"abc")
    assert await upload.complete() == INFO
    await upload.abort()
    other = await store.create_upload("k", ATTRIBUTES, part_bytes=7)
    await other.abort()
    assert own.calls == [
        ("create", "k", ATTRIBUTES, 7),
        ("part", 1, b"abc"),
        ("complete",),
        ("create", "k", ATTRIBUTES, 7),
        ("abort",),
    ]
