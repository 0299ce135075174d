"""Streams that `batcher write` reads as they come, signals that end it, and where it goes on."""

from __future__ import annotations

import gzip
import os
import random
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from batcher.cli import main
from batcher.cli.signals import signal_name, stop_signals
from integration.cli.processes import command, environ_of
from support.output_schema import parse_output

LINES = [b'{"id":%d,"text":"%b"}\n' % (n, "é😀".encode() * (n % 9)) for n in range(300)]
TEXT = b"".join(LINES)


class Gzip:
    """Compresses pieces so that each can be decompressed at once, as a live stream has it."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(6, zlib.DEFLATED, 31)

    def pack(self, piece: bytes) -> bytes:
        """Compress a piece and flush it."""
        return self._stream.compress(piece) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class Zstd:
    """As `Gzip`, in zstd."""

    def __init__(self) -> None:
        self._stream = zstd.ZstdCompressor()

    def pack(self, piece: bytes) -> bytes:
        """Compress a piece and flush it."""
        return self._stream.compress(piece, zstd.ZstdCompressor.FLUSH_BLOCK)


class Members:
    """A gzip member or zstd frame per piece, or nothing around it."""

    def __init__(self, pack: Callable[[bytes], bytes]) -> None:
        self.pack = pack


PACKERS: dict[str, Callable[[], Any]] = {
    "plain": lambda: Members(bytes),
    "gzip": Gzip,
    "zstd": Zstd,
    "gzip members": lambda: Members(gzip.compress),
    "zstd frames": lambda: Members(zstd.compress),
}


def landed(out: Path) -> list[bytes]:
    """Return the lines of all data objects, in order."""
    files = [p for p in out.rglob("*.gz") if not {".meta", "_quarantine"} & set(p.parts)]
    texts = [gzip.decompress(p.read_bytes()) for p in sorted(files, key=lambda p: p.name)]
    return b"".join(texts).splitlines(keepends=True)


class Writer:
    """`batcher write` in a process."""

    def __init__(self, out: Path, *arguments: str, stdin: Any = subprocess.PIPE) -> None:  # noqa: ANN401
        self.out = out
        inputs = [a for a in arguments if not a.startswith("--")] or ["-"]
        flags = [a for a in arguments if a.startswith("--")]
        self.process = subprocess.Popen(  # noqa: S603  # our own command
            command(["write", *inputs, f"file://{out}", "--json", *flags]),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ_of(),
        )

    def feed(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_for_lines(self, count: int) -> None:
        """Wait until so many lines are durable, while the input stays open."""
        give_up_s = time.monotonic() + 60  # instead of hanging
        while len(landed(self.out)) < count:
            assert time.monotonic() < give_up_s, "the lines are not read"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def end(self, *, close: bool = False) -> tuple[int, dict[str, Any], str]:
        """Wait for the end; return code, summary and messages."""
        if close:
            assert self.process.stdin is not None
            self.process.stdin.close()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(), parse_output("write", out.decode()), err.decode()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Writer]]:
    """Return a function that starts `batcher write`; the processes are ended."""
    writers: list[Writer] = []

    def start_writer(*arguments: str, **options: Any) -> Writer:  # noqa: ANN401
        writers.append(Writer(tmp_path / "out", *arguments, **options))
        return writers[-1]

    yield start_writer
    for writer in writers:
        writer.process.kill()
        for stream in (writer.process.stdin, writer.process.stdout, writer.process.stderr):
            if stream is not None:
                stream.close()
        writer.process.wait()


@pytest.mark.parametrize("name", PACKERS)
def test_lines_of_a_slow_stream_are_durable_before_it_goes_on(
    start: Callable[..., Writer], name: str
) -> None:
    """However few they are, and wherever its pieces are cut."""
    packer = PACKERS[name]()
    writer = start("--linger-s=0")
    writer.feed(packer.pack(b"1\n"))  # fewer bytes than any magic
    writer.wait_for_lines(1)
    writer.feed(packer.pack(LINES[0] + LINES[1][:-4]))
    writer.wait_for_lines(2)
    packed = packer.pack(LINES[1][-4:])
    for at in range(len(packed)):
        writer.feed(packed[at : at + 1])
    writer.wait_for_lines(3)
    writer.feed(packer.pack(b'{"last":"line"}'))
    code, document, messages = writer.end(close=True)
    is_cut = name in {"gzip", "zstd"}  # nothing has ended the member
    assert code == is_cut, messages
    wanted = [b"1\n", LINES[0], LINES[1]] + [b'{"last":"line"}\n'] * (not is_cut)
    assert landed(writer.out) == wanted
    assert document["records"] == len(wanted)
    assert document.get("unread_from") == ("-:4" if is_cut else None)


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_loses_no_line_that_was_read(
    start: Callable[..., Writer], name: str, number: int, code: int
) -> None:
    """Those of the open batch are written; the line that has not ended is named as unread."""
    packer = PACKERS[name]()
    writer = start("--max-records=200")
    writer.feed(packer.pack(TEXT + b'{"half"'))
    writer.wait_for_lines(200)
    writer.process.send_signal(number)
    ended_with, document, messages = writer.end()
    assert (ended_with, document["records"], document["failed"]) == (code, 300, 0), messages
    assert landed(writer.out) == LINES
    assert document["unread_from"] == "-:301"
    assert "stopped reading at -:301" in messages


DRAINED = {*stop_signals()} - {
    signal.SIGTERM,
    signal.SIGHUP,
    *range(signal.SIGRTMIN + 1, signal.SIGRTMAX),
}


@pytest.mark.slow
@pytest.mark.parametrize("number", sorted(DRAINED), ids=signal_name)
def test_every_other_signal_that_would_kill_drains(
    start: Callable[..., Writer], number: int
) -> None:
    writer = start("--max-records=200")
    writer.feed(TEXT)
    writer.wait_for_lines(200)
    writer.process.send_signal(number)
    code, document, messages = writer.end()
    assert (code, document["records"]) == (128 + number, 300), messages


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_signal_that_ends_the_producer_as_well_is_no_damage(
    start: Callable[..., Writer], name: str
) -> None:
    """As Ctrl-C does, for all processes of a pipeline."""
    writer = start("--max-records=200")
    writer.feed(PACKERS[name]().pack(TEXT))
    writer.wait_for_lines(200)
    writer.process.send_signal(signal.SIGINT)
    code, document, messages = writer.end(close=True)
    assert (code, document["records"]) == (130, 300), messages


def test_a_signal_that_comes_twice_at_once_drops_nothing(start: Callable[..., Writer]) -> None:
    """timeout(1) sends SIGTERM to its child and to its group; a terminal sends SIGHUP twice."""
    writer = start("--max-records=200")
    writer.feed(TEXT)
    writer.wait_for_lines(200)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):
        writer.process.send_signal(number)
        time.sleep(0.02)  # so that the system does not deliver two as one
    code, document, messages = writer.end()
    assert (code, document["records"]) == (143, 300), messages


def test_signals_that_nohup_ignores_stay_ignored(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    os.mkfifo(source)
    script = f"trap '' HUP; exec {' '.join(command(['write', str(source), f'file://{out}']))}"
    process = subprocess.Popen(  # noqa: S603  # our own command
        ["/bin/sh", "-c", f"{script} --max-records 200"],
        env=environ_of(),
        stderr=subprocess.PIPE,
    )
    with process, source.open("wb") as stream:
        stream.write(TEXT)
        stream.flush()
        while len(landed(out)) < 200:
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        stream.write(LINES[0])
        stream.close()
        assert process.stderr is not None
        assert b"SIGHUP" not in process.stderr.read()
    assert process.returncode == 0
    assert len(landed(out)) == 301


def test_what_a_named_pipe_gives_is_written(start: Callable[..., Writer], tmp_path: Path) -> None:
    """Its writer waits for a reader. Whoever opens and closes the pipe to look at it loses a line.

    A pipe that is opened once more waits for a writer that has left.
    """
    pipe, out = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/sh", "-c", 'echo "{}" > "$0"', pipe]) as producer:  # noqa: S603
        writer = start(str(pipe))
        try:
            assert writer.process.wait(60) == 0
        finally:
            producer.kill()
    assert landed(out) == [b"{}\n"]


def test_a_named_pipe_without_a_writer_can_be_stopped(
    start: Callable[..., Writer], tmp_path: Path
) -> None:
    """Nothing was read of it, nor of the inputs after it."""
    first, pipe, last = tmp_path / "first", tmp_path / "pipe", tmp_path / "last"
    first.write_bytes(TEXT)
    last.write_bytes(TEXT)
    os.mkfifo(pipe)
    writer = start(str(first), str(pipe), str(last), "--max-records=200")
    writer.wait_for_lines(200)
    writer.process.send_signal(signal.SIGTERM)
    code, document, messages = writer.end()
    assert (code, document["records"]) == (143, 300), messages
    assert document["unread_from"] == f"{pipe}:1"
    assert f"not read at all: {last}" in messages


def test_a_socket_and_a_pipe_that_does_not_block_are_read_to_their_end(
    start: Callable[..., Writer],
) -> None:
    """Another process may make them so at any time."""
    ours, theirs = socket.socketpair()
    writer = start("--linger-s=0", stdin=theirs)
    ours.sendall(LINES[0])
    writer.wait_for_lines(1)
    theirs.setblocking(False)  # noqa: FBT003  # the open file is shared
    ours.sendall(LINES[1])
    writer.wait_for_lines(2)
    ours.sendall(LINES[2])
    ours.close()
    theirs.close()
    code, document, messages = writer.end()
    assert (code, document["records"]) == (0, 3), messages


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd"])
def test_a_stream_in_pieces_of_any_size_is_read_once_and_in_order(
    start: Callable[..., Writer], name: str
) -> None:
    """Characters and records are cut anywhere."""
    packs: dict[str, Callable[[bytes], bytes]] = {
        "plain": bytes,
        "gzip": gzip.compress,
        "zstd": zstd.compress,
    }
    pack = packs[name]
    data = pack(TEXT[: len(TEXT) // 2]) + pack(TEXT[len(TEXT) // 2 :])
    sizes = random.Random(4)  # noqa: S311  # repeatable
    writer = start()
    at = 0
    while at < len(data):
        size = sizes.choice((1, 2, 3, 100, 1_000))
        writer.feed(data[at : at + size])
        at += size
    code, _, messages = writer.end(close=True)
    assert code == 0, messages
    assert landed(writer.out) == LINES


@pytest.mark.parametrize("kind", ["truncated", "in its data", "in its checksum", "garbage after"])
@pytest.mark.parametrize("source", ["file", "pipe"])
def test_damaged_gzip_gives_every_line_that_can_be_decompressed(
    start: Callable[..., Writer], tmp_path: Path, kind: str, source: str
) -> None:
    """As zlib decompresses it, byte by byte."""
    noise = random.Random(5)  # noqa: S311  # as above
    text = b"".join(b'{"id":%d,"x":"%x"}\n' % (n, noise.getrandbits(200)) for n in range(3_000))
    data = bytearray(gzip.compress(text))
    if kind == "truncated":
        del data[len(data) * 2 // 3 :]
    elif kind == "garbage after":
        data += b"garbage"
    else:
        data[-6 if kind == "in its checksum" else len(data) // 2] ^= 0x55
    member, wanted = zlib.decompressobj(31), b""
    try:
        for at in range(len(data)):
            wanted += member.decompress(data[at : at + 1])
    except zlib.error:
        pass
    wanted = wanted[: wanted.rindex(b"\n") + 1]
    from_pipe = source == "pipe"
    (tmp_path / "in").write_bytes(data)
    writer = start(*[str(tmp_path / "in")] * (not from_pipe), "--format=lines")
    if from_pipe:
        writer.feed(bytes(data))
    code, document, messages = writer.end(close=from_pipe)
    files = [p for p in writer.out.rglob("*.gz") if ".meta" not in p.parts]
    assert b"".join(gzip.decompress(p.read_bytes()) for p in files) == wanted
    assert code == 1
    line = wanted.count(b"\n") + 1
    assert f"cannot be read beyond line {line}: " in messages
    assert document["unread_from"].endswith(f":{line}")


def run_write(arguments: list[str], stdin: bytes) -> tuple[int, dict[str, Any], str]:
    """Run `batcher write` to its end; return code, summary and messages."""
    done = subprocess.run(  # noqa: S603  # our own command
        command(["write", *arguments, "--json"]),
        capture_output=True,
        check=False,
        env=environ_of(),
        input=stdin,
    )
    return done.returncode, parse_output("write", done.stdout.decode()), done.stderr.decode()


@pytest.mark.parametrize("source", ["file", "stdin", "gzip"])
def test_a_refusal_names_the_line_from_which_nothing_was_read_and_a_run_continues_there(
    tmp_path: Path, source: str
) -> None:
    """Every line is written, named as not durable, or after the line at which reading stopped."""
    big, never = tmp_path / "my big.ndjson", tmp_path / "never.ndjson"
    big.write_bytes((gzip.compress if source == "gzip" else bytes)(TEXT * 2_000))
    never.write_bytes(TEXT)
    name = "-" if source == "stdin" else str(big)
    inputs = [name, str(never)]
    out, rest = tmp_path / "out", tmp_path / "rest"
    out.mkdir()
    (out / "1").write_bytes(b"a file where one of two folders should be")
    flags = ["--fanout=2", "--max-bytes=256KiB", "--budget-bytes=1MiB"]
    code, document, messages = run_write([*inputs, f"file://{out}", *flags], TEXT * 2_000)
    assert code == 1, messages
    read, _, line = document["unread_from"].rpartition(":")
    assert read == name
    assert document["records"] + document["failed"] == int(line) - 1 < 600_000
    assert f"stopped reading at {name}:{line}" in messages
    assert f"not read at all: {never}" in messages
    flags = ["--skip-to", f"{name}:{line}"]
    code, document, messages = run_write([*inputs, f"file://{rest}", *flags], TEXT * 2_000)
    assert (code, document.get("unread_from")) == (0, None), messages
    assert landed(rest) == (LINES * 2_000)[int(line) - 1 :] + LINES


@pytest.mark.parametrize("name", [b"odd\xff", b"a line\nend", b"a:7", b"-dash\x1b"])
def test_an_input_with_any_name_can_be_continued(tmp_path: Path, name: bytes) -> None:
    """The summary has the name as it is, so that a program can pass it on."""
    source, out = os.fsdecode(os.fsencode(tmp_path) + b"/" + name), tmp_path / "out"
    with open(source, "wb") as file:  # noqa: PTH123  # by a name that is no UTF-8
        file.write(gzip.compress(TEXT)[:-20])
    code, document, messages = run_write([source, f"file://{out}"], b"")
    assert code == 1, messages
    with open(source, "wb") as file:  # noqa: PTH123  # as above
        file.write(TEXT)
    skip_to = ["--skip-to", document["unread_from"]]
    code, _, messages = run_write([source, f"file://{out}", *skip_to], b"")
    assert code == 0, messages
    assert landed(out) == LINES


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("gone:3", "names none of the inputs (3 files)"),
        ("in:0", "a line from 1"),
        ("in", "a line from 1"),
        ("twice:3", "is given 2 times"),
    ],
)
def test_a_wrong_place_to_skip_to_is_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in", "twice"):
        Path(name).write_bytes(TEXT)
    inputs = ["in", "twice", "twice"]
    assert main(["write", *inputs, "file://out", "--skip-to", value]) == 2
    assert problem in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("line", "code", "records"),
    [(1, 0, 600), (2, 0, 599), (300, 0, 301), (301, 0, 300), (302, 2, 0), (99_999, 2, 0)],
)
def test_lines_before_the_one_to_skip_to_are_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: int, code: int, records: int
) -> None:
    """If it has no such line, nothing of any input is: the corrected command would repeat it."""
    inputs = []
    for name in ("done", "first", "second"):
        (tmp_path / name).write_bytes(TEXT)
        inputs.append(str(tmp_path / name))
    (tmp_path / "done").unlink()  # it need not be there any more
    skip_to = ["--skip-to", f"{tmp_path}/first:{line}"]
    out = tmp_path / "out"
    assert main(["write", *inputs, f"file://{out}", "--json", *skip_to]) == code
    printed = capsys.readouterr()
    assert landed(out) == (LINES + LINES)[600 - records :]
    if code:
        assert f"has no line {line}" in printed.err
        assert (printed.out, "to continue" in printed.err) == ("", False)
    else:
        assert parse_output("write", printed.out)["records"] == records
