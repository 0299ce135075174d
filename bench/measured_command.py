"""Command: a program run to its end, with its CPU, its time, and the peak of its memory."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.05
LONGEST_S = 1800.0


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a command took, those it started and waited for included."""

    cpu_s: float
    wall_s: float
    peak_bytes: int
    """VmHWM, added up over its processes."""
    output: str


def run(
    command: Sequence[str], env: Mapping[str, str], longest_s: float = LONGEST_S
) -> ProcessUsage:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message has the end of its output.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started_s = time.monotonic()
        process = subprocess.Popen(  # noqa: S603  # a contender of ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=env,
            start_new_session=True,
        )
        watch = _Watch(process.pid, longest_s)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            watch.stop()
        wall_s = time.monotonic() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            errors.seek(0)
            error_text = errors.read().decode(errors="replace")[-500:]
            msg = f"exit code {process.returncode}: {' '.join(command)[:300]}\n{error_text}"
            raise RuntimeError(msg)
        return ProcessUsage(
            usage.ru_utime + usage.ru_stime, wall_s, watch.peak_bytes, output.read().decode()
        )


class _Watch:
    """Looks at a process and its descendants now and then; ends one that takes too long.

    Not ru_maxrss: a child begins with its parent's.
    """

    def __init__(self, pid: int, longest_s: float) -> None:
        """Begin to look."""
        self._pid = pid
        self._ends_s = time.monotonic() + longest_s
        self._peaks: dict[int, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def peak_bytes(self) -> int:
        """The peaks of all processes seen, added up."""
        return sum(self._peaks.values())

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            for pid in _family(self._pid):
                self._peaks[pid] = max(self._peaks.get(pid, 0), _peak_bytes(pid))
            if self._stopped.wait(SAMPLE_S):
                return
            if time.monotonic() > self._ends_s:
                with suppress(ProcessLookupError):
                    os.killpg(self._pid, signal.SIGKILL)


def _family(pid: int) -> list[int]:
    """Return a process and all that came of it."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            text = Path(f"/proc/{one}/task/{one}/children").read_text()
            found += map(int, text.split())
    return found


def _peak_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
