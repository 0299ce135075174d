"""Empty virtual environments, into which the wheel is installed as a user installs it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 200
OF_A_CALLER = ("PYTHON", "VIRTUAL_ENV", "COV_CORE", "COVERAGE")
"""Variables that start so say which Python or package a process runs, and a shell has none."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment made by `python3 -m venv`, with a home folder of its own."""

    folder: Path
    pip_cache: Path

    def create(self) -> None:
        """Create it with the base interpreter of the one that runs."""
        (self.folder / "home").mkdir(parents=True)
        base = Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
        self._run([str(base), "-m", "venv", str(self.folder / "venv")])

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a shell in which the environment is active."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(OF_A_CALLER)
        }
        path = os.pathsep.join([str(self.folder / "venv" / "bin"), kept.get("PATH", os.defpath)])
        home = {"HOME": str(self.folder / "home"), "PIP_CACHE_DIR": str(self.pip_cache)}
        return {**kept, **home, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def shell(
        self, line: str, environ: Mapping[str, str] | None = None, *, expect: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a line in a shell in which the environment is active. Raise if it ends otherwise.

        Raises:
            RuntimeError: the exit code is not what is expected; the message has all output.
        """
        return self._run(["/bin/sh", "-ec", line], environ, expect=expect)

    def on_a_terminal(self, line: str) -> str:
        """Run a line in a shell, and return what its standard error shows on a terminal."""
        ours, terminal = pty.openpty()
        try:
            self._run(["/bin/sh", "-ec", line], stderr=terminal)
        finally:
            os.close(terminal)
        shown = b""
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:  # Linux: no process has the terminal any more
            pass
        finally:
            os.close(ours)
        return shown.decode()

    def _run(
        self,
        command: list[str],
        environ: Mapping[str, str] | None = None,
        *,
        stderr: int = subprocess.PIPE,
        expect: int = 0,
    ) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(  # noqa: S603  # our own commands
            command,
            env={**self.environ, **(environ or {})},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        if ran.returncode != expect:
            msg = f"{command[-1]}: exit code {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
            raise RuntimeError(msg)
        return ran
