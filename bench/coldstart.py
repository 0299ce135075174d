"""Cold start: from the import of a handler to its first durable object, each in a fresh process.

The event has one record, so that batching helps none of them. Lambda's own start, the same for
all, is not in it; `.pyc` files are there, and a deployment that lacks them takes far longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from events import make_event
from importtime import breakdown
from package_sizes import IN_RUNTIME, needed, owners, size_bytes
from report import Bar, Chart, Result, Table, finish, make_parser, parse_options, ratio, start
from sink_environment import SinkEnvironment, sink_environment

RECORD_BYTES = 1024
TARGET = 0.3
"""batcher by obstore over plain boto3: at most this ratio."""
LONGEST_S = 60
SMALL_BYTES = 300_000
"""Packages below are not named."""
HERE = Path(__file__).parent


@dataclass
class Contender:
    """One handler, and what it took, round by round."""

    name: str
    """In `coldstart_process.py`."""
    label: str
    needs: str
    """The module that must be installed."""
    installs: str
    """What one would install."""
    own_env: Mapping[str, str] = field(default_factory=dict)
    took: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[float]:
        """Return its seconds of `wall` or `cpu`, import and first event together."""
        return [one[f"import_{kind}_s"] + one[f"event_{kind}_s"] for one in self.took]

    def middle(self, key: str) -> float:
        """Return the median of one figure."""
        return float(median(one[key] for one in self.took))


def contenders() -> list[Contender]:
    """Return all that can take part."""
    ours = {"BATCHER_BUCKET": "cold-batcher", "BATCHER_ROOT": "events"}
    return [
        Contender(
            f"batcher-{engine}",
            f"batcher, {engine}",
            engine,
            f"s3-batcher{extra}",
            {**ours, "BATCHER_BUCKET": f"cold-batcher-{engine}", "BATCHER_ENGINE": engine},
        )
        for engine, extra in (("obstore", ""), ("aioboto3", "[aioboto3]"))
    ] + [
        Contender("boto3", "boto3, as in tutorials", "boto3", "boto3", {"BUCKET": "cold-boto3"}),
        Contender(
            "powertools",
            "Powertools and boto3",
            "aws_lambda_powertools",
            "aws-lambda-powertools[aws-sdk]",
            {"BUCKET": "cold-powertools"},
        ),
    ]


def command(contender: Contender, event_file: Path, *options: str) -> list[str]:
    """Return the command of one cold start."""
    return [
        sys.executable,
        *options,
        str(HERE / "coldstart_process.py"),
        contender.name,
        str(event_file),
    ]


def run_cold(contender: Contender, shared: SinkEnvironment, event_file: Path) -> dict[str, Any]:
    """Start cold once.

    Raises:
        RuntimeError: it failed; the message has its standard error.
    """
    ran = subprocess.run(  # noqa: S603  # our own script
        command(contender, event_file),
        env={**shared.env, **contender.own_env},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if ran.returncode:
        msg = f"{contender.label}: exit code {ran.returncode}\n{ran.stderr[-2000:]}"
        raise RuntimeError(msg)
    took: dict[str, Any] = json.loads(ran.stdout)
    return took


def prove(contender: Contender, shared: SinkEnvironment) -> None:
    """See that one object has arrived.

    Raises:
        RuntimeError: it has not.
    """
    bucket = contender.own_env.get("BATCHER_BUCKET") or contender.own_env["BUCKET"]
    objects = shared.objects(bucket)
    if len(objects) != 1:
        msg = f"{contender.label} wrote {len(objects)} objects, not one"
        raise RuntimeError(msg)


def measure(everyone: Sequence[Contender], rounds: int) -> Iterator[Table]:
    """Start everyone cold in turn, round after round; then give where batcher's time goes."""
    event = make_event("sqs", RECORD_BYTES, 1)
    with sink_environment() as shared:
        event_file = shared.folder / "event.json"
        event_file.write_bytes(orjson.dumps(event))
        for contender in everyone:
            run_cold(contender, shared, event_file)  # warms the disk up
            prove(contender, shared)
        for number in range(rounds):
            turn = number % len(everyone)
            for contender in (*everyone[turn:], *everyone[:turn]):
                contender.took.append(run_cold(contender, shared, event_file))
        for contender in everyone:
            if contender.name.startswith("batcher"):
                env = {**shared.env, **contender.own_env}
                found = breakdown(command(contender, event_file, "-X", "importtime"), env)
                title = f"What {contender.label}, imports up to its first object, by package"
                yield Table(
                    title, ("package", "own ms", "share", "modules", "slowest modules"), found
                )


