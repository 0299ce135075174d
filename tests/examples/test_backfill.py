"""The script of the backfill after runs that did not end well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.modules import EXAMPLES

if TYPE_CHECKING:
    from support.s3_servers import Moto


def backfill(
    folder: Path, destination: str = "out", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder that has an input, `logs`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(  # noqa: S603  # our own script
        ["/bin/sh", EXAMPLES / "backfill_cli/backfill.sh", "logs", destination],
        cwd=folder,
        env={**os.environ, "PATH": path, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an input of one line."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.ndjson").write_text('{"day": "2026-11-01", "level": "info"}\n')
    return tmp_path


def test_a_finished_backfill_is_not_written_again(folder: Path) -> None:
    assert backfill(folder).returncode == 0
    report = json.loads((folder / "backfill.json").read_text())
    assert (report["records"], report["failed"]) == (1, 0)
    again = backfill(folder)
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing is left to read" in again.stderr
    (written,) = (folder / "out").glob("[01]*/dt=2026-11-01/level=info/*.gz")
    assert written.is_file()


def test_a_run_that_was_killed_is_not_continued(folder: Path) -> None:
    """Its report is empty, so nobody knows what it wrote."""
    (folder / "backfill.json").touch()
    done = backfill(folder)
    assert done.returncode == 1
    assert "was killed" in done.stderr
    assert not (folder / "out").exists()


def test_lines_that_were_not_written_are_not_skipped(folder: Path, moto: Moto) -> None:
    """The bucket does not exist."""
    missing = "s3://bucket-that-is-missing/logs"
    assert backfill(folder, missing, moto.environ).returncode == 1
    assert json.loads((folder / "backfill.json").read_text())["failed"] == 1
    again = backfill(folder, missing, moto.environ)
    assert again.returncode == 1
    assert "run the commands" in again.stderr
