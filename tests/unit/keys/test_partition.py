"""Partitions: which Hive-style path each record belongs under, escaped."""

from __future__ import annotations

import hashlib
import json

import pytest

from batcher.keys.partition import DEFAULT_PARTITION, PartitionTemplate, escape_value
from batcher.records.chunk import Chunk
from batcher.records.columns import ConstantColumn
from support.examples import ARRIVAL_S, make_chunk

HOUR_S = 3600.0


def paths(template: str, chunk: Chunk) -> list[tuple[str, list[bytes | str]]]:
    """Divide a chunk; give each path with its payloads."""
    return [(path, list(part.payloads)) for path, part in PartitionTemplate(template).split(chunk)]


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("Az09._-", "Az09._-"),
        ("../", "..%2F"),
        ("../../etc", "..%2F..%2Fetc"),
        ("/", "%2F"),
        ("a/b", "a%2Fb"),
        ("a\nb", "a%0Ab"),
        ("\x00\x7f", "%00%7F"),
        ("a=b", "a%3Db"),
        ("a b+c", "a%20b%2Bc"),
        ("100%", "100%25"),
        ("~", "%7E"),
        ("\u00fc\u4e2d\U0001f600", "%C3%BC%E4%B8%AD%F0%9F%98%80"),
        ("\ud800", "%ED%A0%80"),
        ("...", "..."),
        (".", DEFAULT_PARTITION),
        ("..", DEFAULT_PARTITION),
        ("", DEFAULT_PARTITION),
        (None, DEFAULT_PARTITION),
        (7, "7"),
        (-1.5, "-1.5"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        ([], DEFAULT_PARTITION),
        ({"a": "/"}, DEFAULT_PARTITION),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_value_is_escaped_as_hive_reads_it_back(value: object, escaped: str) -> None:
    """A record can choose its partition, never another key space."""
    assert escape_value(value) == escaped


@pytest.mark.parametrize("text", ["x" * 129, "\u00e9" * 22, "x" * 10**6, "/" * 43])
def test_a_huge_value_keeps_its_start_and_a_digest(text: str) -> None:
    """The first 96 bytes, a tilde, and 16 hex digits."""
    escaped = escape_value(text)
    start, _, digest = escaped.partition("~")
    assert len(start) == 96
    assert digest == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert escape_value(text + "y") != escaped


def test_without_placeholders_all_records_share_one_path() -> None:
    """Empty is no path at all; slashes around do not count."""
    chunk = make_chunk(b"1", b"2")
    assert paths("", chunk) == [("", [b"1", b"2"])]
    assert paths("/team=a/", chunk) == [("team=a", [b"1", b"2"])]


def test_arrival_times_are_in_utc() -> None:
    """The default of `partition_by`."""
    template = "dt={arrival:%Y-%m-%d}/hour={arrival:%H}"
    assert paths(template, make_chunk(b"1")) == [("dt=2026-11-23/hour=07", [b"1"])]


def test_a_chunk_within_one_hour_is_not_divided() -> None:
    """No code runs per record: it is the very same chunk."""
    chunk = make_chunk(b"1", b"2", arrivals_s=[ARRIVAL_S, ARRIVAL_S + HOUR_S - 0.001])
    ((_, part),) = PartitionTemplate("hour={arrival:%H}").split(chunk)
    assert part is chunk


def test_a_chunk_that_crosses_an_hour_is_divided() -> None:
    """Each part keeps the order of its records."""
    times = [ARRIVAL_S, ARRIVAL_S + HOUR_S, ARRIVAL_S + HOUR_S - 0.001, ARRIVAL_S + HOUR_S + 1]
    chunk = make_chunk(b"1", b"2", b"3", b"4", arrivals_s=times)
    assert paths("h={arrival:%H}", chunk) == [("h=07", [b"1", b"3"]), ("h=08", [b"2", b"4"])]


@pytest.mark.parametrize(
    ("directives", "unit_s"),
    [("%S", 1), ("%M", 60), ("%H-%M", 60), ("%H", 3_600), ("%d", 86_400), ("%j", 86_400)],
)
def test_a_chunk_is_divided_where_its_smallest_unit_of_time_changes(
    directives: str, unit_s: int
) -> None:
    """Within a unit all records share one path."""
    template = f"t={{arrival:{directives}}}"
    start_s = ARRIVAL_S // unit_s * unit_s
    times = [start_s, start_s + unit_s - 0.001, start_s + unit_s]
    chunk = make_chunk(b"1", b"2", b"3", arrivals_s=times)
    assert [records for _, records in paths(template, chunk)] == [[b"1", b"2"], [b"3"]]


def test_a_chunk_that_crosses_a_border_nobody_asked_for_stays_whole() -> None:
    """The hour changes, the day does not."""
    chunk = make_chunk(b"1", b"2", arrivals_s=[ARRIVAL_S, ARRIVAL_S + HOUR_S])
    assert len(PartitionTemplate("dt={arrival:%Y-%m-%d}").split(chunk)) == 1


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{arrival:%Y/%m/%d}", "2026/11/23"),
        ("{arrival:%H%M%S}", "070000"),
        ("d={arrival:%j}-{arrival:%G}W{arrival:%V}", "d=327-2026W48"),
    ],
)
def test_every_directive_without_a_locale_can_be_used(template: str, path: str) -> None:
    """Slashes within a format are folders."""
    assert PartitionTemplate.find_faults(template) == []
    assert paths(template, make_chunk(b"1")) == [(path, [b"1"])]


