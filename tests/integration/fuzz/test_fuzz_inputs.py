"""Inputs of the command line: any bytes, packed, damaged or neither; files that are no files."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.cli import main
from batcher.cli.inputs.input import ZSTD_STEP_BYTES
from batcher.cli.inputs.lines import BLOCK_LINES, InputError, LineBlock, LineReader
from batcher.encoding.decoder import GZIP_MAGIC, ZSTD_MAGIC
from support.fuzz_strategies import files

FLAGS, KNOWN_FLAGS = 3, 0b11111
"""Where a gzip header has its flags, and which there are. Source: RFC 1952, 2.3.1."""


def read_input(path: str, max_line_bytes: int = 2**30) -> tuple[list[LineBlock], str]:
    """Read a file as `batcher write` does; give its blocks, and what stopped it, if anything."""

    async def read() -> tuple[list[LineBlock], str]:
        blocks: list[LineBlock] = []
        try:
            async for block in LineReader([path], max_line_bytes):
                blocks.append(block)  # noqa: PERF401  # what came before an error counts
        except InputError as error:
            return blocks, str(error)
        return blocks, ""

    return asyncio.run(read())


def unpacked(data: bytes) -> tuple[bytes, bool]:
    """Return a file's text as the standard library reads it, and whether that is all of it."""
    if not data.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
        return data, True
    text = b""
    is_gzip = data.startswith(GZIP_MAGIC)
    while data:
        if is_gzip and len(data) > FLAGS:  # zlib refuses reserved flags, which ISA-L passes over
            data = data[:FLAGS] + bytes([data[FLAGS] & KNOWN_FLAGS]) + data[FLAGS + 1 :]
        member: Any = zlib.decompressobj(31) if is_gzip else zstd.ZstdDecompressor()
        try:
            for start in range(len(data)):  # byte by byte: all there is before the damage
                text += member.decompress(data[start : start + 1])
                if member.eof:
                    break
        except (zlib.error, zstd.ZstdError):
            return text, False
        if not member.eof:
            return text, False
        data = member.unused_data + data[start + 1 :]
        data = data.lstrip(b"\0") if is_gzip else data
    return text, True


def beyond(line: int) -> str:
    """Return how an error names the line up to which an input was read."""
    return f" beyond line {line}" if line > 1 else ""


def check_input(data: bytes, path: str, max_line_bytes: int) -> None:
    """A file is read to its end, or to its damage: every line once, in order, with its number."""
    Path(path).write_bytes(data)
    blocks, why = read_input(path, max_line_bytes)
    expected, is_whole = unpacked(data)
    if why:
        last = blocks[-1].first_line + blocks[-1].lines if blocks else 1
        assert why.startswith(f"{path}: cannot be read{beyond(last)}: ")
        assert not is_whole
    lines = expected.split(b"\n")
    ends_whole = is_whole and not why
    wanted = lines if ends_whole and lines[-1] else lines[:-1]
    number = 1
    for block in blocks:
        assert block.first_line == number
        assert block.text.endswith(b"\n")
        assert block.lines == block.text.count(b"\n") <= BLOCK_LINES
        found = block.text[:-1].split(b"\n")
        if block.oversized_line_bytes:
            assert block.lines == 1
            assert block.oversized_line_bytes == len(wanted[number - 1]) > max_line_bytes
            assert wanted[number - 1].startswith(found[0])
        else:
            assert found == wanted[number - 1 : number - 1 + block.lines]
        number += block.lines
    if ends_whole:
        assert number - 1 == len(wanted)
    else:
        given = sum(block.oversized_line_bytes or len(block.text) for block in blocks)
        assert given + ZSTD_STEP_BYTES + max(map(len, lines)) >= len(expected)


@given(files(), st.sampled_from([3, 100, 1_000, 2**30]))
@settings(max_examples=200)
def test_every_line_before_the_end_or_the_damage_is_read_once(
    data: bytes, max_line_bytes: int
) -> None:
    """With its number; and the error names the file, and the line that could not be read."""
    with tempfile.TemporaryDirectory() as folder:
        check_input(data, f"{folder}/events", max_line_bytes)


def landed(folder: Path) -> list[bytes]:
    """Return the lines of all objects of data."""
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
    assert f"{source}: cannot be read{beyond(len(got) + 1)}: " in printed.err
    assert json.loads(printed.out)["records"] == len(got)
    if packing == "gzip":
        assert sum(map(len, got)) > share * 0.9 * len(TEXT) - ZSTD_STEP_BYTES
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


def test_a_folder_without_files_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["write", str(tmp_path), f"file://{tmp_path / 'out'}"]) == 2
    assert f"{tmp_path}: there are no files in it" in capsys.readouterr().err


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
