"""Listings of both S3 readers: keys of other programs, wide folders, and few requests."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from batcher.errors import RejectedError, RetryableError
from batcher.stores import ObjectReader
from batcher.stores.base import CommonPrefix
from batcher.stores.credentials.endpoint import Credentials
from batcher.stores.credentials.provider import EnvironmentCredentialProvider
from batcher.stores.obstore.listing import MAX_CUT_PAGES
from batcher.stores.obstore.reader import ObstoreReader
from support.examples import make_settings
from support.listing_server import Listings, ListingServer
from support.store_fixtures import READERS


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listings]:
    """Return what a server lists."""
    found = Listings()
    with ListingServer(found) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield found


@asynccontextmanager
async def opened(engine: str = "obstore") -> AsyncIterator[ObjectReader]:
    """Open a reader of an engine, and close it."""
    reader = READERS[engine](make_settings(engine=engine))
    try:
        yield reader
    finally:
        await reader.aclose()


async def below(reader: ObjectReader, prefix: str) -> list[tuple[str, int]]:
    """Return the keys and sizes of all objects whose keys start with a prefix."""
    return sorted([(found.key, found.size_bytes) async for found in reader.list_objects(prefix)])


async def within(reader: ObjectReader, prefix: str) -> list[str]:
    """Return what is directly under a prefix."""
    found = [entry async for entry in reader.list_folder(prefix)]
    return sorted(entry.prefix if isinstance(entry, CommonPrefix) else entry.key for entry in found)


BUCKETS = {
    "plain": ["r/0/dt=1/a", "r/0/dt=1/b", "r/0/dt=2/a", "r/1/dt=1/a", "r/x", "r2", "s/t"],
    "markers": ["r/", "r/0/", "r/0/dt=1/", "r/0/dt=1/a", "r/1/", "r/y", "s/", "z"],
    "a marker without objects": ["r/"],
    "markers between objects": ["r/a", "r/b/", "r/c", "r/d/", "r/d/x"],
    "a name that continues that of a marker": ["r/b", "r/b-", "r/b/", "r/b/c", "r/b0"],
    "own folders": ["r/_check/x", "r/_quarantine/a/b", "r/o1", "r/o2"],
    "own folders between salts": ["r/0/a", "r/_quarantine/a/b", "r/p=1/a", "r/z"],
    "at the root": ["0/a", "00", "a", "events/", "_quarantine/x", "-", "~"],
    "characters": ["r/a b/c", "r/a%2Fb", "r/a+b&c", "r/größe/日本", "r/ x ", "r/<>\"'"],
    "names with dots": ["r/.hidden", "r/..x", "r/a..", "r/.../y"],
}
EMPTY = {"r/b", "r/c", "r/d/x", "r/x", "a", "00"}
"""Objects without bytes: obstore lists them as it lists markers."""

PREFIXES = ["", "r", "r/", "r/0", "r/0/", "r/0/dt=1/", "r/b", "r/b/", "r/d", "s/", "e", "_", "r/."]


@pytest.mark.parametrize("page_entries", [1, 3, 1_000])
@pytest.mark.parametrize("name", BUCKETS)
async def test_both_readers_list_the_same(listings: Listings, name: str, page_entries: int) -> None:
    """Also markers of folders, and empty objects, under every prefix."""
    for key in BUCKETS[name]:
        listings.add(key, size_bytes=0 if key in EMPTY else 7)
    listings.page_entries = page_entries
    async with opened() as ours, opened("aioboto3") as theirs:
        for prefix in PREFIXES:
            expected = [(k, s) for k, s in sorted(listings.sizes.items()) if k.startswith(prefix)]
            assert await below(theirs, prefix) == expected
            assert await below(ours, prefix) == expected
            assert await within(ours, prefix) == await within(theirs, prefix)


def is_path(key: str) -> bool:
    """Return whether obstore can represent a key."""
    parts = key.removesuffix("/").split("/")
    return {"", ".", ".."}.isdisjoint(parts)


@pytest.mark.parametrize("seed", range(24))
async def test_any_keys_are_listed_as_they_are_or_one_that_cannot_be_is_named(
    listings: Listings, seed: int
) -> None:
    """Keys that are made of the parts which are difficult, at random."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    parts = ["a", "a-", "a0", "_", "_q", "-", "0", "b", "a.b", *(["", ".", ".."] * (seed % 2))]
    for _ in range(rng.randint(1, 12)):
        key = "/".join(rng.choices(parts, k=rng.randint(1, 3)))
        if key:
            listings.add(f"{key}{rng.choice(['', '', '/'])}", size_bytes=rng.choice([0, 5, 5]))
    listings.page_entries = rng.choice([1, 2, 1_000])
    prefixes = {"", "a", *(key[: rng.randint(0, len(key))] for key in listings.sizes)}
    async with opened() as reader:
        for prefix in sorted(prefixes):
            matching = {key: n for key, n in listings.sizes.items() if key.startswith(prefix)}
            try:
                assert await below(reader, prefix) == sorted(matching.items())
                expected = {
                    prefix
                    + key.removeprefix(prefix).partition("/")[0]
                    + "/" * ("/" in key.removeprefix(prefix))
                    for key in matching
                }
                assert await within(reader, prefix) == sorted(expected)
            except RejectedError:
                folder = prefix[: prefix.rfind("/") + 1]
                assert not all(is_path(k) for k in listings.sizes if k.startswith(folder))