def test_records_are_divided_by_their_fields() -> None:
    """Nested ones too; groups come in the order of their first record."""
    chunk = make_chunk(
        b'{"c":{"id":"b"}}', b'{"c":{"id":"a/1"}}', b'{"c":{"id":"b"}}', b'{"c":{"id":7}}'
    )
    assert paths("id={field:c.id}", chunk) == [
        ("id=b", [chunk.payloads[0], chunk.payloads[2]]),
        ("id=a%2F1", [chunk.payloads[1]]),
        ("id=7", [chunk.payloads[3]]),
    ]


@pytest.mark.parametrize(
    "payload",
    ["{}", '{"c":null}', '{"c":{}}', '{"c":[]}', '{"c":"id"}', '{"c":{"id":""}}', "7", "[]", "x"],
)
def test_a_record_without_the_field_goes_to_the_default_partition(payload: str) -> None:
    """Also one that is no object, and a line that is no JSON."""
    ((path, _),) = PartitionTemplate("id={field:c.id}").split(make_chunk(payload))
    assert path == f"id={DEFAULT_PARTITION}"


def test_a_number_beyond_a_double_does_not_hide_the_other_fields() -> None:
    """1e999 is JSON, and the field is there."""
    ((path, _),) = PartitionTemplate("id={field:id}").split(make_chunk(b'{"id":"a","n":1e999}'))
    assert path == "id=a"


def test_whole_numbers_over_64_bits_stay_apart() -> None:
    """Two customers are two partitions."""
    chunk = make_chunk(b'{"id":123456789012345678901}', b'{"id":123456789012345678902}')
    assert [path for path, _ in paths("id={field:id}", chunk)] == [
        "id=123456789012345678901",
        "id=123456789012345678902",
    ]


def test_fields_and_times_stand_side_by_side() -> None:
    """Both divide the chunk."""
    payloads = [b'{"a":1,"b":"x"}', b'{"a":1,"b":"x"}', b'{"a":2}']
    chunk = make_chunk(*payloads, arrivals_s=[ARRIVAL_S, ARRIVAL_S + HOUR_S, ARRIVAL_S])
    assert [path for path, _ in paths("a={field:a}/h={arrival:%H}/b={field:b}", chunk)] == [
        "a=1/h=07/b=x",
        "a=1/h=08/b=x",
        f"a=2/h=07/b={DEFAULT_PARTITION}",
    ]


def test_fields_within_one_hour_need_no_time_of_each_record() -> None:
    """All are rendered with the first one's."""
    chunk = make_chunk(b'{"a":1}', b'{"a":2}', arrivals_s=ConstantColumn(ARRIVAL_S, 2))
    assert [path for path, _ in paths("{field:a}-{arrival:%H}", chunk)] == ["1-07", "2-07"]


def test_records_that_share_all_fields_are_not_divided() -> None:
    """It is the very same chunk."""
    chunk = make_chunk(b'{"a":1}', b'{"a":1}')
    ((_, part),) = PartitionTemplate("a={field:a}").split(chunk)
    assert part is chunk


def test_an_empty_chunk_has_no_partition() -> None:
    """With fields and without."""
    assert PartitionTemplate("").split(make_chunk()) == []
    assert PartitionTemplate("{field:a}").split(make_chunk()) == []


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("a b", "only A-Za-z0-9._-=/ are allowed outside"),
        ("a=\u00fc", "only A-Za-z0-9._-=/ are allowed outside"),
        ("{", "only A-Za-z0-9._-=/ are allowed outside"),
        ("{field:a}%", "only A-Za-z0-9._-=/ are allowed outside"),
        ("{arrival}", "use directives such as %Y %m %d"),
        ("{arrival:day}", "use directives such as %Y %m %d"),
        ("{arrival:%B}", "use directives such as %Y %m %d"),
        ("{arrival:%Y%}", "use directives such as %Y %m %d"),
        ("{arrival:%H:%M}", "besides directives"),
        ("{field:}", "use {arrival:%Y-%m-%d} or {field:name}"),
        ("{field:a..b}", "use {arrival:%Y-%m-%d} or {field:name}"),
        ("{}", "use {arrival:%Y-%m-%d} or {field:name}"),
        ("{customer}", "use {arrival:%Y-%m-%d} or {field:name}"),
        ("a//b", "empty, '.' or '..' folder"),
        ("../b", "empty, '.' or '..' folder"),
        ("a/.", "empty, '.' or '..' folder"),
        ("/", "empty, '.' or '..' folder"),
    ],
)
def test_a_template_that_cannot_work_has_its_fault_told(template: str, fault: str) -> None:
    """In words for the user."""
    assert any(fault in found for found in PartitionTemplate.find_faults(template))


