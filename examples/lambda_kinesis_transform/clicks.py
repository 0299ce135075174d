"""The function: clicks of a stream, without personal data, partitioned by country."""

import hashlib
import json
from typing import Any

from batcher.handler import make_handler


def transform(payload: bytes) -> dict[str, Any] | None:
    """Redact a click, or return None to leave it out. If this raises, it is a bad record."""
    click: dict[str, Any] = json.loads(payload)
    if click.get("bot"):
        return None
    email = click.pop("email").lower()
    click["user"] = hashlib.sha256(email.encode()).hexdigest()[:16]
    click.pop("ip", None)
    return click


handler = make_handler(transform=transform)
