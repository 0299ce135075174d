"""Comparison: read what two objects of a stream have in common, by positions or by text."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from batcher.errors import BatcherError
from batcher.reading.stored_positions import PositionsCollector
from batcher.reading.stream import ResumableBody, split_into_lines
from batcher.records.chunk import positions_digest
from batcher.records.positions import PositionsError, decode_positions
from batcher.settings import MIB
from batcher.writing.object import METADATA_DIGEST, METADATA_POSITIONS, METADATA_RECORDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batcher.reading.duplicates import SharedPositions
    from batcher.reading.stream import ReopenPolicy
    from batcher.stores.base import ObjectReader

MAX_COMPARED_BYTES = 32 * 1024**2
"""Objects with more text are not compared by their text. An event has at most 6 MB."""

_MAX_LINE_BYTES = 64 * MIB
_DIGEST_BYTES = 16


async def read_positions(reader: ObjectReader, key: str) -> list[str] | None:
    """Return the positions of an object by its list, or None if it has none that can be trusted."""
    collector = PositionsCollector(key)
    with suppress(BatcherError, PositionsError):
        async with reader.open_object(key) as opened:
            if METADATA_POSITIONS not in opened.info.metadata:
                async for piece in opened.pieces:
                    collector.add(piece)
                    if collector.is_complete:
                        break
        return _trusted_positions(collector, opened.info.metadata)
    return None


def positions_in_metadata(metadata: Mapping[str, str]) -> list[str] | None:
    """Return the positions like `read_positions`, as far as the metadata has them."""
    with suppress(PositionsError):
        return _trusted_positions(PositionsCollector(""), metadata)
    return None


def _trusted_positions(
    collector: PositionsCollector, metadata: Mapping[str, str]
) -> list[str] | None:
    positions_list = collector.positions_list(metadata)
    positions = None if positions_list is None else decode_positions(positions_list)
    if positions and METADATA_DIGEST in metadata:
        return positions if positions_digest(positions) == metadata[METADATA_DIGEST] else None
    return positions


async def confirm_by_lines(
    reader: ObjectReader,
    reopen_policy: ReopenPolicy,
    key: str,
    positions: Sequence[str],
    shared: SharedPositions,
) -> SharedPositions:
    """Return those shared positions whose line is the same in an earlier object.

    The shards of a DynamoDB table number their records independently, and names of objects do not
    have the shard. So a number alone does not identify a record there.

    Raises:
        BatcherError: the object itself cannot be read.
    """
    own = await _read_line_digests(reader, reopen_policy, key, shared, len(positions))
    confirmed: SharedPositions = {}
    for other in dict.fromkeys(each for keys in shared.values() for each in keys):
        with suppress(BatcherError):  # it does not have the record then
            listed = await read_positions(reader, other) or []
            index_of = {position: index for index, position in enumerate(listed)}
            wanted = {
                index_of[positions[index]]: index
                for index, keys in shared.items()
                if other in keys and positions[index] in index_of
            }
            theirs = await _read_line_digests(reader, reopen_policy, other, wanted, len(listed))
            for other_index, index in wanted.items():
                digest = own.get(index)
                if digest is not None and digest == theirs.get(other_index):
                    confirmed[index] = (*confirmed.get(index, ()), other)
    return dict(sorted(confirmed.items()))


async def is_whole(reader: ObjectReader, reopen_policy: ReopenPolicy, key: str) -> bool:
    """Return whether an object can be read to its end, and has as many lines as its metadata says.

    Otherwise a record that it should have may be missing in what is read of it.
    """
    lines = 0
    ending = b"\n"
    with suppress(BatcherError):
        async with (
            ResumableBody(reader, key, reopen_policy) as body,
            aclosing(body.blocks()) as blocks,
        ):
            async for block in blocks:
                lines += block.count(b"\n")
                ending = block[-1:]
            return ending == b"\n" and body.info.metadata.get(METADATA_RECORDS) == str(lines)
    return False


async def _read_line_digests(
    reader: ObjectReader,
    reopen_policy: ReopenPolicy,
    key: str,
    indexes: Collection[int],
    records: int,
) -> Mapping[int, bytes]:
    """Return the digests of lines, by their index. Nothing if an object has not `records` lines."""
    digests: dict[int, bytes] = {}
    start = 0
    async with (
        ResumableBody(reader, key, reopen_policy) as body,
        aclosing(split_into_lines(body.blocks(), _MAX_LINE_BYTES)) as lists,
    ):
        async for lines in lists:
            for index, line in enumerate(lines, start):
                if index in indexes:
                    digests[index] = hashlib.blake2b(line, digest_size=_DIGEST_BYTES).digest()
            start += len(lines)
    return digests if start == records else {}


async def text_difference(
    reader: ObjectReader, reopen_policy: ReopenPolicy, key: str, outer_key: str
) -> str:
    """Return why the text of an object is not in that of another. Empty if it is there."""
    try:
        inner = await _read_text(reader, reopen_policy, key)
        outer = None if inner is None else await _read_text(reader, reopen_policy, outer_key)
    except BatcherError as error:
        return f"they cannot be compared ({error})"
    if inner is None or outer is None:
        return f"they cannot be compared (more than {MAX_COMPARED_BYTES} bytes)"
    is_inside = await asyncio.to_thread(_contains_lines, outer, inner)
    return "" if is_inside else "its records differ"


async def _read_text(reader: ObjectReader, reopen_policy: ReopenPolicy, key: str) -> bytes | None:
    """Return the text of an object, or None if it is too long to compare."""
    blocks: list[bytes] = []
    size_bytes = 0
    async with (
        ResumableBody(reader, key, reopen_policy) as body,
        aclosing(body.blocks()) as stream,
    ):
        async for block in stream:
            blocks.append(block)
            size_bytes += len(block)
            if size_bytes > MAX_COMPARED_BYTES:
                return None
    return b"".join(blocks)


def _contains_lines(outer: bytes, inner: bytes) -> bool:
    """Return whether `inner` is in `outer` as consecutive whole lines."""
    return inner.endswith(b"\n") and (outer.startswith(inner) or b"\n" + inner in outer)
