"""Objects of S3 as inputs of `batcher write`."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd

from batcher.cli import main
from support.output_schema import parse_output

if TYPE_CHECKING:
    from support.s3_servers import Moto

PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd.compress}
KEYS = ["logs/2026-01/x.gz", "logs/2026-02/x.gz", "logs/2026-02/y.zst", "logs/z", "other"]


class Source:
    """A bucket with objects of one record each, and a folder to write to."""

    def __init__(self, client: Any, bucket: str, out: Path, engine: str) -> None:  # noqa: ANN401
        self.client = client
        self.bucket = bucket
        self.out = out
        self.engine = engine
        client.create_bucket(Bucket=bucket)
        for number, key in enumerate(KEYS):
            self.put(key, b"%d\n" % number)

    def put(self, key: str, text: bytes, **attributes: str) -> None:
        """Put an object, compressed as its key says."""
        pack = PACKERS.get(Path(key).suffix, bytes)
        self.client.put_object(Bucket=self.bucket, Key=key, Body=pack(text), **attributes)

    def url(self, key: str) -> str:
        """Return the URL of a key, a prefix or a pattern."""
        return f"s3://{self.bucket}/{key}"

    def write(self, *words: str, destination: str = "") -> int:
        """Write inputs and return the exit code. Those that are no options are keys."""
        inputs = [word if word.startswith(("-", "s3://")) else self.url(word) for word in words]
        destination = destination or f"file://{self.out}"
        return main(["write", *inputs, destination, "--json", "--engine", self.engine])

    def numbers(self) -> list[int]:
        """Return the records of all data objects in the order of writing, and remove those."""
        found: list[int] = []
        for path in sorted(self.out.rglob("*.gz"), key=lambda path: path.name):
            if not {".meta", "_quarantine"} & set(path.parts):
                found += map(int, gzip.decompress(path.read_bytes()).split())
                path.unlink()
        return found


@pytest.fixture
def source(
    moto: Moto, bucket: str, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> Source:
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    return Source(moto.client, bucket, tmp_path / "out", engine)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["logs/2026-02/x.gz"], [1]),
        (["logs/2026-02/"], [1, 2]),
        (["logs/"], [0, 1, 2, 3]),
        ([""], [0, 1, 2, 3, 4]),
        (["other", "logs/2026-*/x.gz"], [4, 0, 1]),
        (["**/*.gz"], [0, 1]),
        (["logs/2026-0[!1]*"], [1, 2]),
        (["l*/z"], [3]),
    ],
)
def test_objects_prefixes_and_patterns_are_read_in_the_order_of_their_keys(
    source: Source, words: list[str], expected: list[int]
) -> None:
    """Each by its content, plain or compressed."""
    assert source.write(*words) == 0
    assert source.numbers() == expected


def test_a_bucket_alone_stands_for_all_its_objects(source: Source) -> None:
    assert source.write(f"s3://{source.bucket}") == 0
    assert source.numbers() == [0, 1, 2, 3, 4]


def test_the_engine_does_not_decompress_what_is_read(source: Source) -> None:
    """Also if the object says that clients should: it is decompressed by its content, once."""
    source.put("encoded.gz", b"7\n", ContentEncoding="gzip")
    source.put("named", b"8\n", ContentEncoding="gzip")
    assert source.write("encoded.gz", "named") == 0
    assert source.numbers() == [7, 8]


def test_names_that_are_hidden_markers_and_names_with_the_characters_of_a_pattern(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    source.put("logs/_SUCCESS", b"")
    source.put("logs/_quarantine/a", b"9\n")
    source.put("logs/_quarantine/b", b"9\n")
    source.put("logs/empty/", b"")
    source.put("odd/*", b"6\n")
    source.put("odd/x", b"7\n")
    assert source.write("logs/") == 0
    printed = capsys.readouterr()
    assert parse_output("write", printed.out)["skipped"] == 2
    expected = f"{source.url('logs/')}: 2 names that start with '.' or '_'"
    assert printed.err == f"batcher: warning: not read: {expected}\n"
    assert source.numbers() == [0, 1, 2, 3]
    assert source.write("odd/*", "logs/_quarantine/b*") == 0
    assert source.numbers() == [6, 9]


def test_what_cannot_be_read_does_not_stop_the_others(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each error names the input and what to do."""
    source.put("cold", b"8\n", StorageClass="GLACIER")
    source.client.put_object(Bucket=source.bucket, Key="cut.gz", Body=gzip.compress(b"5\n6\n")[:-4])
    gone = f"s3://{source.bucket}-gone"
    assert source.write("none", "cold", "cut.gz", f"{gone}/", f"{gone}/x", "other") == 1
    assert source.numbers() == [5, 6, 4]
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    for line, (start, end) in zip(
        errors,
        [
            (f"{gone}/: cannot be listed: ", "create it, or correct `bucket`"),
            (f"{source.url('none')}: cannot be read: ", "end it with a slash for all objects"),
            (f"{source.url('cold')}: cannot be read: ", "the object is archived; restore it"),
            (f"{source.url('cut.gz')}: cannot be read beyond line 3: ", "ends within member 1"),
            (f"{gone}/x: cannot be read: ", "create it, or correct `bucket`"),
        ],
        strict=True,
    ):
        assert start in line
        assert end in line


