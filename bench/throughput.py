"""Throughput: what the Lambda handler costs, against its peers and against a minimal handler.

All contenders write the same events to the same sink over TLS, each in a process of its own, in
turn, round after round; so what disturbs one disturbs all, and ratios are of the same round.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from contenders import CODECS, ContenderSpec, entries
from report import finish, make_parser, parse_options, start
from sink_environment import sink_environment
from throughput_case import Case, Series, run_case
from throughput_report import SMALL_EVENT, judge

SOURCES = ("sqs", "kinesis")
FULL = (
    *(Case(source, record_bytes) for source in SOURCES for record_bytes in (1024, 200, 20 * 1024)),
    *(Case(source, 1024, SMALL_EVENT) for source in SOURCES),
)
SHORT = (
    Case("sqs", 1024),
    Case("sqs", 200),
    Case("kinesis", 1024),
    Case("sqs", 1024, SMALL_EVENT),
)


def measure(cases: Sequence[Case], rounds: int, present: Sequence[ContenderSpec]) -> list[Series]:
    """Run every case against one sink; all it starts has ended when it returns."""
    measured: list[Series] = []
    with sink_environment() as shared:
        for case in cases:
            measured += run_case(case, present, shared, rounds)
    return measured


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__, rounds=9, short_rounds=3)
    parser.add_argument("--only", choices=SOURCES, help="events of this source only")
    parser.add_argument(
        "--records", type=int, help="one case: events of this many records of 1 KiB"
    )
    parser.add_argument(
        "--codec", choices=CODECS, action="append", help="batcher's, again for more"
    )
    found = parse_options(parser)
    cases = SHORT if found.short else FULL
    if found.records is not None:
        cases = tuple(Case(source, 1024, found.records) for source in SOURCES)
    cases = tuple(case for case in cases if found.only in {None, case.source})
    codecs = found.codec or (CODECS[:2] if found.short else CODECS)
    present, absent = entries(codecs)
    setting = start()
    started_s = time.monotonic()
    result = judge(measure(cases, found.rounds, present))
    result.notes += [f"{one.label}: left out, {one.needs} is not installed" for one in absent]
    result.notes.append(f"took {time.monotonic() - started_s:.0f} s")
    finish(result, setting, found.json)


if __name__ == "__main__":
    main()
