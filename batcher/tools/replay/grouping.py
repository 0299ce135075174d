"""Grouping: which records of a quarantine object are replayed together, and their names.

Names are derived from the records, so that replaying the same records again makes the same key. A
record of a stream may be in two quarantine objects, if a delivery has begun in the middle of an
earlier one. So names of stream records are derived from the shard, not from the quarantine object,
and the name of a data object from its own records, not from the group.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batcher.keys.names import QUARANTINE_FOLDER, SEQUENCE_DIGITS
from batcher.keys.object_format import QUARANTINE_FORMAT
from batcher.records.chunk import Chunk, NamingScheme, Origin, positions_digest
from batcher.records.position import FINGERPRINT_DIGITS

if TYPE_CHECKING:
    from batcher.tools.replay.marks import QuarantineLine, ReplayMark

REPLAY_SOURCE = "replay"
GROUP_ID_DIGITS = 32
STEM_DIGITS = 16

_SEQUENCE_NAME = re.compile(rf"(.+)-\d{{{SEQUENCE_DIGITS}}}(?:~[0-9a-f]{{{FINGERPRINT_DIGITS}}})?")


def quarantine_prefix(root: str) -> str:
    """Return the common prefix of the keys of all quarantine objects under `root`."""
    return "".join(f"{folder}/" for folder in (root, QUARANTINE_FOLDER) if folder)


def identity_scope(key: str) -> str:
    """Return the scope in which the identities of a quarantine object's records are unique.

    For a stream it is the shard. For every other source it is the object, because no other
    object has the same set of records.
    """
    path = key.rpartition(f"{QUARANTINE_FOLDER}/")[2].removesuffix(QUARANTINE_FORMAT.suffix)
    name = path.rpartition("/")[2]
    shard = _SEQUENCE_NAME.fullmatch(name)
    return path if shard is None else f"{path.partition('/')[0]}/{shard[1]}"


def make_group_id(scope: str, identities: Sequence[str]) -> str:
    """Return the id of the group that has these records."""
    return positions_digest([scope, *sorted(identities)])[:GROUP_ID_DIGITS]


def make_chunk(lines: Sequence[QuarantineLine], scope: str) -> Chunk:
    """Return quarantined records as a chunk, with their arrival times at the source."""
    stem = f"{REPLAY_SOURCE}-{positions_digest([scope])[:STEM_DIGITS]}"
    return Chunk(
        Origin(REPLAY_SOURCE, NamingScheme.MESSAGE_SET, stem),
        [line.payload for line in lines],
        [line.identity for line in lines],
        [line.arrival_s for line in lines],
    )


def group_by_mark(lines: Sequence[QuarantineLine]) -> list[list[QuarantineLine]]:
    """Group the lines that have a mark by that mark: group id, state and target."""
    groups: dict[ReplayMark, list[QuarantineLine]] = {}
    for line in lines:
        if line.mark is not None:
            groups.setdefault(line.mark, []).append(line)
    return list(groups.values())
