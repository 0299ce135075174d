"""Signals during imports: one line, and the exit code of the signal."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from integration.cli.processes import run_in_shell
from support.store_fixtures import ENGINES

INTERRUPTED_IMPORT = """
import signal, sys

try:
    signal.raise_signal(signal.{number})
except KeyboardInterrupt:
    pass
sys.path.remove({folder!r})
del sys.modules[__name__]
import {client}
"""
"""A module that raises a signal and then becomes the real module, if the process still runs.

It drops `KeyboardInterrupt`, as Python does in its own callbacks during imports.
"""
INTERRUPTED_LOOP = """
import selectors, signal

class Selector(selectors.DefaultSelector):
    def __init__(self):
        signal.raise_signal(signal.SIGINT)
        super().__init__()

selectors.DefaultSelector = Selector
"""
"""A module that Python imports first, which raises Ctrl-C while an event loop is made."""
CLIENTS = ("aioboto3", "boto3", "obstore")
"""Packages that commands import to talk to AWS. The first one imported raises the signal."""
ENVIRON = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "us-east-1"} | dict.fromkeys(
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "stand-in"
)


def interrupt_imports(signal_name: str, folder: Path, packages: tuple[str, ...] = CLIENTS) -> None:
    """Put modules into `folder` that raise the signal when one of the packages is imported."""
    for client in packages:
        module = INTERRUPTED_IMPORT.format(number=signal_name, folder=str(folder), client=client)
        (folder / f"{client}.py").write_text(module)


WRITES = [f"write - --engine {engine}" for engine in ENGINES]


@pytest.mark.parametrize("command", [*WRITES, "ls", "cat", "verify", "check"])
def test_ctrl_c_while_the_client_is_imported_ends_in_one_line(command: str, tmp_path: Path) -> None:
    """The import takes up to half a second, in which some commands handle no signals."""
    interrupt_imports("SIGINT", tmp_path)
    arguments = [*command.split(), "s3://bucket/root"]
    done = run_in_shell(arguments, environ=ENVIRON, paths=(tmp_path,))
    assert done.returncode == 130, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("batcher: stopped")


@pytest.mark.parametrize("package", ["msgspec", "orjson"])
def test_ctrl_c_while_a_package_of_every_command_is_imported_ends_in_one_line(
    package: str, tmp_path: Path
) -> None:
    """An import of msgspec that was interrupted crashed the process at the first use of it."""
    interrupt_imports("SIGINT", tmp_path, (package,))
    done = run_in_shell(["write", "-", f"file://{tmp_path}/out"], paths=(tmp_path,))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "batcher: stopped before the end\n"


@pytest.mark.parametrize("command", WRITES)
def test_sigterm_while_the_client_is_imported_ends_silently(command: str, tmp_path: Path) -> None:
    """As it ends any program; a shell reports 143."""
    interrupt_imports("SIGTERM", tmp_path)
    arguments = [*command.split(), "s3://bucket/root"]
    done = run_in_shell(arguments, environ=ENVIRON, paths=(tmp_path,))
    assert done.returncode == -signal.SIGTERM
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("command", ["write in", "ls", "cat", "ddl", "verify"])
def test_ctrl_c_while_the_event_loop_is_made_ends_in_one_line(command: str, tmp_path: Path) -> None:
    """A loop that was made by half printed a traceback of its own when it was deleted."""
    (tmp_path / "in").write_text("1\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_LOOP)
    words = [word.replace("in", f"{tmp_path}/in") for word in command.split()]
    sample = ["--sample", f"{tmp_path}/in"] * (command == "ddl")
    done = run_in_shell([*words, f"{tmp_path}/out", *sample], paths=(tmp_path,))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "batcher: stopped before the end\n"


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_command_line_is_imported_ends_silently(
    signal_name: str, tmp_path: Path
) -> None:
    """As it ends programs that handle no signals."""
    interrupt_imports(signal_name, tmp_path, ("click",))
    done = run_in_shell(["ls", f"{tmp_path}"], paths=(tmp_path,))
    assert done.returncode == -getattr(signal, signal_name)
    assert (done.stdout, done.stderr) == ("", "")
