"""Hostile JSON exhausts no memory: the peak of a process, for every source and command.

Each record has a process of its own for every source and command. A function takes it alone, then
five smaller ones in one event, each with and without a partition by its fields.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.examples import dynamodb_record, kinesis_record, message
from support.hostile_json import BAD, GOOD

MB = 10**6
FUNCTION_MB = 96
"""The most that a function of 128 MB may take."""
WRITE_MB, VERIFY_MB = 400, 300
MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES = 1_000_000, 4_300_000
"""About the largest message of SQS, and what base64 lets into an event of 6 MB."""
MAX_MESSAGE_CHARACTERS = 1_000
VALUES: Mapping[str, Any] = {
    "nulls": [None] * 600_000,
    "floats": [1.5] * 200_000 + [None],
    "large integers": [1.5] * 200_000 + [2**70],
    "objects": [{"": 0}] * 60_000 + [None],
    "texts": ["\x01"] * 150_000,
}
"""Values of an event. They take more memory than their JSON before a function sees them."""
PREPARE = """
import json, sys

def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
"""
HANDLE = """
import batcher.stores.obstore.store  # a function has it loaded, though a folder needs it not
from batcher.handler import make_handler
from batcher.settings import Settings

templates = "", "x={field:x}/{field:y.z}"
handlers = [make_handler(Settings.from_env(partition_by=p)) for p in templates]
for path in sys.argv[1:]:
    for handle in handlers:
        with open(path) as file:
            event = json.load(file)
        answer = handle(event, None)
        assert not answer.get("batchItemFailures"), answer
        del event
print(peak_bytes())
"""
SUBMIT = """
import asyncio
from batcher import Batcher
from batcher.settings import Settings

async def submit(payload, partition_by):
    async with Batcher(Settings.from_env(partition_by=partition_by)) as batcher:
        await (await batcher.submit(payload))

for path in sys.argv[1:]:
    for partition_by in ("", "x={field:x}/{field:y.z}"):
        with open(path, "rb") as file:
            asyncio.run(submit(file.read(), partition_by))
print(peak_bytes())
"""
RUN = """
from batcher.cli import main
code = main(sys.argv[1:])
print(peak_bytes(), file=sys.stderr)
sys.exit(code)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a function of 128 MB that writes to a folder."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "BATCHER_BUCKET": f"file://{folder}/out",
    }


def sqs_event(*payloads: bytes) -> Any:  # noqa: ANN401  # as JSON
    """Return an event with messages. What is not UTF-8 becomes lone surrogates."""
    bodies = [payload.decode(errors="surrogateescape") for payload in payloads]
    return {"Records": [message(f"m{n}", body) for n, body in enumerate(bodies)]}


def kinesis_event(*payloads: bytes) -> Any:  # noqa: ANN401  # as JSON
    """Return an event with records of a shard."""
    return {"Records": [kinesis_record(str(n), data) for n, data in enumerate(payloads, 1)]}


def dynamodb_event(value: object) -> Any:  # noqa: ANN401  # as JSON
    """Return an event of two changes, of which one has the value."""
    records = [dynamodb_record("1"), dynamodb_record("2")]
    records[0]["dynamodb"]["NewImage"] = {"x": {"L": value}}
    return {"Records": records}


def peak_mb(folder: Path, script: str, *inputs: object) -> float:
    """Run a program on each input, and return its peak memory.

    Args:
        folder: where it runs.
        script: the program.
        inputs: bytes as they are, and all else as JSON.
    """
    paths = []
    for number, content in enumerate(inputs):
        paths.append(folder / f"{number}.in")
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        paths[-1].write_bytes(raw)
    ran = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", PREPARE + script, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=folder,
        env=environment(folder),
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    return int(ran.stdout.splitlines()[-1]) / MB


@pytest.mark.parametrize("make_event", [sqs_event, kinesis_event])
@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_a_function_survives_every_payload(
    tmp_path: Path, name: str, make_event: Callable[..., Any]
) -> None:
    """The records beside it, too: nothing is reported as failed."""
    make = {**GOOD, **BAD}[name]
    size_bytes = MAX_MESSAGE_BYTES if make_event is sqs_event else MAX_PAYLOAD_BYTES
    alone = make_event(make(size_bytes), b"{}")
    several = make_event(*[make(size_bytes // 5) for _ in range(5)])
    assert peak_mb(tmp_path, HANDLE, alone, several) < FUNCTION_MB


@pytest.mark.parametrize("make_event", [dynamodb_event, lambda value: {"x": value}])
@pytest.mark.parametrize("name", VALUES)
def test_a_function_survives_values_that_the_runtime_has_built(
    tmp_path: Path, name: str, make_event: Callable[[object], Any]
) -> None:
    """What they take is taken already; writing them must not take as much again."""
    assert peak_mb(tmp_path, HANDLE, make_event(VALUES[name])) < FUNCTION_MB


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_a_program_survives_every_record(tmp_path: Path, name: str) -> None:
    """The library has no event beside the record, but the same budget."""
    record = {**GOOD, **BAD}[name](MAX_PAYLOAD_BYTES)
    assert peak_mb(tmp_path, SUBMIT, record) < FUNCTION_MB


def run(folder: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> float:
    """Run a command in a process of its own, and return its peak memory in MB."""
    ran = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", PREPARE + RUN, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=100,
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    assert ran.returncode in codes, ran.stderr[-2_000:]
    *messages, peak = ran.stderr.splitlines()
    assert max(map(len, messages), default=0) < MAX_MESSAGE_CHARACTERS
    return int(peak) / MB


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_command_line_survives_every_record(tmp_path: Path, name: str) -> None:
    """It writes, verifies, lists, reads, replays and describes them."""
    source, out = tmp_path / "in.ndjson", f"file://{tmp_path}/out"
    source.write_bytes({**GOOD, **BAD}[name](MAX_PAYLOAD_BYTES) + b'\n{"x":1}\n')
    written = run(tmp_path, "write", str(source), out, "--partition-by", "x={field:x}")
    assert written < WRITE_MB
    found = {
        "verify": run(tmp_path, "verify", out),
        "cat": run(tmp_path, "cat", out),
        "ls": run(tmp_path, "ls", out),
        "replay": run(tmp_path, "replay", out, codes=(0, 1)),
        "plan": run(
            tmp_path, "plan", "--sample", str(source), "--records-per-s", "1", codes=(0, 2)
        ),
        "ddl": run(tmp_path, "ddl", out, "--engine=duckdb", "--sample", str(source)),
    }
    assert max(found.values()) < VERIFY_MB, found


@pytest.mark.parametrize("name", ["objects", "keys", "nested to the limit and wide"])
def test_records_as_large_as_a_batch_are_written_and_verified(tmp_path: Path, name: str) -> None:
    """The largest that the default settings allow, and that `verify` checks: 16 MiB."""
    source, out = tmp_path / "in.ndjson", f"file://{tmp_path}/out"
    source.write_bytes(GOOD[name](60 * MB) + b"\n" + GOOD[name](15 * MB) + b"\n")
    assert run(tmp_path, "write", str(source), out, "--partition-by", "x={field:x}") < WRITE_MB
    assert run(tmp_path, "verify", out) < VERIFY_MB
