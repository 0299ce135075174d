"""Victim: a program that writes, started to be killed at some moment of its life."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]
LIMIT_S = 60.0
"""Timeout of a run that is not killed. None takes that long."""
POLL_S = 0.002
BEYOND = 1.05
"""Moments are drawn up to this many times the length of a whole run: some end by themselves."""
ONE_REQUEST = {"max_bytes": "1MiB"}
IN_PARTS = {"max_bytes": "12MiB", "multipart_threshold": "5MiB", "part_size": "5MiB"}
CLI, LIBRARY = "command line", "library"
TARGETS = [("file", ""), ("s3", "obstore"), ("file", ""), ("s3", "aioboto3")]
"""Target and engine of the runs, in turn."""
Kind = tuple[str, str, str]
EARLY, WRITING = "killed before writing", "killed while writing"
FINISHED, WHOLE_RUN = "finished before the kill", "measured"


@dataclass(frozen=True, slots=True)
class Case:
    """What is written, by what, and where."""

    target: str
    """`file` or `s3`."""
    program: str
    packing: str
    """Of the input: `plain` or `gzip`."""
    is_large: bool
    """Whether objects are above the multipart threshold."""
    engine: str
    """Of S3. Empty: there is none in a folder."""

    def __str__(self) -> str:
        size = "parts" if self.is_large else "one request"
        target = f"{self.target} by {self.engine}" if self.engine else self.target
        return f"{self.program}, {self.packing} input, {target}, {size}"

    @classmethod
    def draw(cls, number: int, chance: random.Random) -> Case:
        """Return the case of a run: targets, engines and programs take turns."""
        program = LIBRARY if number % 3 == 2 else CLI
        packing = chance.choice(["plain", "gzip"]) if program == CLI else "plain"
        target = TARGETS[number % len(TARGETS)]
        return cls(target[0], program, packing, chance.random() < 0.5, target[1])

    @property
    def settings(self) -> Mapping[str, str]:
        """Return the settings, as flags and the environment have them."""
        engine = {"engine": self.engine} if self.engine else {}
        return {"compression": "none", **engine, **(IN_PARTS if self.is_large else ONE_REQUEST)}

    @property
    def kind(self) -> Kind:
        """What decides how long a run takes."""
        return self.target, self.engine, self.program


MEASURED = [
    Case(target, program, "plain", is_large=True, engine=engine)
    for target, engine in dict.fromkeys(TARGETS)
    for program in (CLI, LIBRARY)
]
"""One of each kind is measured before any is killed."""


@dataclass(frozen=True, slots=True)
class WriterExit:
    """How a run ended."""

    when: str
    receipts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each object that was reported, by key: records and size."""
    summary: dict[str, Any] | None = None
    """The summary that the command line printed at its end."""
    fault: str = ""
    """Why it ended neither by us nor well."""

    @property
    def is_finished(self) -> bool:
        """Whether it came to its own end."""
        return self.when in {FINISHED, WHOLE_RUN}


class KilledWriters:
    """Starts programs and kills them; knows how long each kind lives."""

    def __init__(self, env: Mapping[str, str], inputs: Mapping[str, Path], records: int) -> None:
        """Let them write these inputs, or as many records."""
        self._env = env
        self._inputs = inputs
        self._records = records
        self._start_s: dict[Kind, float] = {}
        self._write_s: dict[Kind, float] = {}

    def run(self, case: Case, destination: str, share: float, *, is_early: bool) -> WriterExit:
        """Run one program, and kill it at a share of the time that its kind takes.

        The first of a kind is measured, and not killed.
        """
        kind = case.kind
        is_measured = kind in self._write_s
        with tempfile.TemporaryFile() as output:
            started_s = time.monotonic()
            process = subprocess.Popen(  # noqa: S603  # our own programs
                self._command(case, destination),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=TESTS,
                env=self._environment(case, destination),
                start_new_session=True,
            )
            try:
                if is_measured and is_early:
                    _wait(process, share * self._start_s[kind])
                    is_writing = self._is_writing(process, case)
                else:
                    is_writing = self._await_writing(process, case)
                    self._start_s.setdefault(kind, time.monotonic() - started_s)
                    began_s = time.monotonic()
                    limit_s = share * self._write_s[kind] * BEYOND if is_measured else LIMIT_S
                    _wait(process, limit_s)
                    if process.poll() is not None:
                        took_s = time.monotonic() - began_s
                        self._write_s[kind] = min(took_s, self._write_s.get(kind, took_s))
            finally:
                process.kill()
                code = process.wait()
            output.seek(0)
            when = (WRITING if is_writing else EARLY) if code else FINISHED
            return _ended(code, output.read(), when if is_measured else WHOLE_RUN)

    def _command(self, case: Case, destination: str) -> Sequence[str]:
        path = str(self._inputs[case.packing])
        if case.program == LIBRARY:
            return [sys.executable, "-P", "-m", "long.kill.submitter", str(self._records), path]
        flags = [x for k, v in case.settings.items() for x in (f"--{k.replace('_', '-')}", v)]
        command = [sys.executable, "-P", "-m", "batcher", "write", path, destination]
        return [*command, "--json", *flags]

    def _environment(self, case: Case, destination: str) -> dict[str, str]:
        if case.program == CLI:
            return dict(self._env)
        named = {f"BATCHER_{name.upper()}": value for name, value in case.settings.items()}
        if case.target == "file":
            return {**self._env, **named, "BATCHER_BUCKET": destination}
        bucket, _, root = destination.removeprefix("s3://").partition("/")
        return {**self._env, **named, "BATCHER_BUCKET": bucket, "BATCHER_ROOT": root}

    def _await_writing(self, process: subprocess.Popen[bytes], case: Case) -> bool:
        """Wait until the program has its input open, which is when it begins."""
        while process.poll() is None:
            if self._is_writing(process, case):
                return True
            time.sleep(POLL_S)
        return True  # faster than we looked

    def _is_writing(self, process: subprocess.Popen[bytes], case: Case) -> bool:
        path = str(self._inputs[case.packing])
        folder = f"/proc/{process.pid}/fd"
        try:
            return any(_target(f"{folder}/{name}") == path for name in os.listdir(folder))  # noqa: PTH208
        except OSError:
            return process.poll() is not None


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115  # no file of ours
    except OSError:
        return ""  # closed meanwhile


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _ended(code: int, output: bytes, when: str) -> WriterExit:
    """Parse the complete lines of the program's output."""
    receipts: dict[str, tuple[int, int]] = {}
    summary = None
    for line in output.split(b"\n")[:-1]:
        parsed = json.loads(line)
        if isinstance(parsed, dict):
            summary = parsed
        else:
            receipts[parsed[0]] = (parsed[1], parsed[2])
    fault = "" if code in {0, -signal.SIGKILL} else f"it ended by itself, with exit code {code}"
    return WriterExit(when, receipts, summary, fault)
