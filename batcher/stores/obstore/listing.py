"""Listing: the keys of a bucket, which obstore lists by folders and paths."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import obstore

from batcher.errors import RetryableError
from batcher.stores.base import CommonPrefix, ListEntry
from batcher.stores.credentials.source import RenewedCredentialsError
from batcher.stores.obstore.keys import (
    find_prefix_fault,
    offset_after_names,
    unreadable_key_error,
)

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

    from batcher.stores.obstore.client import ObstoreClient

_T = TypeVar("_T")


LISTING = "ListObjectsV2"
"""The name in Amazon's API, for messages."""


PAGE_OBJECTS = 1_000  # Source: Amazon S3 API reference: the most that one listing returns


MAX_CUT_PAGES = 3
"""How often in a row the body of a page may end early. obstore does not retry that."""


OWN_FOLDERS = "_"
"""How the names of batcher's own folders start, such as `_quarantine`."""


class ObstoreListing:
    """Lists objects and folders by their keys. An obstore path is a key without outer slashes."""

    def __init__(self, client: ObstoreClient, page_objects: int) -> None:
        """List with `client`, taking `page_objects` from obstore at a time."""
        self.bucket: str = client.bucket
        self._client = client
        self._page_objects = page_objects
        self._is_root_checked = False

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return objects in the server's order; see `ObjectReader.list_objects`."""
        folder = await self._find_folder(prefix)
        if folder == prefix:
            async with aclosing(self._list_below(prefix)) as entries:
                async for entry in entries:
                    yield entry
            return
        async with aclosing(self._list_folder(folder)) as found:
            async for item in found:
                if isinstance(item, ListEntry):
                    if item.key.startswith(prefix):
                        yield item
                elif item.prefix.startswith(prefix):
                    async with aclosing(self._list_below(item.prefix)) as entries:
                        async for entry in entries:
                            yield entry

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return objects and folders; see `ObjectReader.list_folder`."""
        folder = await self._find_folder(prefix)
        async with aclosing(self._list_folder(folder)) as found:
            async for item in found:
                name = item.key if isinstance(item, ListEntry) else item.prefix
                if name.startswith(prefix):
                    yield item

    async def _find_folder(self, prefix: str) -> str:
        """Return the start of `prefix` up to its last slash: obstore lists whole folders only.

        Raises:
            RejectedError: obstore cannot list it, or not all that is in it.
        """
        if fault := find_prefix_fault(prefix):
            raise unreadable_key_error(LISTING, self.bucket, prefix, fault)
        folder = prefix[: prefix.rfind("/") + 1]
        if not folder and not self._is_root_checked:
            await self._check_bucket_root()
            self._is_root_checked = True
        return folder

    async def _check_bucket_root(self) -> None:
        """Check that no key starts with a slash, which obstore would leave out of its path.

        Raises:
            RejectedError: one does.
        """
        # If some do, the first key after all that start with a character below "/" is one of them
        found = await self._first_after("", offset_after_names("."))
        if found is None:
            return
        path = found["path"]
        is_certain = path[:1] > "/" and len(path) > 1
        if is_certain and found == await self._first_after("", path[0]):
            return  # a key that starts with "/" would be before this offset
        folders, _ = await self._list_delimited("")
        if "" in folders:
            key = f"/{path}"
            raise unreadable_key_error(LISTING, self.bucket, key, find_prefix_fault(key))

    async def _first_after(self, folder: str, offset: str | None) -> ObjectMeta | None:
        """Return the first object below `folder` after `offset`, or None."""
        found = await self._list_first(folder, offset, 1)
        return found[0] if found else None

    async def _list_first(
        self, folder: str, offset: str | None, objects: int
    ) -> Sequence[ObjectMeta]:
        """Return the first objects below `folder` after `offset`."""

        async def request(client: S3Store) -> Sequence[ObjectMeta]:
            prefix = folder[:-1] or None
            pages = obstore.list(client, prefix, offset=offset, chunk_size=objects)
            return await anext(aiter(pages), [])

        return await self._list(folder, request)

    async def _list(self, folder: str, request: Callable[[S3Store], Awaitable[_T]]) -> _T:
        """Return the result of a request, which is repeated if its response ends early."""
        cut_pages = 0
        while True:
            try:
                async with self._client.call(LISTING, folder) as client:
                    return await request(client)
            except RetryableError as error:
                cut_pages += 1
                if cut_pages >= MAX_CUT_PAGES or not _is_cut(error):
                    raise

    async def _list_below(self, folder: str) -> AsyncGenerator[ListEntry, None]:
        """Return all objects below a folder, at any depth, with their keys."""
        markers: set[str] = set()
        async with aclosing(self._list_paths(folder)) as found:
            async for meta in found:
                path = meta["path"]
                if path not in markers and await self._is_marker(folder, meta):
                    markers.add(path)
                    yield _to_entry(f"{path}/", meta)
                else:
                    yield _to_entry(path, meta)

    async def _is_marker(self, folder: str, meta: ObjectMeta) -> bool:
        """Return whether there is a folder marker, such as `events/`, for this path.

        Consoles create such empty objects. obstore lists one as `events`.
        """
        path = meta["path"]
        if path == folder[:-1]:
            return True
        if meta["size"]:
            return False
        first = await self._first_after(f"{path}/", None)
        return first is not None and first["path"] == path

    async def _list_folder(self, folder: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return what is directly in a folder.

        As long as there are objects only, they are listed page by page: they may be very many.
        With folders, S3 groups them, and obstore returns everything at once.
        """
        keys: set[str] = set()
        async with aclosing(self._list_paths(folder)) as found:
            async for meta in found:
                path = meta["path"]
                is_own_marker = path == folder[:-1]
                if "/" in path[len(folder) :]:
                    break
                if not is_own_marker and await self._is_marker(folder, meta):
                    break
                entry = _to_entry(folder if is_own_marker else path, meta)
                keys.add(entry.key)
                yield entry
            else:
                return
        if path[len(folder) :].startswith(OWN_FOLDERS):
            after = await self._list_after_own_folders(folder)
            if after:
                async with aclosing(self._group(folder, after, keys)) as grouped:
                    async for item in grouped:
                        yield item
                return
        folders, objects = await self._list_delimited(folder)
        for name in folders:
            yield CommonPrefix(f"{name}/")
        for meta in objects:
            key = folder if meta["path"] == folder[:-1] else meta["path"]
            if key not in keys:
                yield _to_entry(key, meta)

    async def _list_after_own_folders(self, folder: str) -> list[ListEntry]:
        """Return a page of objects that follow `_quarantine`, or nothing if folders follow, too.

        Without partitions all objects are directly under the root, and `_quarantine` before most.
        """
        offset = offset_after_names(f"{folder}{OWN_FOLDERS}")
        page = await self._list_first(folder, offset, PAGE_OBJECTS)
        is_full = len(page) == PAGE_OBJECTS
        if is_full and all(m["size"] and "/" not in m["path"][len(folder) :] for m in page):
            return [_to_entry(meta["path"], meta) for meta in page]
        return []

    async def _group(
        self, folder: str, first: list[ListEntry], keys: set[str]
    ) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return these objects, then list everything below the folder and group it here."""
        folders: set[str] = set()
        for entry in first:
            keys.add(entry.key)
            yield entry
        async with aclosing(self._list_below(folder)) as entries:
            async for entry in entries:
                name, slash, _ = entry.key[len(folder) :].partition("/")
                if not slash and entry.key not in keys:
                    yield entry
                elif slash and name not in folders:
                    folders.add(name)
                    yield CommonPrefix(f"{folder}{name}/")

    async def _list_paths(self, folder: str) -> AsyncGenerator[ObjectMeta, None]:
        """Return all that is below a folder, by obstore's paths.

        obstore lists with the credentials that it had at the first page. When they are renewed, or
        a page is cut, the listing continues after the last object. A listing can take hours.
        """
        prefix = folder[:-1] or None
        listing_client: S3Store | None = None
        offset: str | None = None
        empty_paths: set[str] = set()  # those after `offset`: markers cannot be offsets
        cut_pages = 0
        while True:
            try:
                async with self._client.call(LISTING, folder) as client:
                    if client is not listing_client:
                        pages = obstore.list(
                            client, prefix, offset=offset, chunk_size=self._page_objects
                        )
                        listing_client, skipped = client, empty_paths.copy()
                    page: Sequence[ObjectMeta] = await anext(aiter(pages), [])
            except RetryableError as error:
                cut_pages += 1
                if cut_pages >= MAX_CUT_PAGES or not _is_cut(error):
                    raise
                listing_client = None
                continue
            if not page:
                return
            cut_pages = 0
            for meta in page:
                path = meta["path"]
                if meta["size"]:
                    offset = path
                    empty_paths.clear()
                    skipped.clear()
                elif path in skipped:
                    skipped.remove(path)
                    continue
                else:
                    empty_paths.add(path)
                yield meta

    async def _list_delimited(self, folder: str) -> tuple[list[str], list[ObjectMeta]]:
        """Return the paths of the folders, and the objects, that are directly in a folder."""

        async def request(client: S3Store) -> tuple[list[str], list[ObjectMeta]]:
            found = await obstore.list_with_delimiter_async(client, folder[:-1] or None)
            return list(found["common_prefixes"]), list(found["objects"])

        return await self._list(folder, request)


def _to_entry(key: str, meta: ObjectMeta) -> ListEntry:
    return ListEntry(key, meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp())


def _is_cut(error: RetryableError) -> bool:
    """Return whether the body of a listing has ended early, or there are new credentials."""
    return isinstance(error, RenewedCredentialsError) or "list response body" in str(
        error.__cause__
    )
