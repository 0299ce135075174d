"""`batcher write`: what it leaves in the folder, what it prints, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from backports import zstd

from batcher.cli import main
from batcher.stores.retrying import Backoff
from support.output_schema import parse_output

LINES = [json.dumps({"id": number, "text": "x" * (number % 50)}) for number in range(2_000)]
TEXT = "".join(f"{line}\n" for line in LINES)


def data_files(folder: Path) -> list[Path]:
    """Return the data objects, without metadata files and quarantine."""
    files = (path for path in folder.rglob("*") if path.is_file())
    data = (p for p in files if not {".meta", "_quarantine"} & set(p.relative_to(folder).parts))
    return sorted(data, key=lambda path: path.name)


def landed(folder: Path) -> list[str]:
    """Return the lines of all objects."""
    return [
        line
        for path in data_files(folder)
        for line in gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]
    ]


def quarantined(folder: Path) -> list[dict[str, object]]:
    """Return the lines of all quarantine objects."""
    files = sorted((folder / "_quarantine").rglob("*.gz"))
    return [
        json.loads(line)
        for path in files
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_text(TEXT)
    return path


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BATCHER_")]:
        monkeypatch.delenv(name)


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Return the JSON line that was printed."""
    return dict(parse_output("write", capsys.readouterr().out))


def test_every_line_of_a_file_lands_in_order(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["write", str(source), f"file://{out}", "--json"]) == 0
    assert landed(out) == LINES
    document = summary(capsys)
    assert {name: document[name] for name in ("records", "objects", "quarantined", "failed")} == {
        "records": 2_000,
        "objects": 1,
        "quarantined": 0,
        "failed": 0,
    }
    assert document["bytes_in"] == len(TEXT)
    assert document["bytes_out"] == data_files(out)[0].stat().st_size
    assert "seconds" in document


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
def test_input_is_unpacked_by_what_it_holds_not_by_its_name(tmp_path: Path, packing: str) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {
        "plain": bytes,
        "gzip": gzip.compress,
        "zstd": zstd.compress,
    }
    pack = packers[packing]
    first, second = TEXT[:30_000], TEXT[30_000:]
    source = tmp_path / "events.data"
    source.write_bytes(pack(first.encode()) + pack(second.encode()))  # two members
    assert main(["write", str(source), f"file://{tmp_path / 'out'}"]) == 0
    assert landed(tmp_path / "out") == LINES


def test_a_last_line_without_newline_is_a_line(tmp_path: Path) -> None:
    source = tmp_path / "events"
    source.write_text('{"a":1}\n{"b":2}')
    assert main(["write", str(source), f"file://{tmp_path / 'out'}"]) == 0
    assert landed(tmp_path / "out") == ['{"a":1}', '{"b":2}']


def test_bad_lines_are_quarantined_with_file_and_line_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text('{"a":1}\nnot json\n{"b":2}\n')
    two.write_text('\n{"c":3}\n')
    out = tmp_path / "out"
    assert main(["write", str(one), str(two), f"file://{out}", "--json"]) == 0
    assert landed(out) == ['{"a":1}', '{"b":2}', '{"c":3}']
    assert [(line["position"], line["reason"], line["payload"]) for line in quarantined(out)] == [
        (f"{one}:2", "not_json", "not json"),
    ]
    printed = capsys.readouterr()
    document = parse_output("write", printed.out)
    assert (document["quarantined"], document["blank"]) == (1, 1)
    assert f"{one}:2: not_json" in printed.err


def test_a_line_too_long_to_be_held_is_quarantined_and_its_neighbours_are_written(
    tmp_path: Path,
) -> None:
    source = tmp_path / "events"
    source.write_text('{"a":1}\n"' + "x" * 3_000_000 + '"\n{"b":2}\n')
    out = tmp_path / "out"
    assert main(["write", str(source), f"file://{out}", "--max-bytes", "1MiB"]) == 0
    assert landed(out) == ['{"a":1}', '{"b":2}']
    (line,) = quarantined(out)
    assert (line["position"], line["reason"]) == (f"{source}:2", "too_large")
    assert "3000002 bytes" in str(line["detail"])


