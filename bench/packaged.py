"""Packaged: a cold start from the zip that is deployed, over one from the installed batcher.

Each package of `deploy/package.py` is made for this machine and unpacked as Lambda does it; a fresh
process then sees nothing but it and the standard library. Needs an index of Python packages, so
`make bench` does not ask this.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from coldstart import LONGEST_S, RECORD_BYTES, Contender, command, contenders, prove, run_cold
from events import make_event
from report import Result, Table, arguments, chosen, finish, ratio, start
from sink_environment import SinkEnvironment, sink_environment

SCRIPT = Path(__file__).parent.parent / "deploy" / "package.py"
ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}
TARGET = 1.2
BUILD_S = 600


def unpack(engine: str, folder: Path) -> Path:
    """Make an engine's package, and give the folder that it is unpacked into."""
    options = ["--engine", engine, "--arch", ARCHITECTURES[platform.machine()], "--to", str(folder)]
    subprocess.run([sys.executable, str(SCRIPT), *options], check=True, timeout=BUILD_S)  # noqa: S603  # our own script
    (zip_file,) = folder.glob("*.zip")
    with zipfile.ZipFile(zip_file) as packed:
        packed.extractall(folder / "task")
    return folder / "task"


def run_packaged(
    contender: Contender, shared: SinkEnvironment, event_file: Path, task: Path
) -> dict[str, Any]:
    """Start cold once from an unpacked package alone.

    Raises:
        RuntimeError: it failed; its standard error says why.
    """
    ran = subprocess.run(  # noqa: S603  # our own script
        command(contender, event_file, "-S"),  # without what is installed
        env={**shared.env, **contender.own_env, "PYTHONPATH": str(task)},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if ran.returncode:
        msg = f"{contender.label}: exit code {ran.returncode}\n{ran.stderr[-2000:]}"
        raise RuntimeError(msg)
    took: dict[str, Any] = orjson.loads(ran.stdout)
    return took


def both_s(took: list[dict[str, Any]], kind: str) -> list[float]:
    """Return seconds of `wall` or `cpu`, import and first event together."""
    return [one[f"import_{kind}_s"] + one[f"event_{kind}_s"] for one in took]


def main() -> None:
    """Measure and print."""
    found = chosen(arguments(__doc__, rounds=21, short_rounds=5))
    setting = start()
    result = Result("packaged")
    rows = []
    with sink_environment() as shared:
        event_file = shared.folder / "event.json"
        event_file.write_bytes(orjson.dumps(make_event("sqs", RECORD_BYTES, 1)))
        for one in contenders():
            if not one.name.startswith("batcher"):
                continue
            task = unpack(one.own_env["BATCHER_ENGINE"], shared.folder / one.name)
            run_packaged(one, shared, event_file, task)  # warms the disk up
            prove(one, shared)
            packaged: list[dict[str, Any]] = []
            for _ in range(found.rounds):
                packaged.append(run_packaged(one, shared, event_file, task))
                one.took.append(run_cold(one, shared, event_file))
            for label, took in (("from its package", packaged), ("installed", one.took)):
                wall_ms, cpu_ms = (
                    1000 * median(both_s(took, kind)) for kind in ("wall", "cpu")
                )  # fmt: skip
                rows.append((f"{one.label}, {label}", wall_ms, cpu_ms, len(took)))
            for kind in ("wall", "cpu"):
                name = f"{one.label}: package / installed, {kind}"
                over, under = both_s(packaged, kind), both_s(one.took, kind)
                result.ratios.append(ratio(name, over, under, at_most=TARGET))
    title = "From import to the first durable object"
    result.tables.append(Table(title, ("handler", "wall ms", "CPU ms", "starts"), rows))
    finish(result, setting, found.json)


if __name__ == "__main__":
    main()
