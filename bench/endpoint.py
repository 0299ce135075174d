"""Endpoint: the sink in a process of its own, and the environment in which clients find it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certificate import write_certificate
from child import Child

HIDDEN = ("AWS_", "BATCHER_", "BOTO_")
"""Variables that would let the user's own set-up in."""
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


def environment(port: int, certificate: Path) -> dict[str, str]:
    """Give the contenders' environment: the sink for S3, and nothing of the user's."""
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


@contextmanager
def sink_over_tls() -> Iterator[tuple[Child, dict[str, str], Path]]:
    """Run a sink; give it, the environment that leads to it, and a folder for the time being."""
    with tempfile.TemporaryDirectory(prefix="batcher-bench-") as name:
        folder = Path(name)
        certificate, key = write_certificate(folder)
        with Child("sink.py", str(certificate), str(key), env=os.environ) as sink:
            yield sink, environment(sink.greeting()["port"], certificate), folder
