"""`batcher replay --since` and `--until`: the times that `ls` and `cat` take, of each record."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from batcher.cli import main

DESTINATION = "file://out"
HOUR_S = 3_600


@pytest.fixture(autouse=True)
def quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with two bad lines: one came in three hours ago, one just now."""
    monkeypatch.chdir(tmp_path)
    now_s = time.time()
    for line, ago_s in (("old", 3 * HOUR_S), ("new", 0)):
        Path(line).write_text(f"{line}\n")
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda ago_s=ago_s: now_s - ago_s)
            assert main(["write", line, DESTINATION]) == 1  # no line of it is usable


def replayed(*flags: str) -> list[str]:
    """Replay as text, for which both lines are good; give what has been replayed by now."""
    assert main(["replay", DESTINATION, "--format", "lines", *flags]) == 0
    files = Path("out").rglob("replay-*.gz")
    return sorted(gzip.decompress(file.read_bytes()).decode() for file in files)


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        (["--since", "2h"], ["new\n"]),
        (["--until", "2h"], ["old\n"]),
        (["--since", " 1.5h "], ["new\n"]),
        (["--since", "1d"], ["new\n", "old\n"]),
        (["--since", "4h", "--until", "120m"], ["old\n"]),
        (["--since", "2h", "--until", "60m"], []),
    ],
)
def test_how_long_ago_is_counted_from_now(flags: list[str], lines: list[str]) -> None:
    """Each record has its own arrival, whatever object it stands in."""
    assert replayed(*flags) == lines


def test_what_one_time_leaves_another_takes() -> None:
    """A record stands on one side of it."""
    assert replayed("--since", "2h") == ["new\n"]
    assert replayed("--until", "2h") == ["new\n", "old\n"]


@pytest.mark.parametrize("command", ["ls", "cat", "replay"])
@pytest.mark.parametrize("flag", ["since", "until"])
@pytest.mark.parametrize("text", ["2y", "h", "-2h", "yesterday"])
def test_what_is_no_time_is_told_alike(
    command: str, flag: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what would be one."""
    capsys.readouterr()
    assert main([command, DESTINATION, f"--{flag}={text}"]) == 2
    fault = f"  - --{flag}: cannot parse {text!r}; give "
    assert fault in capsys.readouterr().err
