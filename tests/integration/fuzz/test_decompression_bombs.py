"""Bombs: a small file that unpacks to a thousandfold and more; memory is bounded all the same."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import pytest
from backports import zstd

from batcher.cli.inputs.lines import BLOCK_LINES, READ_AHEAD_BYTES
from batcher.tools.verify.inspection import MAX_LINE_BYTES
from support.planted_objects import KEY, plant

MIB = 1024**2
BUDGET_BYTES, MAX_BYTES = 8 * MIB, MIB
INTERPRETER_BYTES = 48 * MIB
"""Python, batcher and its libraries, with nothing to do: 28 MiB are measured, 40 after work."""
BLOCK_OBJECTS_BYTES = BLOCK_LINES * 3 * 1024
"""The records of one block, if all are bad: 2.8 KB each, with what is said of them."""
ENCODER_BYTES = 2 * 4 * MIB
"""Text that is being encoded is held twice: 4 MiB a stream, data and quarantine."""
LINE_BYTES = 3 * MAX_BYTES
"""The longest line: as it is read, ahead, and as a record."""
FIXED_BYTES = (
    INTERPRETER_BYTES + BLOCK_OBJECTS_BYTES + READ_AHEAD_BYTES + ENCODER_BYTES + LINE_BYTES
)
"""What `batcher write` needs beside its budget, however long and however bad the input is."""
WINDOW_BYTES = 128 * MIB
"""How far back a zstd frame may look at most, as `zstd --long` makes them; no budget holds it."""
RUN = """
import sys
from batcher.cli import main

code = main()
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
sys.exit(code)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]


def gzipped(piece: bytes, times: int) -> Iterator[bytes]:
    """Return `piece` again and again, a gzip member each."""
    return repeat(gzip.compress(piece, mtime=0), times)


def zstandard(piece: bytes, times: int, window_log: int = 20) -> Iterator[bytes]:
    """Return `piece` again and again, in one zstd frame."""
    pack = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
    for _ in range(times):
        yield pack.compress(piece)
    yield pack.flush()


def measured(*arguments: str) -> tuple[int, dict[str, float]]:
    """Run a command with `--json` in a process of its own; give its peak memory, and what it tells.

    It reads its own VmHWM: what the system tells of a child counts the parent it was forked from.
    """
    command = [sys.executable, "-c", RUN, *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    told, peak_kib = done.stdout.splitlines()
    return int(peak_kib) * 1024, json.loads(told)


def peak_bytes(source: Path, out: Path) -> tuple[int, dict[str, float]]:
    """Write a file; give the peak memory of that, and what it tells."""
    flags = [f"--budget-bytes={BUDGET_BYTES}", f"--max-bytes={MAX_BYTES}"]
    return measured("write", str(source), f"file://{out}", *flags)


@pytest.mark.parametrize("pack", [gzipped, zstandard])
def test_a_gibibyte_without_a_newline_is_one_bad_record(
    tmp_path: Path, pack: Callable[[bytes, int], Iterator[bytes]]
) -> None:
    """A thousandfold in gzip, thirty thousandfold in zstd: its start is kept, its size told."""
    bomb = tmp_path / "bomb"
    bomb.write_bytes(b"".join(pack(bytes(MIB), 1_024)))
    assert bomb.stat().st_size < 2 * MIB
    peak, told = peak_bytes(bomb, tmp_path / "out")
    assert (told["records"], told["quarantined"], told["failed"]) == (0, 1, 0)
    assert peak < BUDGET_BYTES + FIXED_BYTES


@pytest.mark.parametrize("pack", [gzipped, zstandard])
def test_millions_of_the_shortest_records_are_written(
    tmp_path: Path, pack: Callable[[bytes, int], Iterator[bytes]]
) -> None:
    """Half a million in each MiB; as objects they would take a hundred times that."""
    bomb = tmp_path / "bomb"
    bomb.write_bytes(b"".join(pack(b"0\n" * (MIB // 2), 8)))
    peak, told = peak_bytes(bomb, tmp_path / "out")
    assert (told["records"], told["quarantined"]) == (4 * MIB, 0)
    assert peak < BUDGET_BYTES + FIXED_BYTES


def test_many_bad_lines_are_quarantined_within_bounds(tmp_path: Path) -> None:
    """2 MiB of newlines, 2 KB in gzip, took 5.8 GB when they were bad lines."""
    bomb = tmp_path / "bomb"
    bomb.write_bytes(b"".join(gzipped(b"x\n" * (MIB // 8), 1)))
    peak, told = peak_bytes(bomb, tmp_path / "out")
    assert (told["records"], told["quarantined"]) == (0, MIB // 8)
    assert peak < BUDGET_BYTES + FIXED_BYTES


def test_a_zstd_frame_that_looks_far_back_takes_its_window_and_no_more(tmp_path: Path) -> None:
    """128 MiB is what `zstd --long` asks for and readers allow."""
    bomb = tmp_path / "bomb"
    bomb.write_bytes(b"".join(zstandard(bytes(MIB), 256, window_log=27)))
    peak, told = peak_bytes(bomb, tmp_path / "out")
    assert told["quarantined"] == 1
    assert peak < BUDGET_BYTES + FIXED_BYTES + WINDOW_BYTES


def test_a_bomb_is_read_to_its_end_in_little_memory(tmp_path: Path) -> None:
    """One line of 300 MB from 300 KB: too long to be judged, and nothing else is known of it."""
    member = gzip.compress(b"x" * 50 * MIB, mtime=0)
    text_bytes = 6 * 50 * MIB + 1
    body = member * 6 + gzip.compress(b"\n", mtime=0)
    plant(tmp_path, KEY, body, {"batcher-bytes": str(text_bytes), "batcher-records": "1"})
    peak, told = measured("verify", f"file://{tmp_path}")
    assert (told["unchecked_lines"], told["text_bytes"]) == (1, text_bytes)
    assert peak < INTERPRETER_BYTES + MAX_LINE_BYTES