@pytest.mark.parametrize("template", ["{arrival:%Y/../..}", "a={arrival:%Y//%m}", "{arrival:/%Y}"])
def test_a_format_of_time_with_an_odd_folder_has_its_fault_told(template: str) -> None:
    """A key with `//` or `..` in it is no key for a folder on disk, nor for Hive."""
    assert PartitionTemplate.find_faults(template)


@pytest.mark.parametrize("template", ["", "a", "/a/b=1/", "dt={arrival:%Y-%m-%d}", "{field:a.b.c}"])
def test_a_template_that_works_has_no_fault(template: str) -> None:
    """Slashes around it are forgiven."""
    assert PartitionTemplate.find_faults(template) == []


@pytest.mark.parametrize(
    ("template", "is_safe"),
    [
        ("", True),
        ("a={field:a}", True),
        ("day{field:a}", True),
        ("{arrival:%Y}/{field:a}", True),
        ("1x{field:a}", True),
        ("{field:a}", False),
        ("{field:a}/b", False),
        ("{arrival:%H}", False),
        ("_a={field:a}", False),
        ("_quarantine", False),
        ("01/{field:a}", False),
        ("10", False),
        ("0{field:a}", False),
    ],
)
def test_the_first_folder_is_safe_when_no_record_can_choose_it(
    template: str,
    is_safe: bool,  # noqa: FBT001  # what is expected
) -> None:
    """Names with `_` at the start, and of 0 and 1 alone, are batcher's own."""
    assert PartitionTemplate(template).is_first_folder_safe is is_safe


def test_the_longest_path_is_bounded() -> None:
    """Each field may be 128 bytes long."""
    assert PartitionTemplate("").max_bytes == 0
    assert PartitionTemplate("a={field:a}/dt={arrival:%Y-%m-%d}").max_bytes == 2 + 128 + 4 + 10


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b'{"id":"a","id":"b"}', "b"),
        (b'{"id":"a","id":null}', DEFAULT_PARTITION),
        (b'{"id":"a","id":[]}', DEFAULT_PARTITION),
        (b'{"\\u0069d":"a"}', "a"),
        (b'{"id":"\\u0061\\/"}', "a%2F"),
        (b'{ "id" : 1.50 , "x":[] }', "1.5"),
        (b'{"id":{"id":"a"}}', DEFAULT_PARTITION),
        (b'{"id":[1]}', DEFAULT_PARTITION),
        (b'{"id":1e-7}', "1e-7"),
        (b'{"id":1e999}', "1e999"),
        (b'{"x":{"id":"a"}}', DEFAULT_PARTITION),
        (b'{"id":"a","x":' + b"[" * 1023 + b"]" * 1023 + b"}", "a"),
        (b'{"id":"a","x":' + b'{"id":' * 1022 + b"1" + b"}" * 1023, "a"),
        (b'{"x":"\xff","id":"a"}', DEFAULT_PARTITION),
        (b"\xff", DEFAULT_PARTITION),
        (b'{"id":"a"} {"id":"b"}', DEFAULT_PARTITION),
    ],
)
def test_a_field_is_what_a_parser_finds(payload: bytes, value: str) -> None:
    """Of equal names the last one; but objects and arrays are no values of a partition."""
    texts: list[bytes | str] = [payload]
    if b"\xff" not in payload:
        texts.append(payload.decode())
    for text in texts:
        assert [path for path, _ in paths("id={field:id}", make_chunk(text))] == [f"id={value}"]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a b", "\u00e9", "\x00", "class", "1"])
def test_a_field_can_have_any_name(name: str) -> None:
    """Quotes and backslashes, too."""
    chunk = make_chunk(json.dumps({"other": 1, name: "v", "x": {name: 2}}))
    template = f"{{field:{name}}}/{{field:x.{name}}}/{{field:x.other}}"
    assert [path for path, _ in paths(template, chunk)] == [f"v/2/{DEFAULT_PARTITION}"]


def test_a_name_that_no_record_can_have_is_the_default_partition() -> None:
    """A lone surrogate is in no valid JSON."""
    chunk = make_chunk(b'{"a":1}')
    assert [path for path, _ in paths("{field:\ud800}/{field:a}", chunk)] == [
        f"{DEFAULT_PARTITION}/1"
    ]


def test_a_path_can_have_more_names_than_the_stack_has_frames() -> None:
    """It is followed name by name."""
    template = "{field:" + ".".join("a" * 3_000) + "}"
    assert [path for path, _ in paths(template, make_chunk(b'{"a":{"a":1}}'))] == [
        DEFAULT_PARTITION
    ]
