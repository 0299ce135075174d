"""Golden objects of the handler: what each event becomes in S3, and what Lambda is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from batcher.handler import make_handler
from batcher.settings import Settings
from batcher.settings.types import EngineName

from . import inputs
from .capture import Clock, Names, described, objects_in, outcome, receipt, unwritten
from .expected import compare, compare_names
from .inputs import MIB, dynamodb, event, fifo, kinds, kinesis, records, sqs, texts
from .server import BUCKET, RecordingS3

ENGINES = ("aioboto3", "obstore")
KIND = "kind={field:kind}"
HOUR = "dt={arrival:%Y-%m-%d}/hour={arrival:%H}"


@dataclass(frozen=True)
class Case:
    """Events for one handler, one after the other."""

    name: str
    events: Callable[[], list[Any]]
    settings: dict[str, Any] = field(default_factory=dict)
    transform: Callable[[bytes], Any] | None = None
    refuse: str = ""
    busy_once: bool = False
    remaining_ms: int | None = None
    """The time that Lambda says is left; None: the handler is given no context."""


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context that is read."""

    remaining_ms: int

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the function is killed."""
        return self.remaining_ms


def _bad_sqs() -> list[Any]:
    good = inputs.GOOD.decode()
    return [sqs([good, *inputs.BAD_TEXTS, "half a pair \ud83d", 7, None, good])]


def _bad_kinesis() -> list[Any]:
    data: list[bytes | str] = [inputs.GOOD, *inputs.BAD_BYTES, "not base64!", "e30", inputs.GOOD]
    return [kinesis(data)]


def _bad_dynamodb() -> list[Any]:
    return [
        event(
            [
                inputs.dynamodb_record(0),
                inputs.dynamodb_record(1, {"Id": {"S": "half a pair \ud83d"}}),
                inputs.dynamodb_record(2, {"Id": {"N": 2**70}}),
                inputs.dynamodb_record(3, {"Id": {"S": "x" * 3_000}}),
                inputs.dynamodb_record(4),
            ]
        )
    ]


def _hostile_values() -> list[str]:
    values = [*inputs.HOSTILE_VALUES]
    made = [inputs.dumped({"kind": value, "n": n}) for n, value in enumerate(values)]
    return [*made, '{"n":"missing"}', '{"kind":1e999}', '[{"kind":"in a list"}]', '"kind"']


def _across_hours() -> list[Any]:
    start_ms = int(inputs.NOW_S * 1000)
    sent_ms = [start_ms - 1, start_ms, start_ms + 3_599_999, start_ms + 3_600_000, start_ms - 1]
    bodies = texts(5)
    return [event(inputs.message(i, bodies[i], str(sent_ms[i])) for i in range(5))]


def _redelivered_in_another_order() -> list[Any]:
    made = sqs(texts(6))["Records"]
    return [event(made), event(reversed(made)), event(made[:4])]


def _odd_times() -> list[Any]:
    bodies = texts(4)
    made = [inputs.message(i, bodies[i]) for i in range(4)]
    made[0]["attributes"].pop("SentTimestamp")
    made[2]["attributes"]["SentTimestamp"] = "yesterday"
    return [event(made)]


def _duplicates() -> list[Any]:
    first, second = texts(2)
    return [
        event(
            [
                inputs.message(0, first),
                inputs.message(1, second),
                inputs.message(0, first),
                inputs.message(1, '{"another":"content"}'),
            ]
        )
    ]


def _two_queues() -> list[Any]:
    bodies = texts(4)
    other = "arn:aws:sqs:us-east-2:123456789012:_hidden-queue"
    return [
        event(
            inputs.message(i, body, arn=other if i % 2 else inputs.QUEUE)
            for i, body in enumerate(bodies)
        )
    ]


def _fifo_out_of_order() -> list[Any]:
    made = fifo(texts(6))["Records"]
    return [event([made[i] for i in (3, 0, 5, 1, 4, 2)])]


def _fifo_numbers() -> list[Any]:
    numbers: tuple[object, ...] = ("7", 12, "18873177232222703872", "x", "100")
    bodies = texts(5)
    return [event(inputs.fifo_message(i, bodies[i], "g", numbers[i]) for i in range(5))]


def _two_shards() -> list[Any]:
    made = [
        inputs.kinesis_record(
            i,
            text.encode(),
            shard=f"shardId-00000000000{i % 2}",
            arn=f"{inputs.STREAM}/consumer/one:1545085650" if i % 2 else inputs.STREAM,
        )
        for i, text in enumerate(texts(5))
    ]
    return [event(made)]


def _two_tables() -> list[Any]:
    other = "arn:aws:dynamodb:us-east-2:123456789012:table/Users/stream/2026-01-02T03:04:05.678"
    return [
        event(inputs.dynamodb_record(i, arn=other if i % 2 else inputs.TABLE) for i in range(5))
    ]


def _bisected() -> list[Any]:
    data = [text.encode() for text in texts(6)]
    return [kinesis(data), kinesis(data[:3]), kinesis(data[3:], 3), kinesis(data[3:], 3)]


MIDNIGHT_S = inputs.NOW_S - 7 * 3_600


def _bad_sqs_at_midnight() -> list[Any]:
    after_ms, before_ms = str(int(MIDNIGHT_S * 1000)), str(int(MIDNIGHT_S * 1000) - 1)
    times = [after_ms, before_ms, after_ms]
    return [event(inputs.message(i, "bad", times[i]) for i in range(3))]


def _bad_kinesis_at_midnight() -> list[Any]:
    offsets = [0.0, -0.5, 0.5]
    return [event(inputs.kinesis_record(i, b"bad", at_s=MIDNIGHT_S + offsets[i]) for i in range(3))]


def _bad_bisected() -> list[Any]:
    data = [b"bad", b"{}", b"[", b"{}", b"", b"7"]
    return [kinesis(data), kinesis(data), kinesis(data[:2]), kinesis(data[2:], 2)]


def _bisected_kinds() -> list[Any]:
    return [kinesis(kinds(7)), kinesis(kinds(4)), kinesis(kinds(7)[4:], 4)]


def _bisected_large() -> list[Any]:
    data = inputs.bulk(1 * MIB)
    return [kinesis(data), kinesis(data), kinesis(data[:128]), kinesis(data[128:], 128)]


def _mixed_sources() -> list[Any]:
    return [event([inputs.message(0, "{}"), inputs.kinesis_record(0, b"{}")])]


def _without_identity() -> list[Any]:
    made = sqs(texts(2))
    del made["Records"][1]["messageId"]
    return [made]


def _double_numbers(payload: bytes) -> object:
    """Transform in each way that there is."""
    record = json.loads(payload)
    number = record["n"]
    if number == 3:
        msg = "secret"
        raise ValueError(msg)
    if number == 5:
        return "not json"
    outputs: list[object] = [{**record, "n": 2 * number}, payload + b" ", payload.decode(), None]
    return outputs[number % 4]


EVERYTHING = {
    "sse": "aws:kms",
    "kms_key_id": "arn:aws:kms:us-east-2:123456789012:key/1234abcd",
    "storage_class": "STANDARD_IA",
    "tags": {"team": "data & tools", "cost": "42/ü"},
    "metadata": {"Team": "data", "x-origin": "golden = 1"},
    "content_type": "application/json; charset=utf-8",
}
BAD = {"max_bytes": 3_000}
NO_FOLDERS = {"fanout": 1, "partition_by": ""}
IN_PARTS = {"multipart_threshold": 64 * 1024, "part_size": 5 * MIB}


def _sqs_cases() -> list[Case]:
    seven = [sqs(texts(7))]
    compressions = [("none", 0), *(("gzip", n) for n in (0, 1, 6, 9)), ("zstd", -7), ("zstd", 3)]
    compressed = [
        Case(
            f"sqs_{compression}_{level}",
            lambda: [sqs(texts(300))],
            {"compression": compression, "compression_level": level},
        )
        for compression, level in compressions
    ]
    half = "half a message: \u00fc \U0001f680"
    return [
        *compressed,
        Case("sqs_defaults", lambda: seven),
        Case("sqs_no_root_no_salt", lambda: seven, {"root": "", "fanout": 1}),
        Case("sqs_fanout_256_deep_root", lambda: seven, {"root": "/a/b c/", "fanout": 256}),
        Case("sqs_without_partition", lambda: seven, NO_FOLDERS),
        Case("sqs_one_large_message", lambda: [sqs([json.dumps({"x": "y" * 200_000})])]),
        Case("sqs_by_hour", _across_hours),
        Case("sqs_by_field", lambda: [sqs(_hostile_values())], {"partition_by": f"dt=1/{KIND}"}),
        Case(
            "sqs_by_fields_and_hour",
            lambda: [sqs(texts(9))],
            {"partition_by": "{arrival:%Y/%j}/{field:payload.sender.login}/x={field:event}"},
        ),
        Case("sqs_unusual_json", lambda: [sqs(inputs.UNUSUAL_TEXTS)]),
        Case(
            "sqs_lines",
            lambda: [sqs(["a text", "", "with\nnewline", "\r", half, "\ud83d"])],
            {"format": "lines"},
        ),
        Case(
            "sqs_lines_uncompressed",
            lambda: [sqs(["a text", "another"])],
            {"format": "lines", "compression": "none"},
        ),
        Case("sqs_bad_quarantined", _bad_sqs, BAD),
        Case("sqs_bad_with_every_setting", lambda: [sqs(["{}", "bad"])], EVERYTHING),
        Case("sqs_bad_dropped", _bad_sqs, BAD | {"on_bad_record": "drop"}),
        Case(
            "sqs_bad_failed_partial",
            _bad_sqs,
            BAD | {"on_bad_record": "fail", "partial_response": True},
        ),
        Case("sqs_bad_failed_whole", _bad_sqs, BAD | {"on_bad_record": "fail"}),
        Case("sqs_bad_at_midnight", _bad_sqs_at_midnight),
        Case("sqs_all_bad", lambda: [sqs(["bad", "too"])]),
        Case("sqs_max_records", lambda: [sqs(texts(8))], {"max_records": 3}),
        Case("sqs_max_bytes", lambda: [sqs(texts(8))], {"max_bytes": 600}),
        Case("sqs_max_bytes_redelivered", _redelivered_in_another_order, {"max_bytes": 600}),
        Case("sqs_two_queues", _two_queues),
        Case("sqs_duplicates", _duplicates),
        Case("sqs_redelivered", _redelivered_in_another_order),
        Case("sqs_odd_times", _odd_times),
        Case("sqs_without_identity", _without_identity),
        Case(
            "sqs_one_object_refused_partial",
            lambda: [sqs([kind.decode() for kind in kinds(7)])],
            {"partition_by": KIND, "partial_response": True},
            refuse="kind=b",
        ),
        Case(
            "sqs_one_object_refused_whole",
            lambda: [sqs([kind.decode() for kind in kinds(7)])],
            {"partition_by": KIND},
            refuse="kind=b",
        ),
        Case("sqs_refused_quarantine", _bad_sqs, BAD, refuse="_quarantine"),
        Case("sqs_every_setting", lambda: seven, EVERYTHING),
        Case("sqs_sse_s3", lambda: seven, {"sse": "AES256", "tags": {"a": ""}}),
        Case(
            "sqs_transformed",
            lambda: [sqs([f'{{"n":{n}}}' for n in range(8)])],
            transform=_double_numbers,
        ),
        Case(
            "sqs_in_parts",
            lambda: [sqs([text.decode() for text in inputs.bulk(1 * MIB)])],
            IN_PARTS | EVERYTHING,
        ),
        Case("sqs_busy_once", lambda: seven, busy_once=True),
        Case("sqs_no_time_left", lambda: seven, {"partial_response": True}, remaining_ms=1_000),
        Case("sqs_time_left", lambda: seven, remaining_ms=60_000),
    ]


def _fifo_cases() -> list[Case]:
    return [
        Case("fifo_defaults", lambda: [fifo(texts(6))]),
        Case("fifo_out_of_order", _fifo_out_of_order),
        Case("fifo_numbers", _fifo_numbers, {"partial_response": True}),
        Case("fifo_max_records", _fifo_out_of_order, {"max_records": 2}),
        Case(
            "fifo_bad_failed_partial",
            lambda: [fifo([*texts(2), "bad", *texts(4)])],
            {"on_bad_record": "fail", "partial_response": True},
        ),
        Case("fifo_bad_quarantined", lambda: [fifo([*texts(2), "bad", *texts(1), "bad"])]),
        Case(
            "fifo_one_object_refused_partial",
            lambda: [fifo([kind.decode() for kind in kinds(9)], "gh")],
            {"partition_by": KIND, "partial_response": True},
            refuse="kind=c",
        ),
        Case("fifo_redelivered", lambda: [*_fifo_out_of_order(), fifo(texts(6))]),
    ]


def _kinesis_cases() -> list[Case]:
    five = [text.encode() for text in texts(5)]
    return [
        Case("kinesis_defaults", lambda: [kinesis(five)]),
        Case("kinesis_zstd", lambda: [kinesis(five)], {"compression": "zstd"}),
        Case("kinesis_unsalted", lambda: [kinesis(five)], {"fanout": 1}),
        Case("kinesis_two_shards", _two_shards),
        Case(
            "kinesis_unusual_json",
            lambda: [kinesis([text.encode() for text in inputs.UNUSUAL_TEXTS])],
        ),
        Case("kinesis_bad_quarantined", _bad_kinesis, BAD),
        Case("kinesis_first_bad", lambda: [kinesis([b"bad", *five])]),
        Case("kinesis_bad_at_midnight", _bad_kinesis_at_midnight),
        Case("kinesis_bad_dropped", _bad_kinesis, BAD | {"on_bad_record": "drop"}),
        Case(
            "kinesis_bad_failed_partial",
            _bad_kinesis,
            BAD | {"on_bad_record": "fail", "partial_response": True},
        ),
        Case("kinesis_bad_failed_whole", _bad_kinesis, BAD | {"on_bad_record": "fail"}),
        Case(
            "kinesis_lines",
            lambda: [kinesis([b"text", inputs.NOT_UTF8, b"\x00\xff", b"a\nb", inputs.GZIPPED])],
            {"format": "lines"},
        ),
        Case(
            "kinesis_limits_do_not_split",
            lambda: [kinesis(five)],
            {"max_records": 2, "max_bytes": 800},
        ),
        Case("kinesis_redelivered", lambda: [kinesis(five), kinesis(five)]),
        Case("kinesis_bisected", _bisected),
        Case("kinesis_bisected_many_partitions", _bisected_kinds, {"partition_by": KIND}),
        Case("kinesis_bad_bisected", _bad_bisected),
        Case("kinesis_bisected_in_parts", _bisected_large, IN_PARTS),
        Case(
            "kinesis_three_parts",
            lambda: [kinesis(inputs.bulk(12 * MIB))],
            {"compression": "none", "part_size": 5 * MIB, "multipart_threshold": 6 * MIB},
        ),
        Case(
            "kinesis_small_budget",
            lambda: [kinesis(inputs.bulk(6 * MIB))],
            {"budget_bytes": 8 * MIB, "fanout": 1},
        ),
        Case(
            "kinesis_over_budget",
            lambda: [kinesis(inputs.bulk(1 * MIB))],
            {"budget_bytes": 512 * 1024, "partial_response": True},
        ),
        Case(
            "kinesis_one_object_refused_partial",
            lambda: [kinesis(kinds(7), 3)],
            {"partition_by": KIND, "partial_response": True},
            refuse="kind=b",
        ),
        Case(
            "kinesis_one_object_refused_whole",
            lambda: [kinesis(kinds(7), 3)],
            {"partition_by": KIND},
            refuse="kind=b",
        ),
        Case(
            "kinesis_duplicates",
            lambda: [event([*kinesis(five)["Records"], *kinesis(five[:2])["Records"]])],
        ),
        Case(
            "kinesis_transformed",
            lambda: [kinesis([f'{{"n":{n}}}'.encode() for n in range(8)])],
            transform=_double_numbers,
        ),
        Case(
            "kinesis_no_time_left",
            lambda: [kinesis(five)],
            {"partial_response": True},
            remaining_ms=0,
        ),
    ]


def _dynamodb_cases() -> list[Case]:
    return [
        Case("dynamodb_defaults", lambda: [dynamodb(5)]),
        Case("dynamodb_two_tables", _two_tables),
        Case("dynamodb_bad_quarantined", _bad_dynamodb, BAD),
        Case("dynamodb_bad_dropped", _bad_dynamodb, BAD | {"on_bad_record": "drop"}),
        Case("dynamodb_bisected", lambda: [dynamodb(6), dynamodb(3), dynamodb(3, 3)]),
        Case(
            "dynamodb_by_change",
            lambda: [dynamodb(6), dynamodb(2)],
            {"partition_by": "change={field:eventName}", "fanout": 4},
        ),
        Case(
            "dynamodb_one_object_refused_partial",
            lambda: [dynamodb(6, 1)],
            {"partition_by": "change={field:eventName}", "partial_response": True},
            refuse="change=INSERT",
        ),
        Case(
            "dynamodb_one_object_refused_whole",
            lambda: [dynamodb(6, 1)],
            {"partition_by": "change={field:eventName}"},
            refuse="change=INSERT",
        ),
        Case(
            "dynamodb_duplicates",
            lambda: [event([*dynamodb(3)["Records"], *dynamodb(1)["Records"]])],
        ),
    ]


def _direct_cases() -> list[Case]:
    return [
        Case("direct_one", lambda: [records(1)[0]]),
        Case("direct_list", lambda: [records(5)]),
        Case("direct_list_unsalted", lambda: [records(5)], {"fanout": 1}),
        Case("direct_list_empty", lambda: [[]]),
        Case(
            "direct_by_field",
            lambda: [[{"kind": "abc"[n % 3], "n": n} for n in range(7)]],
            {"partition_by": f"dt={{arrival:%Y-%m-%d}}/{KIND}", "fanout": 2},
        ),
        Case("direct_max_records", lambda: [records(5)], {"max_records": 2}),
        Case("direct_bad_quarantined", lambda: [[{"a": 1}, {"large": "x" * 3_000}, {"b": 2}]], BAD),
        Case(
            "direct_bad_failed",
            lambda: [[{"a": 1}, {"large": "x" * 3_000}]],
            BAD | {"on_bad_record": "fail", "partial_response": True},
        ),
        Case(
            "direct_one_object_refused",
            lambda: [[{"kind": "a"}, {"kind": "b"}]],
            {"partition_by": KIND, "partial_response": True},
            refuse="kind=b",
        ),
        Case("direct_unwritable", lambda: [[{"a": 1}, {"b": object()}]]),
        Case(
            "direct_in_parts", lambda: [[{"n": "x" * 100_000}]], {"compression": "none"} | IN_PARTS
        ),
    ]


def _other_cases() -> list[Case]:
    no_events: list[Any] = [{"Records": []}, {}, None, "text", ["text"], 7, {"Records": "text"}]
    unknown: list[Any] = [
        {"Records": [{"EventSource": "aws:sns", "Sns": {}}]},
        {"awslogs": {"data": "H4sI"}},
        {"eventSource": "aws:kafka", "records": {}},
        {"detail-type": "x", "source": "aws.ec2", "detail": {}},
    ]
    return [
        Case("other_no_records", lambda: no_events),
        Case("other_unknown_sources", lambda: unknown),
        Case("other_several_sources", _mixed_sources),
    ]


ALL = [
    *_sqs_cases(),
    *_fifo_cases(),
    *_kinesis_cases(),
    *_dynamodb_cases(),
    *_direct_cases(),
    *_other_cases(),
]
CASES = {case.name: case for case in ALL}
GROUPS = ("sqs", "fifo", "kinesis", "dynamodb", "direct", "other")


def _group_of(name: str) -> str:
    return name.partition("_")[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_events_become_the_golden_objects(s3: RecordingS3, name: str, engine: str) -> None:
    case = CASES[name]
    s3.reset(refuse=case.refuse, busy_once=case.busy_once)
    settings = Settings(**{"bucket": BUCKET, "root": "events", "engine": engine, **case.settings})
    handler = make_handler(settings, transform=case.transform)
    context = None if case.remaining_ms is None else Context(case.remaining_ms)
    events, clock = case.events(), Clock()
    try:
        with clock.running():
            answers = [outcome(lambda sent=sent: handler(sent, context)) for sent in events]  # type: ignore[misc]  # mypy infers no defaults
    finally:
        handler.close()
    assert not s3.faults
    found = objects_in(s3)
    names = Names(s3.requests, clock)
    sizes = {one.key: len(one.body) for one in found}
    for answer in answers:
        given = answer.get("returned", {}).get("receipts", [])
        given[:] = [receipt(**one, names=names, sizes=sizes) for one in given]
    facts = {
        "answers": answers,
        "objects": described(found, names, clock),
        "unwritten": unwritten(s3, names),
        "open_uploads": [upload.key for upload in s3.uploads.values()],
    }
    compare(_group_of(name), name, facts, is_first=engine == ENGINES[0])


@pytest.mark.parametrize("group", GROUPS)
def test_every_golden_event_is_tested(group: str) -> None:
    assert len(CASES) == len(ALL)
    compare_names(group, [name for name in CASES if _group_of(name) == group])


@pytest.mark.parametrize(
    ("engine", "checksum"),
    [("aioboto3", "x-amz-checksum-crc32"), ("obstore", "x-amz-checksum-crc64nvme")],
)
def test_every_body_has_the_checksum_of_its_engine(
    s3: RecordingS3, engine: EngineName, checksum: str
) -> None:
    handler = make_handler(Settings(bucket=BUCKET, engine=engine))
    try:
        handler(sqs(texts(3)))
    finally:
        handler.close()
    assert s3.checksums == {checksum}
    assert not s3.faults