@pytest.mark.parametrize(
    ("key", "prefixes"),
    [
        ("r/a//b", ["", "r/", "r/a/", "r/a"]),
        ("r//b", ["", "r/"]),
        ("r/./b", ["", "r/", "r/."]),
        ("r/a/..", ["r/", "r/a/"]),
        ("r/a\tb", ["", "r/", "r/a"]),
        ("/r/b", ["", "/", "/r/", "r"]),
        ("/-", [""]),
        ("/0", [""]),
        ("/", [""]),
        ("//", [""]),
    ],
)
async def test_a_key_that_obstore_cannot_represent_is_named(
    listings: Listings, key: str, prefixes: list[str]
) -> None:
    """With the engine that can read it. It is never left out, nor listed by another name."""
    listings.add("r/0/x", "r/z", key, "z")
    async with opened("aioboto3") as theirs:
        assert (key, listings.sizes[key]) in await below(theirs, "")
    for prefix in prefixes:
        async with opened() as ours:
            with pytest.raises(RejectedError) as caught:
                await below(ours, prefix)
        text = str(caught.value)
        assert text.startswith("ListObjectsV2 s3://my-bucket: engine=obstore cannot read the key ")
        assert text.endswith("use engine=aioboto3 (pip install 's3-batcher[aioboto3]')")
        named = prefix if prefix.startswith("/") else key
        assert repr(named) in text or repr(key.rpartition("/")[0] + "/") in text


async def test_a_root_with_a_slash_before_other_keys_is_told_from_one_without(
    listings: Listings,
) -> None:
    """The first key after all that come before a slash decides, and grouping in doubt."""
    for key in ("a", "-x", "r/0/x", "/r/0/x", "0"):
        listings.sizes.clear()
        listings.add(key, "rr")
        async with opened() as reader:
            if key.startswith("/"):
                with pytest.raises(RejectedError, match="'/r/0/x', which starts with a slash"):
                    await within(reader, "")
            else:
                assert len(await within(reader, "")) == 2


@pytest.mark.parametrize("key", ["/r/a", "r/a/", "r//a", "r/./a", "r/a\n", "/", ""])
async def test_an_object_with_another_key_is_never_read_instead(
    listings: Listings, key: str
) -> None:
    """The library leaves out slashes at the start and the end."""
    listings.add("r/a", "r")
    async with opened() as reader:
        with pytest.raises(RejectedError, match=r"GetObject .* use engine=aioboto3"):
            async with reader.open_object(key):
                pass
    assert listings.requests == []


async def test_a_folder_with_very_many_objects_is_listed_page_by_page(listings: Listings) -> None:
    """Who stops early causes no more requests, also if `_quarantine` comes before the objects."""
    listings.page_entries = 1_000
    listings.add(*(f"r/o{number:05d}" for number in range(5_500)))
    for own in ([], ["r/", "r/_quarantine/dt=1/a"]):
        listings.add(*own)
        listings.requests.clear()
        async with opened() as reader, aclosing(reader.list_folder("r/")) as entries:
            for _ in range(1_001):
                await anext(entries)
        assert len(listings.requests) <= 3
        assert all("delimiter" not in query for query in listings.requests)


