"""Completion in bash, by the script that `batcher completion bash` prints."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batcher.cli import main
from integration.cli.processes import environ_of

ASK = """
eval "$({command} completion bash)"
cd {folder}
compopt() {{ compopts+="$* "; }}  # works only while readline completes
COMP_WORDS=({words} {last}) COMP_CWORD={index}
$(complete -p batcher | sed 's/.*-F \\([^ ]*\\).*/\\1/') batcher
printf '%s\\n' "${{COMPREPLY[@]}}" "$compopts"
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file, and `batcher` as a program."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "events.ndjson").touch()
    program = folder / "batcher"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m batcher "$@"\n')
    program.chmod(0o755)
    return folder


def complete(folder: Path, words: str, last: str) -> set[str]:
    """Return what bash offers for the last word."""
    code = ASK.format(
        command="batcher",
        folder=folder,
        words=words,
        last=last or '""',
        index=len(words.split()),
    )
    environ = environ_of()
    environ["PATH"] = f"{folder}:{environ['PATH']}"
    done = subprocess.run(  # noqa: S603  # our own command
        ["bash", "-c", code],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )
    assert done.stderr == ""
    return set(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "last", "offered"),
    [
        ("batcher", "ver", {"verify"}),
        ("batcher write", "--compression-", {"--compression-level"}),
        ("batcher write --compression", "", {"none", "gzip", "zstd"}),
        ("batcher replay --reason", "too_", {"too_deep", "too_large"}),
        ("batcher plan --source", "ki", {"kinesis"}),
        ("batcher completion", "", {"bash", "zsh", "fish"}),
    ],
)
def test_commands_options_and_choices_are_completed(
    folder: Path, words: str, last: str, offered: set[str]
) -> None:
    assert complete(folder, words, last) >= offered
    assert len(complete(folder, words, last) - {""}) == len(offered)


def test_profiles_are_completed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config").write_text("[profile dev]\n[profile data]\n[profile prod]\n")
    (folder / "credentials").write_text("[deploy]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    assert complete(folder, "batcher write --profile", "de") - {""} == {"dev", "deploy"}


def test_names_of_files_are_left_to_the_shell(folder: Path) -> None:
    """Click's script asks bash for them."""
    assert any("default" in line for line in complete(folder, "batcher write", "ev"))
    assert any("default" in line for line in complete(folder, "batcher plan --sample", "ev"))
    assert any("dirnames" in line for line in complete(folder, "batcher ls", "file"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_BATCHER_COMPLETE" in capsys.readouterr().out
