"""Stage: a sink, an environment that leads to it, and a folder; all gone when it is left."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certificate import write_certificate
from child_process import Child
from client_environment import environment

SHOWN = 3


@dataclass(frozen=True)
class SinkEnvironment:
    """What the contenders of one question share."""

    sink: Child
    env: Mapping[str, str]
    """The contenders' environment."""
    folder: Path

    def prove(self, bucket: str) -> None:
        """Forget what came, and decode what comes from now on."""
        self.sink.ask(bucket=bucket, change={"is_proving": True})

    def measure(self, bucket: str, delay_s: float = 0.0) -> None:
        """Forget all requests, and only count later ones, with responses delayed."""
        self.sink.ask(bucket=bucket, change={"delay_s": delay_s})

    def objects(self, bucket: str) -> dict[str, dict[str, Any]]:
        """Return what the sink knows of every object, by key.

        Raises:
            RuntimeError: a multipart upload was left open, or an object cannot be decoded.
        """
        answer = self.sink.ask(bucket=bucket, objects=True)
        objects: dict[str, dict[str, Any]] = answer["objects"]
        faults = [f"{key}: {one['fault']}" for key, one in objects.items() if one["fault"]]
        if answer["open_uploads"]:
            faults.append(f"{answer['open_uploads']} uploads are open")
        if faults:
            msg = f"{bucket}: {'; '.join(faults[:SHOWN])}"
            raise RuntimeError(msg)
        return objects


@contextmanager
def sink_environment() -> Iterator[SinkEnvironment]:
    """Start a sink; it ends, and the folder goes, with the `with`."""
    with tempfile.TemporaryDirectory(prefix="batcher-bench-") as name:
        folder = Path(name)
        certificate, key = write_certificate(folder)
        with Child("sink.py", str(certificate), str(key), env=os.environ) as sink:
            yield SinkEnvironment(sink, environment(sink.greeting()["port"], certificate), folder)
