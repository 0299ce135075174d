"""Group: the records of one quarantine object that are replayed together, and what names them.

Names follow from what is in an object, so that whoever replays the same records again meets the
same key. A stream may replace a quarantine object by one with other records (a bisected batch), and
the marks are lost with it. So the names of streams' records stand on the shard, not on the
quarantine object, and the name of an object of data on its own records, not on the group's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batcher.keys.names import QUARANTINE_FOLDER, QUARANTINE_SUFFIX, SEQUENCE_DIGITS
from batcher.records.chunk import Chunk, NamingScheme, Origin, positions_digest

if TYPE_CHECKING:
    from batcher.tools.replay.marks import QuarantineLine, ReplayMark

REPLAY_SOURCE = "replay"


GROUP_ID_DIGITS = 32


STEM_DIGITS = 16


_SEQUENCE_NAME = re.compile(rf"(.+)-\d{{{SEQUENCE_DIGITS}}}")


def quarantine_prefix(root: str) -> str:
    """Return what the key of every quarantine object under `root` starts with."""
    return "".join(f"{folder}/" for folder in (root, QUARANTINE_FOLDER) if folder)


def identity_scope(key: str) -> str:
    """Return the name within which the identities of a quarantine object's records are unique.

    Of a stream it is the shard's; of all others the object's own, for nothing replaces it.
    """
    path = key.rpartition(f"{QUARANTINE_FOLDER}/")[2].removesuffix(QUARANTINE_SUFFIX)
    name = path.rpartition("/")[2]
    shard = _SEQUENCE_NAME.fullmatch(name)
    return path if shard is None else f"{path.partition('/')[0]}/{shard[1]}"


def make_group_id(scope: str, identities: Sequence[str]) -> str:
    """Report one group from any other."""
    return positions_digest([scope, *sorted(identities)])[:GROUP_ID_DIGITS]


def make_chunk(lines: Sequence[QuarantineLine], scope: str) -> Chunk:
    """Make a run of quarantined records, with the arrival times they had at their source."""
    stem = f"{REPLAY_SOURCE}-{positions_digest([scope])[:STEM_DIGITS]}"
    return Chunk(
        Origin(REPLAY_SOURCE, NamingScheme.MESSAGE_SET, stem),
        [line.payload for line in lines],
        [line.identity for line in lines],
        [line.arrival_s for line in lines],
    )


def group_by_mark(lines: Sequence[QuarantineLine]) -> list[list[QuarantineLine]]:
    """Divide the lines that have a mark by that mark: group, state and place."""
    divided: dict[ReplayMark, list[QuarantineLine]] = {}
    for line in lines:
        if line.mark is not None:
            divided.setdefault(line.mark, []).append(line)
    return list(divided.values())
