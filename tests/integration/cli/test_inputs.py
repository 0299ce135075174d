"""First bytes of inputs: byte order marks are skipped, formats other than JSON are rejected."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from batcher.cli import main
from batcher.cli.inputs.input import TEXT_BLOCK_BYTES
from batcher.cli.inputs.lines import LineReader

TEXT = '{"a":1}\r\n{"b":2}\r\n'
WRITTEN = '{"a":1}\n{"b":2}\n'
MARK = b"\xef\xbb\xbf"


def landed(folder: Path) -> list[str]:
    """Return the texts of all objects."""
    return [gzip.decompress(path.read_bytes()).decode() for path in sorted(folder.rglob("*.gz"))]


def skipped_first(data: bytes) -> bytes:
    """Compress as pzstd does: a frame to be skipped, and then the one of data."""
    return b"\x5e\x2a\x4d\x18\x04\x00\x00\x00size" + zstd.compress(data)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress, skipped_first])
def test_a_mark_at_the_start_of_a_file_costs_no_record(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """As Windows writes it: of each file, and of none but its start."""
    names = []
    for number in range(2):
        file = tmp_path / f"{number}"
        file.write_bytes(pack(MARK + TEXT.encode()))
        names.append(str(file))
    out = tmp_path / "out"
    assert main(["write", *names, f"file://{out}"]) == 0
    assert landed(out) == [2 * WRITTEN]


@pytest.mark.parametrize(
    ("text", "records", "quarantined"),
    [
        (b"", 0, 0),
        (b"1", 1, 0),
        (b"12\n", 1, 0),
        (MARK, 0, 0),
        (MARK[:2], 0, 1),
        (MARK[:2] + b"1", 0, 1),
        (MARK + b"1", 1, 0),
    ],
)
def test_the_shortest_inputs_are_read_to_their_end(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: bytes,
    records: int,
    quarantined: int,
) -> None:
    """None has four bytes to be judged by."""
    (tmp_path / "in").write_bytes(text)
    code = main(["write", f"{tmp_path}/in", f"file://{tmp_path}/out", "--json"])
    assert code == (1 if quarantined else 0)
    document = json.loads(capsys.readouterr().out)
    assert (document["records"], document["quarantined"]) == (records, quarantined)


def test_a_mark_within_a_file_is_a_bad_line(tmp_path: Path) -> None:
    """Nobody but a start is allowed one."""
    (tmp_path / "in").write_bytes(TEXT.encode() + MARK + b"3\n")
    assert main(["write", f"{tmp_path}/in", f"file://{tmp_path}/out"]) == 0
    assert WRITTEN in landed(tmp_path / "out")
    assert any('"reason":"not_json"' in body for body in landed(tmp_path / "out"))


FOREIGN = [
    (lzma.compress(TEXT.encode()), "xz -dc {}"),
    (bz2.compress(TEXT.encode()), "bzip2 -dc {}"),
    (TEXT.encode("utf-16"), "iconv -f UTF-16 -t UTF-8 {}"),
    (b"\xfe\xff" + TEXT.encode("utf-16-be"), "iconv -f UTF-16 -t UTF-8 {}"),
    (gzip.compress(TEXT.encode("utf-16"), mtime=0), "gzip -dc {} | iconv -f UTF-16 -t UTF-8"),
]


@pytest.mark.parametrize(("body", "command"), FOREIGN)
def test_an_input_that_is_no_json_is_refused_in_one_line_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes, command: str
) -> None:
    """In place of thousands of bad lines; what came before it is written."""
    good, file = tmp_path / "good", tmp_path / "my file"
    good.write_text(TEXT)
    file.write_bytes(body)
    out = tmp_path / "out"
    assert main(["write", str(good), str(file), f"file://{out}"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert f"error: {file}: cannot be read: it is " in line
    assert f"{command.format(shlex.quote(str(file)))} | batcher write - " in line
    assert landed(out) == [WRITTEN]


@pytest.mark.parametrize("body", [MARK + b"one\n", b"BZh9 is text\n", "ö\n".encode("utf-16")])
def test_lines_are_taken_as_they_are(tmp_path: Path, body: bytes) -> None:
    """Whatever they start with."""
    (tmp_path / "in").write_bytes(body)
    out = tmp_path / "out"
    flags = ["--format", "lines", "--compression", "none"]
    assert main(["write", f"{tmp_path}/in", f"file://{out}", *flags]) == 0
    (file,) = (path for path in out.rglob("*.txt") if "_quarantine" not in path.parts)
    assert file.read_bytes() == body.removesuffix(b"\n") + b"\n"


def test_a_sample_with_a_mark_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its first record may be the only one."""
    (tmp_path / "in").write_bytes(MARK + b'{"user":1}\n')
    flags = ["--engine", "spark", "--sample", f"{tmp_path}/in"]
    assert main(["ddl", "s3://bucket/root", *flags]) == 0
    assert "user" in capsys.readouterr().out


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_all_lines_before_damage_are_written(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    text = b"".join(b'"%061d"\n' % number for number in range(1_034))
    file = tmp_path / "in"
    file.write_bytes(pack(text) + b"no member")
    out = tmp_path / "out"
    assert main(["write", str(file), f"file://{out}"]) == 1
    assert "".join(landed(out)).encode() == text


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
async def test_bytes_of_input_are_counted_no_sooner_than_their_last_line_is_yielded(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """Each once: what a program has written of them is durable."""
    lines = [b'{"n":%d,"x":"%x"}\n' % (n, hash((n, "x")) % 2**64) for n in range(200_000)]
    names, sizes = [], []
    for number in range(2):
        body = pack(b"".join(lines))
        (tmp_path / f"{number}").write_bytes(body)
        names.append(f"{tmp_path}/{number}")
        sizes.append(len(body))
    reader = LineReader(names, 1_000_000)
    counted = text_bytes = 0
    async for block in reader:
        counted += block.stored_bytes
        text_bytes += len(block.text)
        assert counted <= reader.read_bytes
        assert pack is not bytes or counted <= text_bytes
    assert reader.read_bytes == sum(sizes)
    assert sum(sizes) - TEXT_BLOCK_BYTES <= counted <= sum(sizes)
    assert counted > sizes[0] - TEXT_BLOCK_BYTES
