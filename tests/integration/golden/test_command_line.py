"""Golden objects of `batcher write`: what lines become, in S3 and in folders, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import batcher

from . import inputs, zstandard
from .capture import Clock, Names, described, objects_in, objects_under, unwritten
from .expected import compare, compare_names
from .inputs import MIB, texts
from .server import BUCKET, RecordingS3

pytestmark = pytest.mark.slow  # a process each

ENGINES = ("aioboto3", "obstore")
FOLDER = "file://out"
S3 = f"s3://{BUCKET}/events"
REPOSITORY = Path(batcher.__file__).parents[1]
TIMEOUT_S = 60.0


def lines(records: list[Any]) -> bytes:
    """Return records as a file has them."""
    return b"".join(
        (record if isinstance(record, bytes) else record.encode()) + b"\n" for record in records
    )


@dataclass(frozen=True)
class Case:
    """One call of the command; the destination says whether it runs for each engine."""

    name: str
    arguments: list[str]
    files: Callable[[], dict[str, bytes]] = dict
    stdin: Callable[[], list[bytes]] = list
    """Pieces; before each but the first it waits for a multipart upload."""
    environ: dict[str, str] = field(default_factory=dict)
    refuse: str = ""


def _file() -> dict[str, bytes]:
    return {"in.ndjson": lines(texts(5))}


def _bad() -> dict[str, bytes]:
    return {"in.ndjson": lines([inputs.GOOD, *inputs.BAD_BYTES, inputs.GOOD, b"x" * 9_000])}


def _kinds() -> dict[str, bytes]:
    return {"in.ndjson": lines(inputs.kinds(8))}


def _odd_ends() -> dict[str, bytes]:
    return {
        "mark.ndjson": b"\xef\xbb\xbf" + b'{"a":1}\r\n\r\n\n{"a":2}\r\n{"a":3}',
        "Gr\u00f6\u00dfe.ndjson": b'{"b":1}\n  {"b": 2}  \n{"b":\r3}\nnull',
        "empty.ndjson": b"",
    }


def _packed() -> dict[str, bytes]:
    text = lines(texts(3))
    return {
        "a.gz": gzip.compress(text, mtime=0) + gzip.compress(b'{"second":"member"}\n', mtime=0),
        "b.zst": zstandard.compress(text),
        "c.ndjson": lines(texts(1, seed=7)),
    }


def _damaged() -> dict[str, bytes]:
    return {"a.gz": gzip.compress(lines(texts(50)), mtime=0)[:-8], "b.ndjson": lines(texts(2))}


def _streamed() -> list[bytes]:
    text = lines(list(inputs.bulk(15 * MIB)))
    cut = text.index(b"\n", 11 * MIB) + 1
    return [text[:cut], text[cut:]]


EVERYTHING = [
    *("--sse", "aws:kms", "--kms-key-id", "alias/golden", "--storage-class", "STANDARD_IA"),
    *("--tags", '{"team":"data"}', "--metadata", '{"Team":"data"}'),
    *("--content-type", "text/x-golden", "--compression", "zstd", "--compression-level", "5"),
]
IN = "in.ndjson"
ALL = [
    Case("folder_file", [IN, FOLDER], _file),
    Case("folder_stdin", ["-", FOLDER], stdin=lambda: [lines(texts(4))]),
    Case(
        "folder_lines",
        [IN, FOLDER, "--format", "lines", "--compression", "none"],
        lambda: {IN: b"a text\n\n\xff\x00 bytes\r\nno end"},
    ),
    Case("folder_odd_ends", ["mark.ndjson", "Größe.ndjson", "empty.ndjson", FOLDER], _odd_ends),
    Case("folder_packed", ["a.gz", "b.zst", "c.ndjson", FOLDER], _packed),
    Case("folder_damaged", ["a.gz", "b.ndjson", FOLDER], _damaged),
    Case("folder_bad_quarantined", [IN, FOLDER, "--max-bytes", "3000"], _bad),
    Case(
        "folder_bad_dropped",
        [IN, FOLDER, "--max-bytes", "3000", "--on-bad-record", "drop"],
        _bad,
    ),
    Case(
        "folder_bad_failed",
        [IN, FOLDER, "--max-bytes", "3000", "--on-bad-record", "fail"],
        _bad,
    ),
    Case(
        "folder_many_partitions",
        [IN, FOLDER, "--partition-by", "x/kind={field:kind}", "--fanout", "1"],
        _kinds,
    ),
    Case("folder_max_records", [IN, FOLDER, "--max-records", "3"], _kinds),
    Case(
        "folder_environment",
        [IN, FOLDER, "--fanout", "4"],
        _kinds,
        environ={"BATCHER_FANOUT": "2", "BATCHER_ROOT": "unused", "BATCHER_COMPRESSION": "zstd"},
    ),
    Case("folder_dry_run", [IN, FOLDER, "--dry-run"], _bad),
    Case("wrong_settings", [IN, FOLDER, "--fanout", "3", "--compression", "lz4"], _file),
    Case("wrong_variable", [IN, FOLDER], _file, environ={"BATCHER_FANUOT": "2"}),
    Case("wrong_destination", [IN, "gs://out"], _file),
    Case("wrong_input", ["missing.ndjson", FOLDER]),
    Case("s3_stdin_lines", ["-", S3, "--format", "lines"], stdin=lambda: [b"a\n\nb"]),
    Case("s3_file", [IN, S3], lambda: {IN: lines([*texts(5), "bad", inputs.GZIPPED])}),
    Case("s3_every_setting", [IN, S3, *EVERYTHING], _file),
    Case("s3_in_parts", [IN, S3, "--multipart-threshold", "300"], _file),
    Case(
        "s3_streamed",
        # No linger: on a slow machine its 5 s would end the object before the last line is read
        ["-", S3, "--part-size", "5MiB", "--multipart-threshold", "5MiB", "--linger-s", "600"],
        stdin=_streamed,
    ),
    Case(
        "s3_one_object_refused",
        [IN, S3, "--partition-by", "kind={field:kind}", "--fanout", "1"],
        _kinds,
        refuse="kind=b",
    ),
]
CASES = {case.name: case for case in ALL}
RUNS = [(name, engine) for name in CASES for engine in (ENGINES if name[:2] == "s3" else ("",))]


def run(case: Case, engine: str, folder: Path, s3: RecordingS3) -> tuple[int, bytes]:
    """Run the command in a process of its own; return its exit code and standard output."""
    for name, content in case.files().items():
        (folder / name).write_bytes(content)
    engines = ["--engine", engine] if engine else []
    process = subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-m", "batcher", "write", *case.arguments, *engines, "--json"],
        cwd=folder,
        env={**os.environ, **case.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdin is not None
            for number, piece in enumerate(case.stdin()):
                if number:
                    s3.wait_for_upload()
                process.stdin.write(piece)
                process.stdin.flush()
            stdout, _ = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    return process.returncode, stdout


def _summary(stdout: bytes, data: list[int], *, dry: bool) -> dict[str, Any] | None:
    """Return the line of `--json`; its size must be that of the bodies of `data`."""
    if not stdout:
        return None
    line = json.loads(stdout)
    assert isinstance(line, dict)
    assert stdout.count(b"\n") == 1
    assert line["seconds"] >= 0
    line["seconds"] = "{seconds}"
    assert line["bytes_out"] == sum(data) or dry
    line["bytes_out"] = "{of the bodies}"
    return line


def captured(case: Case, engine: str, folder: Path, s3: RecordingS3) -> dict[str, Any]:
    """Run a case in a new folder; return its facts."""
    folder.mkdir()
    s3.reset(refuse=case.refuse)
    clock = Clock()
    with clock.running():
        exit_code, stdout = run(case, engine, folder, s3)
    assert not s3.faults
    found = objects_in(s3) if engine else objects_under(folder / "out")
    names = Names(s3.requests if engine else [one.key for one in found], clock)
    data = [len(one.body) for one in found if "_quarantine/" not in one.key]
    return {
        "exit_code": exit_code,
        "json": _summary(stdout, data, dry="--dry-run" in case.arguments),
        "objects": described(found, names, clock),
        "unwritten": unwritten(s3, names),
        "open_uploads": [upload.key for upload in s3.uploads.values()],
    }


@pytest.mark.parametrize(("name", "engine"), RUNS)
def test_lines_become_the_golden_objects(
    s3: RecordingS3, tmp_path: Path, name: str, engine: str
) -> None:
    facts = captured(CASES[name], engine, tmp_path / "run", s3)
    compare("command_line", name, facts, is_first=engine != ENGINES[1])


def test_every_golden_command_is_tested() -> None:
    assert len(CASES) == len(ALL)
    compare_names("command_line", CASES)