def test_refused_lines_make_the_command_fail_and_the_others_are_written(tmp_path: Path) -> None:
    source = tmp_path / "events"
    source.write_text('{"a":1}\nnot json\n')
    out = tmp_path / "out"
    assert main(["write", str(source), f"file://{out}", "--on-bad-record", "fail"]) == 1
    assert landed(out) == ['{"a":1}']
    assert not (out / "_quarantine").exists()


def test_an_input_that_ends_early_is_told_and_what_came_before_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "events.gz"
    whole = gzip.compress(TEXT.encode(), mtime=0)
    source.write_bytes(whole[: len(whole) // 2])
    assert main(["write", str(source), f"file://{tmp_path / 'out'}"]) == 1
    assert f"{source}: cannot be read beyond line" in capsys.readouterr().err
    got = landed(tmp_path / "out")
    assert got == LINES[: len(got)]


def test_flags_beat_the_environment_and_the_destination_beats_both(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHER_COMPRESSION", "zstd")
    monkeypatch.setenv("BATCHER_BUCKET", "elsewhere")
    monkeypatch.setenv("BATCHER_FANOUT", "1")
    out = tmp_path / "out"
    flags = ["--compression", "none", "--partition-by", "", "--max-records", "500"]
    assert main(["write", str(source), f"file://{out}", *flags]) == 0
    files = data_files(out)
    assert [path.parent for path in files] == [out] * 4
    assert [line for path in files for line in path.read_text().splitlines()] == LINES


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{source}", "s4://bucket"], "write s3://bucket/root, or the path of a folder"),
        (["{source}", "s3://bucket", "--fanout", "3"], "fanout: 3 is not a power of two"),
        (["{source}", "{source}"], ".ndjson is a file; choose a folder"),
        (["{source}.gone", "s3://bucket"], "No such file"),
        (["{source}", "s3://bucket", "--max-bytes", "much"], "is not a size"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_written(
    source: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["write", *(word.format(source=source) for word in arguments)]) == 2
    assert expected in capsys.readouterr().err


def test_a_path_is_a_folder_whose_absolute_form_is_shown(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has forgotten `s3://` sees where the objects are, when writing and when reading."""
    monkeypatch.chdir(tmp_path)
    assert main(["write", str(source), "my-bucket/a b"]) == 0
    folder = f"{tmp_path}/my-bucket/a b"
    assert f"under the local folder {folder}; " in capsys.readouterr().err
    assert landed(tmp_path / "my-bucket" / "a b")
    assert main(["ls", "my-bucket/a b"]) == 0
    assert main(["ls", "my-bucket/c"]) == 2
    assert f"{tmp_path}/my-bucket/c: no such folder" in capsys.readouterr().err


def test_a_dry_run_writes_nothing_and_shows_the_plan(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["write", str(source), f"file://{out}", "--dry-run", "--max-records", "500"]) == 0
    assert not out.exists()
    printed = capsys.readouterr().out
    assert "max_records          500" in printed
    assert "deadline_margin_s" not in printed
    assert "max_bytes            64MiB" in printed
    assert printed.splitlines()[-1].startswith("dry run: would write 4 objects, ")
    assert printed.count(".ndjson.gz") == 4


def test_only_the_lines_that_are_not_durable_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of the other partition are durable, and a blank line and a bad one are neither."""
    source, folder = tmp_path / "in.ndjson", tmp_path / "out"
    kinds = "abba"
    source.write_text("\n" + "".join(f'{{"kind":"{kind}"}}\n' for kind in kinds) + "{\n")
    folder.mkdir()
    (folder / "kind=b").touch()  # where a folder would have to be
    options = ["--partition-by", "kind={field:kind}", "--fanout", "1", "--json"]
    assert main(["write", str(source), str(folder.as_uri()), *options]) == 1
    printed = capsys.readouterr()
    assert "not durable: cannot write kind=b/" in printed.err
    assert f"\n  {source}:3-4\n" in printed.err
    document = parse_output("write", printed.out)
    assert (document["records"], document["failed"], document["quarantined"]) == (2, 2, 1)
    assert landed(folder) == ['{"kind":"a"}'] * 2


def test_an_endpoint_that_is_not_there_is_named_in_one_line_with_the_lines(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "stand-in")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setattr("batcher.stores.retrying.Backoff", partial(Backoff, max_elapsed_s=0.3))
    assert main(["write", str(source), "s3://bucket/root", "--json"]) == 1
    printed = capsys.readouterr()
    assert parse_output("write", printed.out)["failed"] == 2_000
    (error,) = [line for line in printed.err.splitlines() if "error:" in line]
    assert "not durable: " in error
    assert f"\n  {source}:1-2000\n" in printed.err
    assert "cannot reach http://127.0.0.1:9" in error
    assert "Traceback" not in printed.err


def test_the_destination_that_cannot_be_written_is_told_without_a_traceback(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    assert main(["write", str(source), f"file://{blocked}/deeper"]) == 2
    printed = capsys.readouterr().err
    assert f"DESTINATION: {blocked} is a file; choose a folder" in printed
    assert "Traceback" not in printed


def test_inputs_after_one_that_is_damaged_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each that is not whole is named; an input that is not there at all is refused before."""
    inputs = []
    for number in range(4):
        source = tmp_path / f"{number}.gz"
        whole = gzip.compress(b'{"n":%d}\n' % number, mtime=0)
        source.write_bytes(whole[:-9] if number % 2 else whole)
        inputs.append(str(source))
    out = tmp_path / "out"
    assert main(["write", *inputs, f"file://{out}"]) == 1
    printed = capsys.readouterr().err
    assert [f"{name}: cannot be read beyond line" in printed for name in inputs] == [
        False,
        True,
    ] * 2
    assert [line for line in landed(out) if line in {'{"n":0}', '{"n":2}'}] == [
        '{"n":0}',
        '{"n":2}',
    ]


class WriteProcess:
    """`batcher write` in a process that reads lines from the test."""

    def __init__(self, out: Path, *flags: str) -> None:
        """Start the process, which reads standard input."""
        command = [sys.executable, "-m", "batcher", "write", "-", f"file://{out}", "--json"]
        self.process = subprocess.Popen(  # noqa: S603  # our own command
            [*command, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def feed(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for_object(self, out: Path) -> None:
        """Wait until the first object exists, so that the lines before it have been read."""
        while not (out.exists() and data_files(out)):
            assert self.process.poll() is None, "the process has ended"
            os.sched_yield()

    def end(self) -> tuple[int, dict[str, float], str]:
        """Wait for its end, with its standard input open; return code, summary and messages."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(), parse_output("write", out.decode()), err.decode()


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[WriteProcess]:
    started = WriteProcess(tmp_path / "out", "--max-records", "1000")
    yield started
    started.process.kill()
    for stream in (started.process.stdin, started.process.stdout, started.process.stderr):
        assert stream is not None
        stream.close()
    started.process.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_reading_and_what_was_read_is_written(
    writing: WriteProcess, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The producer does not end, and standard input stays open.

    An object of 1,000 lines exists. How many more lines were read by then is not determined.
    """
    writing.feed(TEXT[: TEXT.index('{"id": 1500')])
    writing.wait_for_object(tmp_path / "out")
    writing.process.send_signal(number)
    ended_with, document, messages = writing.end()
    assert ended_with == code, messages
    found = landed(tmp_path / "out")
    assert found == LINES[: len(found)]
    assert 1_000 <= document["records"] == len(found) <= 1_500


@pytest.mark.parametrize(("line", "code"), [(b'{"a":1}\n', 0), (b"bad\n", 1)])
def test_a_program_that_has_used_obstore_exits_without_finalizing_the_interpreter(
    tmp_path: Path, line: bytes, code: int
) -> None:
    """Threads of obstore made the finalizing interpreter abort, in 6 of 100 runs."""
    source = tmp_path / "in.ndjson"
    source.write_bytes(line)
    script = (
        "import atexit, sys, obstore; from batcher.cli import script; "
        "atexit.register(print, 'taken down'); script()"
    )
    arguments = ["write", str(source), f"file://{tmp_path / 'out'}", "--json"]
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script, *arguments, "--on-bad-record", "fail"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert parse_output("write", done.stdout)["records"] == 1 - code
