"""Identities: several records of one event that the source knows by one identity.

A source acknowledges identities, not records. Programs in front of the handler make several records
of one: the records that the Kinesis Producer Library has aggregated keep the sequence number of
their aggregate when they are unpacked. Such records get positions of their own, so that each of
them is written and tracked. Only a record with the same content as another is a duplicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from msgspec.structs import replace

from batcher.records.chunk import Chunk, NamingScheme
from batcher.records.position import indexed_position


def separate_records(
    chunk: Chunk, get_content: Callable[[Mapping[str, Any]], Hashable]
) -> tuple[Chunk, dict[str, str]]:
    """Return each record once, with a position of its own, and the identities of new positions.

    The first record of an identity keeps the identity as its position. Others get an index: in a
    stream in the order of the event, in a queue, which has no order, in the order of their content.

    Args:
        chunk: the records of an event, with identities as positions and with envelopes.
        get_content: returns what makes two records of one identity equal, from an envelope. Called
            only if an identity occurs twice. For a queue the contents must be comparable.

    Returns:
        The chunk, and the identity of each position that has an index.
    """
    identities = chunk.positions
    if len(set(identities)) == len(chunk):
        return chunk, {}
    contents = list(map(get_content, chunk.envelopes or ()))
    order = list(range(len(chunk)))
    if chunk.origin.naming is NamingScheme.MESSAGE_SET:
        order.sort(key=contents.__getitem__)  # type: ignore[arg-type]  # comparable, as documented
    positions: dict[int, str] = {}
    by_position: dict[str, str] = {}
    seen: set[tuple[str, Hashable]] = set()
    next_index: Counter[str] = Counter()
    taken = set(identities)  # an identity may look like a position with an index
    for i in order:
        identity = identities[i]
        if (identity, contents[i]) in seen:
            continue
        seen.add((identity, contents[i]))
        position = identity
        if next_index[identity]:
            while (position := indexed_position(identity, next_index[identity])) in taken:
                next_index[identity] += 1
            by_position[position] = identity
        next_index[identity] += 1
        positions[i] = position
    kept = sorted(positions)
    return replace(chunk.take(kept), positions=[positions[i] for i in kept]), by_position
