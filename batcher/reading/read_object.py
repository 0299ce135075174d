"""ReadObject: one object as programs get it, with what is known of it and its lines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from batcher.errors import DamagedError
from batcher.reading.decode import lines, whole_lines
from batcher.receipt import RECORDS

if TYPE_CHECKING:
    from batcher.reading.fetch import Fetch


class ReadObject:
    """One object; its lines can be read, once, until the next object is asked for.

    Reading them raises what is wrong with this object; the next one can be asked for after it:

    - `RetryableError`: the store gave up on it repeatedly, or it was replaced meanwhile: read it
      again, later.
    - `RejectedError`: the store refuses it; the message says what to do.
    - `NotFoundError`: it was deleted since it was listed.
    - `DamagedError`: it cannot be read to its end; all lines before have been given.
    """

    def __init__(self, fetch: Fetch, max_line_bytes: int) -> None:
        """Give what `fetch` brings."""
        self._fetch = fetch
        self._max_line_bytes = max_line_bytes
        self._is_read = False

    def __repr__(self) -> str:
        return f"<ReadObject {self.key} size_bytes={self.size_bytes}>"

    @property
    def key(self) -> str:
        """Its full name."""
        return self._fetch.found.name.key

    @property
    def partition(self) -> str:
        """The folders between salt and name; of quarantine those from `_quarantine` on."""
        return self._fetch.found.name.partition

    @property
    def size_bytes(self) -> int:
        """Bytes of the object, as it lies in the store."""
        return self._fetch.found.listed.size_bytes

    @property
    def modified_s(self) -> float:
        """When it was written, in seconds since 1970."""
        return self._fetch.found.listed.modified_s

    @property
    def metadata(self) -> Mapping[str, str]:
        """What stands on it: `batcher-records`, `batcher-first` and so on.

        Empty where it could not be opened; reading its lines says why.
        """
        return {} if self._fetch.stored is None else self._fetch.stored.metadata

    @property
    def records(self) -> int | None:
        """How many records are in it, if its metadata tells; that of a streamed upload does not."""
        said = self.metadata.get(RECORDS, "")
        return int(said) if said.isdecimal() else None

    async def __aiter__(self) -> AsyncGenerator[list[bytes], None]:
        """Give its lines, without their newlines, many at a time."""
        with _naming(self.key):
            async with aclosing(lines(self._blocks(), self._max_line_bytes)) as found:
                async for some in found:
                    yield some

    async def texts(self) -> AsyncGenerator[bytes, None]:
        """Give its text instead, in pieces that end where a line ends."""
        with _naming(self.key):
            async with aclosing(whole_lines(self._blocks(), self._max_line_bytes)) as found:
                async for text in found:
                    yield text

    def _blocks(self) -> AsyncGenerator[bytes, None]:
        if self._is_read:
            msg = f"{self.key}: its lines can be read once"
            raise RuntimeError(msg)
        self._is_read = True
        return self._fetch.blocks()


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Say which object is damaged."""
    try:
        yield
    except DamagedError as error:
        msg = f"{key}: {error}"
        raise DamagedError(msg) from error
