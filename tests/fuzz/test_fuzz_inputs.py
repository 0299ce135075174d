"""Inputs of the command line: any bytes, packed, damaged or neither; files that are no files."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.cli import main
from batcher.cli.input import STEP_BYTES
from batcher.cli.reader import BLOCK_LINES
from fuzz.strategies import files
from fuzz.targets import check_input, read_input


@given(files(), st.sampled_from([3, 100, 1_000, 2**30]))
@settings(max_examples=200)
def test_every_line_before_the_end_or_the_damage_is_read_once(
    data: bytes, max_line_bytes: int
) -> None:
    """With its number; and the error names the file, and the line that could not be read."""
    with tempfile.TemporaryDirectory() as folder:
        check_input(data, f"{folder}/events", max_line_bytes)


def landed(folder: Path) -> list[bytes]:
    """Give the lines of all objects of data."""
    files = [p for p in folder.rglob("*.ndjson.gz") if not {".meta", "_quarantine"} & set(p.parts)]
    return [line for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]


LINES = [json.dumps({"n": n, "x": "x" * (n % 40)}).encode() for n in range(20_000)]
TEXT = b"".join(line + b"\n" for line in LINES)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_lines_before_the_damage_are_durable(
    tmp_path: Path, packing: str, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """A read of 1 MiB that met the damage was dropped whole, and with it every small file."""
    whole = gzip.compress(TEXT, mtime=0) if packing == "gzip" else zstd.compress(TEXT)
    source = tmp_path / "events"
    source.write_bytes(whole[: int(len(whole) * share)])
    out = tmp_path / "out"
    assert main(["write", str(source), f"file://{out}", "--json"]) == 1
    got = landed(out)
    assert got == LINES[: len(got)]
    printed = capsys.readouterr()
    assert f"{source}: cannot be read beyond line {len(got) + 1}: " in printed.err
    assert json.loads(printed.out)["records"] == len(got)
    if packing == "gzip":
        assert sum(map(len, got)) > share * 0.9 * len(TEXT) - STEP_BYTES
    elif share > 0.1:
        assert got


def test_a_block_never_has_too_many_lines(tmp_path: Path) -> None:
    """A line of one byte costs a hundred as an object, and thousands where it is bad."""
    source = tmp_path / "events"
    for text in (
        b"\n" * 100_000,
        b"\n" * 50_000 + b"x" * 2_000_000,
        b"x" * 900_000 + b"\n" * 9_000,
    ):
        source.write_bytes(text)
        blocks, why = read_input(str(source))
        assert not why
        assert max(block.lines for block in blocks) <= BLOCK_LINES
        assert b"".join(block.text for block in blocks).rstrip(b"\n") == text.rstrip(b"\n")


def test_nothing_is_read_of_the_null_device(tmp_path: Path) -> None:
    assert main(["write", os.devnull, f"file://{tmp_path / 'out'}"]) == 0
    assert not (tmp_path / "out").exists()


def test_a_folder_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write", str(tmp_path), f"file://{tmp_path / 'out'}"]) == 2
    assert f"{tmp_path}: Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\nb", "a b", "\u00fc%41", "~", "x:1", " ", "-x"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Its good lines are written, and its bad ones named by it."""
    source = tmp_path / name
    source.write_bytes(b'{"a":1}\nbad\n')
    out = tmp_path / "out"
    assert main(["write", str(source), f"file://{out}"]) == 0
    assert landed(out) == [b'{"a":1}']
    (aside,) = (out / "_quarantine").rglob("*.gz")
    assert json.loads(gzip.decompress(aside.read_bytes()))["position"] == f"{source}:2"
