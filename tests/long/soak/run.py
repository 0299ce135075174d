"""Soak: full load for minutes while requests go wrong, and every record looked for in the bucket.

A stream's handler, a queue's handler and programs with a `Batcher` write side by side through a
proxy that lets a share of their requests go wrong, to SeaweedFS. Round after round they write for
some seconds and drain; then the bucket itself is read by plain boto3, judged, and emptied.
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from typing import Any

from long.run_info import about, environment, print_now, titles
from long.soak.audit import Audit
from long.soak.fault_mix import rules
from long.soak.report import KINDS, Soak, outcome, tables
from long.soak.server import Server
from long.soak.writer_process import Child
from support.fault_proxy import FaultProxy

ROUND_S = 10.0
LEAST_ROUNDS = 2
"""Each writer has two variants, which take turns."""
ROUND_LIMIT_S = 180.0
"""A writer that takes this much longer than its round hangs: nothing it waits for takes longer."""
SAMPLE_S = 0.1
LATE_S = 3.0
"""What the proxy holds reaches the server at most so late: after its records came again."""
SHOWN = 20
SIGNALLED = 128


def run(seconds: float, seed: int, rate: float, kinds: Sequence[str] = KINDS) -> Soak:
    """Soak for about this many seconds. All processes have ended when it returns."""
    soak = Soak(kinds)
    started_s = time.monotonic()
    round_s = min(ROUND_S, seconds / LEAST_ROUNDS)
    with ExitStack() as exits:
        server = exits.enter_context(Server())
        bucket = f"soak-{token_hex(8)}"
        server.create_bucket(bucket)
        proxy = exits.enter_context(FaultProxy(server.url))
        env = environment(server.environ | {"AWS_ENDPOINT_URL_S3": proxy.url})
        children = [
            exits.enter_context(Child(kind, bucket, f"{kind}-", seed, env)) for kind in kinds
        ]
        for child in children:
            print_now(f"{child.kind:<16}{child.answer()['package']}")
            soak.memory_bytes[child.kind] = child.memory_bytes
        until_s = started_s + seconds
        while soak.rounds < LEAST_ROUNDS or time.monotonic() < until_s:
            proxy.use_rules(*rules(rate), seed=seed + soak.rounds)
            answers = _round(children, proxy, soak.rounds, round_s)
            seen = proxy.seen
            for kind, answer in answers.items():
                soak.counted[kind].update(answer["counted"])
                audit = Audit(server.client, bucket, kind, soak.rounds, seen)
                soak.found[kind].add(audit.judge(answer))
            soak.requests.update(one.operation for one in seen)
            soak.faults.update(f"{one.operation}: {one.fault}" for one in seen if one.fault)
            soak.rounds += 1
            server.give_back_deleted()
            _say_round(soak, time.monotonic() - started_s)
    soak.seconds = time.monotonic() - started_s
    return soak


def _round(children: list[Child], proxy: FaultProxy, part: int, seconds: float) -> dict[str, Any]:
    """Let all writers write and drain; late requests reach the server meanwhile."""
    answers: dict[str, Any] = {}
    with selectors.DefaultSelector() as waiting:
        for child in children:
            child.ask(part=part, seconds=seconds)
            waiting.register(child.answers, selectors.EVENT_READ, child)
        started_s = late_s = time.monotonic()
        while waiting.get_map():
            for key, _ in waiting.select(SAMPLE_S):
                answers[key.data.kind] = key.data.answer()
                waiting.unregister(key.fileobj)
            for child in children:
                child.sample()
            now_s = time.monotonic()
            if now_s >= late_s + LATE_S:
                proxy.release()
                late_s = now_s
            if now_s > started_s + seconds + ROUND_LIMIT_S:
                left = sorted(key.data.kind for key in waiting.get_map().values())
                msg = f"round {part}: no answer of {', '.join(left)}"
                raise RuntimeError(msg)
    proxy.release()
    return answers


def _say_round(soak: Soak, seconds: float) -> None:
    landed = sum(found.landed for found in soak.found.values())
    memory = max(samples[-1] for samples in soak.memory_bytes.values()) // 1024**2
    print_now(
        f"round {soak.rounds}, {seconds:.0f} s: {landed:,} records, "
        f"{soak.requests.total():,} requests, {soak.faults.total():,} faults, "
        f"{len(soak.violations)} violations, {memory} MiB"
    )


def _end(number: int, frame: object) -> None:
    """End as by an error, so that servers and writers end too."""
    del frame
    sys.exit(SIGNALLED + number)


def main() -> int:
    """Soak and print; give the exit code."""
    parser = argparse.ArgumentParser(prog="long.soak.run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the faults (default 1)")
    parser.add_argument(
        "--rate", type=float, default=0.05, help="the share of requests that fail (default 0.05)"
    )
    parser.add_argument("--only", choices=KINDS, action="append", help="these writers only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    setting = about(chosen.seed)
    print_now(titles(setting))
    soak = run(chosen.seconds, chosen.seed, chosen.rate, tuple(chosen.only or KINDS))
    violations = soak.violations
    print_now(tables(soak))
    for text in violations[:SHOWN]:
        print_now(f"VIOLATION: {text}")
    print_now(outcome(violations))
    if chosen.json:
        chosen.json.write_text(json.dumps({"about": setting, **soak.figures()}, indent=1))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
