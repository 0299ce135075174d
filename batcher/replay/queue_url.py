"""Queue's URL: whether one can be, before anything is marked for it."""

from __future__ import annotations

import re

_QUEUE = re.compile(
    r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*(?:/[A-Za-z0-9._-]+)+/[A-Za-z0-9_-]{1,80}(?:\.fifo)?"
)
"""Any host, for emulators and endpoints of one's own; then an account, at least, and the name."""
EXAMPLE = "https://sqs.eu-west-1.amazonaws.com/123456789012/name"


def why_no_queue(url: str) -> str | None:
    """Say why this is not the URL of a queue; None: it may be one."""
    if _QUEUE.fullmatch(url):
        return None
    return f"{url!r} is no queue's URL, which is as {EXAMPLE}"
