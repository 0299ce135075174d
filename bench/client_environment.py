"""Endpoint: the environment in which clients find the sink, and nothing of the user's."""

from __future__ import annotations

import os
from pathlib import Path

HIDDEN = ("AWS_", "BATCHER_", "BOTO_")
"""Variables that would let the user's own set-up in."""
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


def environment(port: int, certificate: Path) -> dict[str, str]:
    """Return the contenders' environment: the sink for S3, and nothing of the user's."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(HIDDEN) and name.lower() not in PROXIES
    }
    return own | {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": f"https://127.0.0.1:{port}",
        "AWS_CA_BUNDLE": str(certificate),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
