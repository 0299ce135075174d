"""Streams: the commands that stream a file of lines into a bucket: batcher's, and its peers'."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from line_files import Lines

HERE = Path(__file__).parent
ENGINES = ("obstore", "aioboto3")
FORMATS = ("lines", "ndjson")
LIBRARIES = ("smart_open", "s3fs", "pyarrow")
CONFIGURATIONS = HERE / "peers"


@dataclass(frozen=True)
class Stream:
    """One way to write a file; its command is made for a file and a bucket."""

    name: str
    codec: str
    command: Callable[[Lines, str], Sequence[str]]

    @property
    def is_ours(self) -> bool:
        """Whether it is batcher, or what batcher is held against: a fault of these ends all."""
        return self.name == "floor" or self.name.startswith("batcher")

    @property
    def bucket(self) -> str:
        """A name of its own in the sink."""
        words = f"{self.name}-{self.codec}"
        return "".join(c if c.isalnum() else "-" for c in words.lower())


def streams(codec: str, *, is_short: bool = False) -> Iterator[Stream]:
    """Return every contender that is installed, batcher's first; in short, peers with gzip only."""
    for engine in ENGINES:
        if find_spec(engine) is not None:
            for format_ in FORMATS:
                yield Stream(f"batcher {format_} {engine}", codec, _batcher(codec, format_, engine))
    yield Stream("floor", codec, _library("floor", codec))
    if codec == "gzip" or not is_short:
        yield from _peers(codec)


def _peers(codec: str) -> Iterator[Stream]:
    for name in LIBRARIES:
        if find_spec(name) is not None:
            yield Stream(name, codec, _library(name, codec))
    if (aws := _program("aws")) is not None:
        yield Stream("aws s3 cp", codec, _aws(aws, codec))
    for name, file in (("fluent-bit", "fluent-bit.yaml"), ("vector", "vector.yaml")):
        if codec == "gzip" and (program := _program(name)) is not None:
            yield Stream(name, codec, _collector(name, program, CONFIGURATIONS / file))


def peers() -> str:
    """Name the peers' versions."""
    found = [f"{name} {version(name)}" for name in LIBRARIES if find_spec(name) is not None]
    if (aws := _program("aws")) is not None:
        printed = subprocess.run([aws, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        found += printed.stdout.split()[:1]
    return f"peers: {', '.join(found)}"


def missing() -> list[str]:
    """Name the peers that are not installed, a line each."""
    notes = [
        f"left out: {name}: not installed (make bench installs it)"
        for name in LIBRARIES
        if find_spec(name) is None
    ]
    programs = ("aws", "fluent-bit", "vector")
    return notes + [f"left out: {p}: not on PATH" for p in programs if _program(p) is None]


def batcher_write(lines: Lines, bucket: str, **settings: object) -> list[str]:
    """Return `batcher write` of a file, with its settings as flags."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    program = [sys.executable, "-m", "batcher", "write"]
    return [*program, str(lines.file), f"s3://{bucket}/events", "--json", *given]


def _batcher(codec: str, format_: str, engine: str) -> Callable[[Lines, str], Sequence[str]]:
    return lambda lines, bucket: batcher_write(
        lines, bucket, format=format_, compression=codec, engine=engine
    )


def _library(name: str, codec: str) -> Callable[[Lines, str], Sequence[str]]:
    script = [sys.executable, str(HERE / "stream_process.py"), name]
    return lambda lines, bucket: [*script, str(lines.file), bucket, codec]


def _aws(aws: str, codec: str) -> Callable[[Lines, str], Sequence[str]]:
    """Pipe through the codec's own program, as one does in a shell."""

    def command(lines: Lines, bucket: str) -> Sequence[str]:
        source, target = shlex.quote(str(lines.file)), f"s3://{bucket}/lines"
        copy = f"{shlex.quote(aws)} s3 cp --only-show-errors"
        if codec == "none":
            return ["bash", "-c", f"{copy} {source} {target}"]
        pipe = f"set -o pipefail; {codec} -1 < {source} | {copy} - {target}"
        return ["bash", "-c", pipe]

    return command


def _collector(
    name: str, program: str, configuration: Path
) -> Callable[[Lines, str], Sequence[str]]:
    """Feed a log collector by its standard input; it ends with that."""
    flag = "--config" if name == "vector" else "-c"

    def command(lines: Lines, bucket: str) -> Sequence[str]:
        names = f"BENCH_BUCKET={bucket} BENCH_FOLDER={shlex.quote(str(lines.file.parent))}"
        started = f"{names} {shlex.quote(program)} {flag} {configuration}"
        return ["bash", "-c", f"{started} < {shlex.quote(str(lines.file))}"]

    return command


def _program(name: str) -> str | None:
    return shutil.which(name)
