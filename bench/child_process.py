"""Child: a script in a process of its own, with requests and responses as lines of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

END_TIMEOUT_S = 5
_HERE = Path(__file__).parent


class Child:
    """A script of this folder; leaving the `with` ends it, and nothing else."""

    def __init__(self, script: str, *arguments: str, env: Mapping[str, str]) -> None:
        """Start it; `greeting` waits until it is ready."""
        self._name = " ".join([script, *arguments])
        self._process = subprocess.Popen(  # noqa: S603  # our own script
            [sys.executable, str(_HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
            start_new_session=True,  # an interrupt is ours alone; it ends with its input
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its standard input, at which it ends; kill it if it does not."""
        try:
            self._process.communicate(timeout=END_TIMEOUT_S)
        except (subprocess.TimeoutExpired, OSError):
            self._process.kill()
            self._process.communicate()

    def greeting(self) -> dict[str, Any]:
        """Wait for its next line.

        Raises:
            RuntimeError: it has ended instead; the message has its standard error.
        """
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        line = self._process.stdout.readline()
        if not line:
            msg = f"{self._name} ended with exit code {self._process.wait()}"
            raise RuntimeError(msg)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **question: object) -> dict[str, Any]:
        """Send a question and wait for its answer; see `greeting`."""
        assert self._process.stdin is not None  # noqa: S101  # it is a pipe
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.greeting()