async def test_a_wide_folder_is_listed_once_and_whole_by_who_goes_on(listings: Listings) -> None:
    """Objects that were listed ahead of `_quarantine` are not listed twice."""
    listings.page_entries = 1_000
    listings.add(*(f"r/o{number:05d}" for number in range(1_500)))
    listings.add("r/", "r/0", "r/_a/b", "r/_quarantine/dt=1/a", "r/_quarantine/dt=2/a", "r/zz/b")
    async with opened() as reader:
        found = await within(reader, "r/")
    numbered = [key for key in found if key.startswith("r/o")]
    assert numbered == [f"r/o{number:05d}" for number in range(1_500)]
    assert sorted({*found} - {*numbered}) == ["r/", "r/0", "r/_a/", "r/_quarantine/", "r/zz/"]
    assert len(found) == len({*found})


async def test_a_marker_among_very_many_objects_is_a_folder(listings: Listings) -> None:
    """It is listed as an empty object, so its name alone says nothing."""
    listings.page_entries = 1_000
    listings.add(*(f"r/o{number:05d}" for number in range(1_500)))
    listings.add("r/_quarantine/dt=1/a", "r/o00007-/")
    async with opened() as reader:
        found = await within(reader, "r/")
    assert "r/o00007-/" in found
    assert "r/o00007-" not in found
    assert len(found) == 1_502


async def test_few_objects_after_a_large_quarantine_take_three_requests(
    listings: Listings,
) -> None:
    """What is in quarantine is not listed to the end."""
    listings.page_entries = 1_000
    listings.add(*(f"r/_quarantine/{number}" for number in range(5_500)), "r/o1", "r/o2")
    async with opened() as reader:
        assert await within(reader, "r/") == ["r/_quarantine/", "r/o1", "r/o2"]
    assert [query.get("delimiter") for query in listings.requests] == [None, None, "/"]


async def test_a_folder_of_partitions_takes_two_requests_whatever_is_in_them(
    listings: Listings,
) -> None:
    """One that finds that there are folders, and one that groups them."""
    listings.page_entries = 1_000
    listings.add(*(f"r/dt={day:02d}/{number}" for day in range(30) for number in range(200)))
    async with opened() as reader:
        assert len(await within(reader, "r/")) == 30
    assert [query.get("delimiter") for query in listings.requests] == [None, "/"]


async def test_a_page_that_ends_early_is_requested_again(listings: Listings) -> None:
    """After the last object that was listed. obstore does not do that for listings."""
    listings.add("r/", "r/a", "r/b/", "r/b/c", "r/d", "r/e", "r/f")
    reader = ObstoreReader(make_settings(engine="obstore"), page_objects=2)
    found = []
    async for entry in reader.list_objects("r/"):
        found.append(entry.key)
        listings.cut_pages = 1
    assert found == sorted(listings.sizes)
    for list_all in (below, within):
        listings.cut_pages = MAX_CUT_PAGES
        with pytest.raises(RetryableError, match="ListObjectsV2 s3://my-bucket/r/"):
            await list_all(reader, "r/")
        listings.cut_pages = MAX_CUT_PAGES - 1
        assert await list_all(reader, "r/")
    await reader.aclose()


async def test_a_listing_continues_with_renewed_credentials(
    listings: Listings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing can take longer than the credentials of a role are valid."""

    class Role(EnvironmentCredentialProvider):
        """Credentials that are due at every second request."""

        issue = looks = 0

        def is_refresh_due(self) -> bool:
            self.looks += 1
            return self.looks % 4 > 1

        def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
            del operation, bucket, key
            self.issue += 1
            return Credentials(f"AKID{self.issue}", "SECRET")

    listings.add("r/", "r/a", "r/b/", "r/b/c", "r/d", "r/e", "r/f/", "r/g/")
    role: list[Role] = []

    def find(*_: str, **__: str) -> Role:
        from os import environ  # noqa: PLC0415

        role.append(Role(environ))
        return role[0]

    monkeypatch.setattr("batcher.stores.credentials.source.find_provider", find)
    reader = ObstoreReader(make_settings(engine="obstore"), page_objects=2)
    assert [key for key, _ in await below(reader, "r/")] == sorted(listings.sizes)
    assert len({*listings.keys_by_credential}) > 3