def times(everyone: Sequence[Contender]) -> Table:
    """Return what the start took."""
    columns = (
        "handler", "import, CPU ms", "event, CPU ms", "both, CPU ms", "[low..high]",
        "both, wall ms", "[low..high] ", "peak MB", "modules", "starts",
    )  # fmt: skip
    rows = []
    for one in everyone:
        wall_ms, cpu_ms = ([1000 * took_s for took_s in one.of(kind)] for kind in ("wall", "cpu"))
        rows.append(
            (
                one.label,
                1000 * one.middle("import_cpu_s"),
                1000 * one.middle("event_cpu_s"),
                median(cpu_ms),
                f"[{min(cpu_ms):.0f}..{max(cpu_ms):.0f}]",
                median(wall_ms),
                f"[{min(wall_ms):.0f}..{max(wall_ms):.0f}]",
                one.middle("peak_bytes") / 1e6,
                round(one.middle("modules")),
                len(one.took),
            )
        )
    return Table("From import to the first durable object", columns, rows)


def sizes(everyone: Sequence[Contender]) -> Table:
    """Return what a deployment carries: what was imported, and what an installation brings."""
    columns = (
        "handler", "imported MB", "less what the runtime has", "installed MB", "installed as",
        "imported packages",
    )  # fmt: skip
    rows = []
    for one in everyone:
        used = owners(one.took[0]["imported"])
        try:
            brought = f"{_megabytes(needed(one.installs)):.1f}"
        except PackageNotFoundError as missing:
            brought = f"? ({missing.name} is missing)"
        largest = sorted(used, key=size_bytes, reverse=True)
        rows.append(
            (
                one.label,
                _megabytes(used),
                _megabytes(used - IN_RUNTIME),
                brought,
                one.installs,
                ", ".join(
                    f"{name} {size_bytes(name) / 1e6:.1f}"
                    for name in largest
                    if size_bytes(name) >= SMALL_BYTES
                ),
            )
        )
    return Table("What must be in the deployment", columns, rows)


def _megabytes(names: set[str]) -> float:
    return sum(map(size_bytes, names)) / 1e6


def main() -> None:
    """Measure and print."""
    found = parse_options(make_parser(__doc__, rounds=21, short_rounds=7))
    everyone = [one for one in contenders() if find_spec(one.needs) is not None]
    absent = [one for one in contenders() if find_spec(one.needs) is None]
    setting = start()
    imports = list(measure(everyone, found.rounds))
    result = Result("coldstart", [times(everyone), sizes(everyone), *imports])
    base = next(one for one in everyone if one.name == "boto3")
    for one in everyone:
        if one is not base:
            most = TARGET if one.name == "batcher-obstore" else None
            for kind in ("wall", "cpu"):
                name = f"{one.label} / {base.label}, {kind}"
                result.ratios.append(ratio(name, one.of(kind), base.of(kind), at_most=most))
    bars = [
        Bar(one.label, 1000 * median(took), 1000 * min(took), 1000 * max(took))
        for one in everyone
        if (took := one.of("wall"))
    ]
    title = "Cold start: import to the first durable object"
    result.charts.append(Chart("coldstart", title, "ms", bars))
    result.notes += [
        "CPU: of all threads; peak: VmHWM of the process",
        "imported: the packages loaded for it, with their `.pyc`; installed: what pip brings",
        "the endpoint is one host with a certificate of its own; S3's chain takes longer to load",
        *(f"{one.label}: left out, {one.needs} is not installed" for one in absent),
    ]
    finish(result, setting, found.json)


if __name__ == "__main__":
    main()
