"""Emulator: a process on this machine that answers as AWS does, for a while."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config

HOST = "127.0.0.1"
START_S, STOP_S, POLL_S = 60.0, 10.0, 0.1
LOG_LINES = 30
SIDE_BY_SIDE = 16
NOBODY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Emulator:
    """A process on one port of loopback while it is entered."""

    def __init__(
        self, command: Sequence[str | Path], environ: Mapping[str, str], folder: Path, port: int
    ) -> None:
        """Run `command` with nothing but `environ`, in `folder`, where its log stays too."""
        self._command = command
        self._environ = environ
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return f"http://{HOST}:{self._port}"

    @property
    def environ(self) -> dict[str, str]:
        """What an AWS SDK must find in the environment to talk to it."""
        return {
            **NOBODY,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def __enter__(self) -> Self:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # what we have installed
                self._command,
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            client.close()
        self._stop()

    def client(self, service: str) -> Any:  # noqa: ANN401  # boto3 has no types
        """Return a plain client of AWS's own SDK."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=NOBODY["AWS_REGION"],
                aws_access_key_id=NOBODY["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=NOBODY["AWS_SECRET_ACCESS_KEY"],
                config=Config(max_pool_connections=SIDE_BY_SIDE),
            )
        return self._clients[service]

    def messages(self, queue_url: str) -> int:
        """Count what is in a queue, in flight or not yet visible too."""
        names = ["", "NotVisible", "Delayed"]
        answer = self.client("sqs").get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=[f"ApproximateNumberOfMessages{name}" for name in names],
        )
        return sum(map(int, answer["Attributes"].values()))

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers."""
        until_s = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < until_s:
            connection = HTTPConnection(HOST, self._port, timeout=START_S)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            except (OSError, HTTPException):
                time.sleep(POLL_S)
            else:
                return
            finally:
                connection.close()
        said = (self._folder / "log").read_text(errors="replace").splitlines()
        msg = f"{self._command[0]} does not serve:\n" + "\n".join(said[-LOG_LINES:])
        raise AssertionError(msg)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
