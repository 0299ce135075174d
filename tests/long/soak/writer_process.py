"""Child: a writer's process, with requests and responses in JSON, and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

TESTS = Path(__file__).parents[2]
END_S = 30.0
"""The most that a writer may take to drain and end; then it is killed."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Child:
    """A writer; leaving the `with` ends it, and nothing else."""

    def __init__(
        self, kind: str, bucket: str, root: str, seed: int, env: Mapping[str, str]
    ) -> None:
        """Start it with this environment."""
        self.kind = kind
        self.memory_bytes: list[int] = []
        """Samples of what it held, in the order they were taken."""
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-P", "-m", "long.soak.writer", kind, bucket, root, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=TESTS,
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
        """Close its input, at which it ends; kill it where it does not, or where we failed."""
        if kind is not None:
            self._process.kill()
        try:
            self._process.communicate(timeout=END_S)
        except (subprocess.TimeoutExpired, OSError):
            self._process.kill()
            self._process.communicate()

    @property
    def answers(self) -> IO[str]:
        """Its standard output, to be waited for."""
        assert self._process.stdout is not None
        return self._process.stdout

    def ask(self, **question: object) -> None:
        """Send a question."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for its next line.

        Raises:
            RuntimeError: it has ended instead; the message has its standard error.
        """
        line = self.answers.readline()
        if not line:
            msg = f"the {self.kind} writer ended with exit code {self._process.wait()}"
            raise RuntimeError(msg)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def sample(self) -> None:
        """Look at the memory it holds now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        self.memory_bytes.append(pages * _PAGE_BYTES)