def test_damage_in_the_middle_of_an_object_costs_no_line_before_it(source: Source) -> None:
    """The object is read a second time, up to the byte that is damaged."""
    lines = [b"%d\n" % number for number in range(200_000)]
    packed = gzip.compress(b"".join(lines[:100_000])) + b"no member"
    source.client.put_object(Bucket=source.bucket, Key="bad.gz", Body=packed)
    assert source.write("bad.gz") == 1
    assert source.numbers() == list(range(100_000))


@pytest.mark.parametrize("word", ["none/", "*.parquet", "s3://", "logs/"])
def test_an_input_without_an_object_is_wrong_usage(
    source: Source, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    """So is the destination."""
    assert source.write(word, destination=source.url("logs")) == 2
    (fault,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  - ")]
    name = word if word == "s3://" else source.url(word)
    assert fault.startswith(f"  - input {name}: ")


def test_objects_of_the_destination_are_not_read_again(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither those of this run nor those of an earlier one."""
    for _ in range(3):
        assert source.write("logs/", destination=source.url("logs/out")) == 0
        printed = capsys.readouterr()
        assert parse_output("write", printed.out)["records"] == 4
    assert "not read: " in printed.err
    assert "2 objects of the destination" in printed.err
    assert source.write("logs/", destination=source.url("log")) == 0


def test_a_run_continues_within_a_prefix(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the URLs as they are printed."""
    source.put("logs/2026-02/x.gz", b"5\n6\n7\n")
    skip_to = "--skip-to", f"{source.url('logs/2026-02/x.gz')}:2"
    assert main(["write", source.url("logs/"), f"file://{source.out}", *skip_to]) == 0
    assert source.numbers() == [6, 7, 2, 3]
    skip_to = "--skip-to", f"{source.url('logs/2026-02/y')}:2"
    assert main(["write", source.url("logs/"), f"file://{source.out}", *skip_to]) == 2
    assert f"did you mean {source.url('logs/2026-02/y.zst')}?" in capsys.readouterr().err


def test_more_objects_than_are_read_ahead(source: Source) -> None:
    """The shortest objects: a line without an end, or nothing."""
    for number in range(40):
        source.put(f"many/{number:04}", b"%d" % number if number % 4 else b"")
    assert source.write("many/") == 0
    assert source.numbers() == [number for number in range(40) if number % 4]


def test_a_prefix_of_objects_that_looks_like_a_pattern_is_none(source: Source) -> None:
    """As the name of a folder. Without such objects it is a pattern."""
    source.put("data1/x", b"7\n")
    assert source.write("data[1]/") == 0
    assert source.numbers() == [7]
    source.put("data[1]/_hidden", b"9\n")
    source.put("data[1]/x/y", b"8\n")
    assert source.write("data[1]/") == 0
    assert source.numbers() == [8]
    assert source.write("data[1]/*/y") == 2


def test_why_an_input_cannot_be_listed_is_shown_if_the_run_should_continue_in_it(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = f"s3://{source.bucket}-gone/"
    assert source.write(gone, "other", "--skip-to", f"{gone}x:1") == 2
    faults = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  - ")]
    assert faults[0].startswith("  - --skip-to: ")
    assert faults[1].startswith(f"  - {gone}: cannot be listed: ")
    assert source.write(gone) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"batcher: error: {gone}: cannot be listed: ")
