"""ISA-L level 1: whether a gzip body is exactly what that encoder makes of its text.

Its output for one and the same text differs between processes: of 700 processes that compressed
three short texts, 18 gave another, equally valid body for one of them, each time it was asked
(isal 1.9.1, levels 1 and 2). So no digest of such a body can be kept in a file; instead the text is
compressed again, member by member, here and if need be in other processes.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Iterator

from isal import isal_zlib

GZIP_WBITS = 31
HEADER = bytes.fromhex("1f8b08000000000000ff")
OTHER_PROCESSES = 3
_PROGRAM = """
import sys
from isal import isal_zlib
sizes = [int(size) for size in sys.argv[1:]]
for size in sizes:
    sys.stdout.buffer.write(isal_zlib.compress(sys.stdin.buffer.read(size), 1, 31))
"""


def members_of(body: bytes) -> Iterator[bytes]:
    """Yield the text of each gzip member."""
    rest = body
    while rest:
        decoder = zlib.decompressobj(GZIP_WBITS)
        yield decoder.decompress(rest)
        assert decoder.eof
        rest = decoder.unused_data


def is_made_by_it(body: bytes, members: list[bytes]) -> bool:
    """Return whether ISA-L at level 1 makes `body` of these members."""
    if not body.startswith(HEADER):
        return False
    if body == b"".join(isal_zlib.compress(member, 1, GZIP_WBITS) for member in members):
        return True
    sizes = [str(len(member)) for member in members]
    command = [sys.executable, "-c", _PROGRAM, *sizes]
    text = b"".join(members)
    for _ in range(OTHER_PROCESSES):
        made = subprocess.run(command, input=text, capture_output=True, check=True).stdout  # noqa: S603
        if made == body:
            return True
    return False
