"""Golden objects of `Batcher`: what a program's records become in S3, and what tickets say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import batcher
from batcher.batcher import Batcher
from batcher.settings import Settings

from . import inputs
from .capture import Clock, Names, described, facts_of, objects_in, receipt, unwritten
from .expected import compare, compare_names
from .inputs import MIB, NOW_S, kinds, records, texts
from .server import BUCKET, RecordingS3

ENGINES = ("aioboto3", "obstore")
KIND = "kind={field:kind}"
BAD = {"max_bytes": 3_000}


@dataclass(frozen=True)
class Case:
    """What a program does with one batcher, one step after the other."""

    name: str
    steps: Callable[[], list[tuple[str, Any]]]
    """Names of methods and their argument; `wait` is for a ticket, `wait_for_upload` for S3."""
    settings: dict[str, Any] = field(default_factory=dict)
    transform: Callable[[bytes], Any] | None = None
    refuse: str = ""


def _one_each() -> list[tuple[str, Any]]:
    record = {"name": "Größe", "n": 2**70, "nested": {"none": None, "list": [1.5, True]}}
    made: list[Any] = [record, '{"text": "ü \u2028"}', b'{"bytes":1}', '{"pretty":\n1}']
    return [("submit", one) for one in made]


def _bad() -> list[tuple[str, Any]]:
    good = inputs.GOOD
    singles: list[Any] = [good, "half a pair \ud83d", {"nan": float("nan")}, b"bad"]
    return [("submit_many", [good, *inputs.BAD_BYTES, good]), *(("submit", one) for one in singles)]


def _unfit() -> list[tuple[str, Any]]:
    return [
        ("submit", {"a": 1}),
        ("submit", 7),
        ("submit", None),
        ("submit", {"a": object()}),
        ("submit_many", "one record"),
        ("submit_many", [b"{}", 7]),
        ("submit_many", []),
        ("aclose", None),
        ("submit", {"a": 2}),
    ]


def _streamed(size_bytes: int) -> list[tuple[str, Any]]:
    made = list(inputs.bulk(size_bytes))
    cut = 2 * len(made) // 3
    return [("submit_many", made[:cut]), ("wait_for_upload", None), ("submit_many", made[cut:])]


def _without_odd(payload: bytes) -> object:
    """Leave out odd numbers; fail on 4."""
    number = int(payload)
    if number == 4:
        msg = "secret"
        raise ValueError(msg)
    return None if number % 2 else {"doubled": 2 * number}


IN_PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
ALL = [
    Case("library_one_each", _one_each),
    Case("library_one_each_without_folders", _one_each, {"fanout": 1, "partition_by": ""}),
    Case("library_many", lambda: [("submit_many", records(6))]),
    Case("library_many_and_more", lambda: [("submit_many", texts(3)), ("submit", texts(4)[3])]),
    Case("library_flushed_between", lambda: [*_one_each()[:2], ("flush", None), *_one_each()[2:]]),
    Case("library_linger_0", lambda: _one_each()[:3], {"linger_s": 0}),
    Case("library_max_records", lambda: [("submit_many", texts(7))], {"max_records": 3}),
    Case("library_max_bytes", lambda: [("submit_many", texts(7))], {"max_bytes": 600}),
    Case(
        "library_many_partitions",
        lambda: [("submit_many", kinds(8)), ("submit", b'{"kind":"d"}')],
        {"partition_by": f"dt={{arrival:%Y-%m-%d}}/{KIND}", "fanout": 2},
    ),
    Case(
        "library_lines",
        lambda: [("submit_many", ["a text", b"\xff\x00", "two\nlines", ""])],
        {"format": "lines", "compression": "none"},
    ),
    Case(
        "library_two_blocks_zstd",
        lambda: [("submit_many", list(inputs.bulk(1 * MIB)))],
        {"compression": "zstd", "compression_level": 3},
    ),
    Case("library_two_blocks_gzip", lambda: [("submit_many", list(inputs.bulk(1 * MIB)))]),
    Case("library_bad_quarantined", _bad, BAD),
    Case("library_bad_dropped", _bad, BAD | {"on_bad_record": "drop"}),
    Case("library_bad_failed", _bad, BAD | {"on_bad_record": "fail"}),
    Case("library_unfit", _unfit),
    Case(
        "library_transformed",
        lambda: [("submit_many", [b"%d" % n for n in range(6)]), ("submit", b"7")],
        transform=_without_odd,
    ),
    Case(
        "library_one_object_refused",
        lambda: [("submit_many", kinds(4)), ("submit", b'{"kind":"a"}')],
        {"partition_by": KIND},
        refuse="kind=b",
    ),
    Case(
        "library_refused_unheard",
        lambda: [("forget", b'{"kind":"b"}'), ("flush", None), ("submit", b'{"kind":"a"}')],
        {"partition_by": KIND},
        refuse="kind=b",
    ),
    Case(
        "library_every_setting",
        lambda: [("submit", {"a": 1})],
        {
            "sse": "aws:kms:dsse",
            "storage_class": "INTELLIGENT_TIERING",
            "tags": {"team": "data"},
            "metadata": {"Team": "data"},
            "content_type": "text/x-golden",
        },
    ),
    Case(
        "library_in_parts",
        lambda: [("submit_many", [b'"%s"' % (b"x" * 100_000)])],
        {"compression": "none", "multipart_threshold": "64KiB"},
    ),
    Case("library_streamed", lambda: _streamed(18 * MIB), IN_PARTS | {"compression": "none"}),
    Case("library_streamed_gzip", lambda: _streamed(15 * MIB), IN_PARTS),
    Case("library_streamed_zstd", lambda: _streamed(15 * MIB), IN_PARTS | {"compression": "zstd"}),
]
CASES = {case.name: case for case in ALL}


async def outcome(waiting: Awaitable[object]) -> dict[str, Any]:
    """Return what came of it."""
    try:
        return {"returned": await waiting}
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the outcome
        return {"raised": facts_of(error)}


async def run(case: Case, settings: Settings, s3: RecordingS3) -> list[dict[str, Any]]:
    """Do what a program does; return what came of each step, and of the end."""
    outcomes: list[dict[str, Any]] = []
    made = Batcher(settings, transform=case.transform, clock=lambda: 0.0, wall_clock=lambda: NOW_S)
    for name, argument in case.steps():
        if name == "wait_for_upload":
            await asyncio.to_thread(s3.wait_for_upload)
            continue
        method = getattr(made, name.replace("forget", "submit"))
        came = await outcome(
            method() if argument is None and name != "submit" else method(argument)
        )
        if name == "forget":
            came = {"returned": None}
        outcomes.append({"step": name, **came})
    closed = await outcome(made.aclose())
    for came in outcomes:
        if isinstance(came.get("returned"), batcher.Ticket):
            came |= {"ticket": await outcome(came.pop("returned"))}
    return [*outcomes, {"step": "end", **closed}]


def _told(given: Any, names: Names, sizes: dict[str, int]) -> Any:  # noqa: ANN401  # receipts
    """Return the facts of receipts."""
    if isinstance(given, list):
        return [_told(one, names, sizes) for one in given]
    if given is None:
        return None
    facts = receipt(given.key, given.records, given.size_bytes, names, sizes)
    return {**facts, "quarantined": given.quarantined}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_a_programs_records_become_the_golden_objects(
    s3: RecordingS3, name: str, engine: str
) -> None:
    case = CASES[name]
    s3.reset(refuse=case.refuse)
    settings = Settings(**{"bucket": BUCKET, "root": "events", "engine": engine, **case.settings})
    outcomes = asyncio.run(run(case, settings, s3))
    assert not s3.faults
    clock = Clock(fixed_s=NOW_S)
    found = objects_in(s3)
    names = Names(s3.requests, clock)
    sizes = {one.key: len(one.body) for one in found}
    for came in outcomes:
        ticket = came.get("ticket", {})
        if "returned" in ticket:
            ticket["returned"] = _told(ticket["returned"], names, sizes)
    facts = {
        "answers": outcomes,
        "objects": described(found, names, clock),
        "unwritten": unwritten(s3, names),
        "open_uploads": [upload.key for upload in s3.uploads.values()],
    }
    compare("library", name, facts, is_first=engine == ENGINES[0])


def test_every_golden_program_is_tested() -> None:
    assert len(CASES) == len(ALL)
    compare_names("library", CASES)
