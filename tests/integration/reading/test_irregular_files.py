"""What is no regular file: reported by every reader, never opened, and never in the way."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import batcher
from batcher.cli import main
from batcher.reading.findings import Finding, FindingKind
from batcher.stores.base import ListEntry
from batcher.stores.file_reader import FileReader
from support.examples import described
from support.planted_objects import TEXT, counted, plant

DAY = "dt=2026-11-23"
GOOD_KEY = f"{DAY}/hour=07/019aaf5c-2f00-7000-8000-0123456789ab.ndjson"
TIMEOUT_S = 60
NOBODY = 65_534
COMMANDS = ("verify", "cat", "ls", "replay")


def key_of(number: int, folder: str = f"{DAY}/hour=07") -> str:
    """Return a key that batcher could give."""
    return f"{folder}/019aaf5c-2f00-7000-8000-{number:012x}.ndjson"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with one good object. What links may lead to is beside it."""
    root = tmp_path / "root"
    plant(root, GOOD_KEY, TEXT, described(TEXT))
    plant(tmp_path / "outside", GOOD_KEY, TEXT, described(TEXT))
    return root


def plant_irregular(root: Path) -> dict[str, str]:
    """Create everything that is no regular file, under names of objects. Return keys by kind."""
    outside = root.parent / "outside"
    keys: dict[str, str] = {}

    def path_of(kind: str) -> Path:
        keys[kind] = key_of(len(keys))
        return root / keys[kind]

    os.mkfifo(path_of("fifo"))
    with socket.socket(socket.AF_UNIX) as listening:
        name = root.parent / "s"
        listening.bind(str(name))
        name.rename(path_of("socket"))
    path_of("link out of the root").symlink_to(outside / GOOD_KEY)
    path_of("link to a good object").symlink_to(root / GOOD_KEY)
    path_of("link without a target").symlink_to(root / "nothing")
    loop = path_of("link to itself")
    loop.symlink_to(loop)
    path_of("link to a device").symlink_to("/dev/zero")
    path_of("folder").mkdir()
    (root / "dt=2026-11-24").symlink_to(outside / DAY)
    (root / DAY / "hour=09").symlink_to(root)
    keys |= {"link to a folder": "dt=2026-11-24", "link to a folder above": f"{DAY}/hour=09"}
    if os.geteuid() == 0:
        os.mknod(path_of("device"), stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.mkfifo(root / "_queue")
    keys["FIFO with a name of somebody else"] = "_queue"
    return keys


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command, which must end."""
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "batcher", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_verify_reports_each_of_them_and_reads_the_others(root: Path) -> None:
    """As not readable, with what it is and what to do."""
    keys = plant_irregular(root)
    done = run("verify", f"file://{root}", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["records"] == 2
    assert {found["key"]: found["kind"] for found in report["findings"]} == dict.fromkeys(
        keys.values(), "unreadable"
    )
    for found in report["findings"]:
        assert "not a regular file" in found["detail"]
        assert "move it out of the root" in found["detail"]


@pytest.mark.parametrize("command", [["cat"], ["cat", "--ordered"], ["ls"], ["ls", "--json"]])
def test_cat_and_ls_report_each_of_them_and_print_the_others(
    root: Path, command: list[str]
) -> None:
    """On standard error. The exit code says that something is missing."""
    keys = plant_irregular(root)
    done = run(command[0], f"file://{root}", *command[1:])
    assert done.returncode == 1
    if command[0] == "cat":
        assert done.stdout == TEXT.decode()
    else:
        assert len(done.stdout.splitlines()) == 1
        assert GOOD_KEY in done.stdout
    reported = set(keys.values()) - {"_queue"}  # names with _ are not of data
    for key in reported:
        assert f"error: {key}: " in done.stderr
    assert done.stderr.count("not a regular file") == len(reported)


def test_read_objects_reports_each_of_them_once(root: Path) -> None:
    """To the function that hears of what is left out."""
    keys = plant_irregular(root)
    findings: list[Finding] = []

    async def read() -> list[bytes]:
        async with batcher.read_objects(f"file://{root}", on_finding=findings.append) as objects:
            return [line async for each in objects async for lines in each for line in lines]

    assert asyncio.run(asyncio.wait_for(read(), TIMEOUT_S)) == TEXT.splitlines()
    assert sorted(finding.key for finding in findings) == sorted(set(keys.values()) - {"_queue"})
    assert {finding.kind for finding in findings} == {FindingKind.UNREADABLE}


def test_the_selection_holds_for_them_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What could not have been selected is not in the way."""
    plant_irregular(root)
    assert main(["cat", f"file://{root}", "--since", "2026-11-25"]) == 0
    captured = capsys.readouterr()
    assert "not a regular file" not in captured.err


def test_replay_reports_them_and_replays_the_others(root: Path) -> None:
    """They do not count as failures of the store, which would end the run."""
    quarantine = "_quarantine/cli/dt=2026-11-23"
    lines = [
        {"reason": "empty", "source": "cli", "position": f"f:{n}", "payload": "1"}
        | {"arrival": "2026-11-23T07:00:00Z"}
        for n in (1, 2)
    ]
    body = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    plant(root, f"{key_of(99, quarantine)}.gz", body, {})
    for number in range(5):
        os.mkfifo(root / f"{key_of(number, quarantine)}.gz")
    done = run("replay", f"file://{root}", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["records"] == 2
    assert done.stderr.count("a FIFO, not a regular file") == 5


@pytest.mark.slow  # a process per kind
def test_attributes_that_are_no_regular_file_are_none(root: Path) -> None:
    """Nothing waits for them; `verify` says that there are none."""
    attributes = root / ".meta" / f"{GOOD_KEY}.json"
    for make in (
        lambda: os.mkfifo(attributes),
        attributes.mkdir,
        lambda: attributes.symlink_to("/dev/zero"),
        lambda: attributes.symlink_to(attributes),
        lambda: attributes.write_bytes(b'{"etag": 1, "metadata": [2]}'),
        lambda: attributes.write_bytes(b"[" * 100_000),
        lambda: attributes.write_bytes(b'{"etag": "\xff"}'),
    ):
        if attributes.is_dir() and not attributes.is_symlink():
            attributes.rmdir()
        else:
            attributes.unlink()
        make()
        done = run("verify", f"file://{root}", "--json")
        assert counted(json.loads(done.stdout)) == {"no_metadata": 1}
    assert run("cat", f"file://{root}").stdout == TEXT.decode()


def test_a_root_that_is_a_link_is_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was named by the user. Only what is below it is not followed."""
    link = root.parent / "link"
    link.symlink_to(root)
    assert main(["verify", f"file://{link}"]) == 0
    assert main(["cat", f"file://{link}"]) == 0
    assert capsys.readouterr().out.endswith(TEXT.decode())


def test_write_reads_a_fifo_that_is_named(tmp_path: Path) -> None:
    """An input is what the user names: it may be one, and a process substitution is one."""
    fifo = tmp_path / "input"
    os.mkfifo(fifo)
    with subprocess.Popen([sys.executable, "-c", f"open({str(fifo)!r}, 'wb').write(b'1\\n')"]):  # noqa: S603
        done = run("write", str(fifo), f"file://{tmp_path}/root", "--json")
    assert (done.returncode, json.loads(done.stdout)["records"]) == (0, 1)


def test_names_that_are_not_utf8_are_reported(root: Path) -> None:
    """With their bytes escaped: a file and a folder."""
    names = [b"\xff.ndjson", b"dt=\xfe/%b" % GOOD_KEY.rpartition("/")[2].encode()]
    for name in names:
        path = os.fsencode(root) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120  # bytes
        Path(os.fsdecode(path)).write_bytes(TEXT)
    done = run("verify", f"file://{root}", "--json")
    report = json.loads(done.stdout)
    assert (counted(report), report["records"]) == ({"foreign": 2}, 2)
    assert [found["key"].partition("/")[0] for found in report["findings"]] == [
        "\\udcff.ndjson",
        "dt=\\udcfe",
    ]
    done = run("cat", f"file://{root}")
    assert (done.returncode, done.stdout) == (1, TEXT.decode())
    done = run("ls", f"file://{root}", "--json")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)


def test_a_root_whose_name_is_not_utf8_is_written_and_read(root: Path) -> None:
    """As it is on the command line, and percent-encoded."""
    lines = root.parent / "lines"
    lines.write_bytes(b"1\n")
    name = os.fsdecode(b"r\xff")
    for place in (f"file://{root.parent}/{name}", f"file://{root.parent}/r%ff"):
        assert run("write", str(lines), place).returncode == 0
    assert (root.parent / name).is_dir()
    done = run("cat", f"file://{root.parent}/r%FF")
    assert (done.returncode, done.stdout) == (0, "1\n1\n")


@pytest.fixture
def denied(capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """Return a root of which a file, a folder and what is in another folder cannot be read.

    As the superuser, become another user, whom permissions bind.
    """
    is_root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp())
    root = folder / "root"
    plant(root, GOOD_KEY, TEXT, described(TEXT))
    for number, hour in enumerate(("07", "08", "09", "10")):
        plant(root, key_of(number, f"{DAY}/hour={hour}"), TEXT, described(TEXT))
    for command in COMMANDS:
        main([command, f"file://{root}"])  # imports what the other user may not be able to
    if is_root:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        (root / key_of(0)).chmod(0)
        (root / f"{DAY}/hour=08").chmod(0)
        (root / f"{DAY}/hour=09").chmod(0o400)  # its names can be read, and nothing else
        capsys.readouterr()
        yield root
    finally:
        if is_root:
            os.seteuid(0)
        for path in [folder, root, root / f"{DAY}/hour=08", root / f"{DAY}/hour=09"]:
            path.chmod(0o700)
        shutil.rmtree(folder)


DENIED_KEYS = {key_of(0), f"{DAY}/hour=08", key_of(2, f"{DAY}/hour=09")}


def test_verify_reports_what_may_not_be_read_and_reads_the_others(
    denied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file, a folder, and files whose folder may not be entered."""
    assert main(["verify", f"file://{denied}", "--json"]) == 1
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["records"] == 2 * len(TEXT.splitlines())
    assert {f["key"]: f["kind"] for f in report["findings"]} == dict.fromkeys(
        DENIED_KEYS, "unreadable"
    )
    for found in report["findings"]:
        assert "Permission denied; check who may read the folder" in found["detail"]


@pytest.mark.parametrize("command", [["cat"], ["cat", "--ordered"]])
def test_cat_prints_what_may_be_read_and_reports_the_rest(
    denied: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """The exit code says that something is missing."""
    assert main([command[0], f"file://{denied}", *command[1:]]) == 1
    captured = capsys.readouterr()
    assert captured.out == TEXT.decode() * 2
    for key in DENIED_KEYS:
        assert key in captured.err


def test_a_root_that_may_not_be_read_is_one_error(
    denied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the root, and of a folder above it. It is neither empty nor clean."""
    for locked in (denied, denied.parent):
        locked.chmod(0)
        for command in COMMANDS:
            code = main([command, f"file://{denied}"])
            captured = capsys.readouterr()
            assert code != 0, (command, locked, captured)
            assert "Permission denied" in captured.err, (command, locked, captured)
        locked.chmod(0o777)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_vanishes_between_listing_and_reading_is_no_crash(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """`verify` counts it; `cat` reports what it cannot print."""
    plant(root, key_of(1, f"{DAY}/hour=08"), TEXT, described(TEXT))
    list_objects = FileReader.list_objects

    def remove() -> None:
        if what == "file":
            (root / key_of(1, f"{DAY}/hour=08")).unlink(missing_ok=True)
        else:
            shutil.rmtree(root / f"{DAY}/hour=08", ignore_errors=True)

    async def list_and_remove(self: FileReader, prefix: str) -> AsyncIterator[ListEntry]:
        entries = [entry async for entry in list_objects(self, prefix)]
        await asyncio.to_thread(remove)
        for entry in entries:
            yield entry

    monkeypatch.setattr(FileReader, "list_objects", list_and_remove)
    capsys.readouterr()
    assert main(["verify", f"file://{root}", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["removed_objects"], report["missing_objects"], report["records"]) == (1, 1, 2)
