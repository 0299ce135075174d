"""Folders: any template taken apart fits the paths that the real one gives, and no others."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batcher.keys.partition import PartitionTemplate
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.tools.ddl.folders import DIRECTIVE_DIGITS, PieceKind, parse_folders, to_column_name

LITERALS = st.text("ab_.-=%d", max_size=3).map(lambda text: text.replace("%", ""))
TIMES = st.lists(
    st.sampled_from(
        [*(f"%{letter}" for letter in DIRECTIVE_DIGITS), "%%", "-", "/", "=", ".", "T"]
    ),
    min_size=1,
    max_size=5,
).map(lambda parts: "{arrival:" + "".join(parts) + "}")
FIELDS = st.sampled_from(["{field:a}", "{field:a.b}", "{field:x!r}", "{field:y:z}", "{field:[}"])
TEMPLATES = st.lists(st.one_of(LITERALS, TIMES, FIELDS, st.just("/")), max_size=6).map("".join)
VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=60))


def path_of(template: str, record: dict[str, Any], arrival_s: int) -> str:
    """Let the real template give a path."""
    run = Chunk(
        Origin("library", NamingScheme.FRESH), [orjson.dumps(record)], ["0"], [float(arrival_s)]
    )
    ((path, _),) = PartitionTemplate(template).split(run)
    return path


@given(TEMPLATES, VALUES, VALUES, st.integers(0, 4_000_000_000))
def test_a_path_fits_its_templates_folders(
    template: str, one: object, other: object, arrival_s: int
) -> None:
    """Folder by folder: as many, each by its pattern and its glob, and its value is the rest."""
    assume(not PartitionTemplate.find_faults(template))
    record = {"a": one, "x!r": other, "y:z": one, "[": other}
    path = path_of(template, record, arrival_s)
    folders = parse_folders(template)
    parts = path.split("/") if path else []
    assert len(folders) == len(parts)
    for folder, part in zip(folders, parts, strict=True):
        found = re.fullmatch(folder.pattern, part)
        assert found
        assert fnmatchcase(part, folder.glob)
        assert part == folder.literal_start + "".join(found.groups())
        assert bool(found.groups()) == bool(folder.value_pieces)
        if folder.value_pieces:
            assert re.fullmatch(r"[a-z_][a-z0-9_]*", folder.name)


@pytest.mark.parametrize(
    ("template", "starts", "names"),
    [
        ("dt={arrival:%Y-%m-%d}/hour={arrival:%H}", ["dt=", "hour="], ["dt", "hour"]),
        ("{arrival:%Y/%m/%d}", ["", "", ""], ["year", "month", "day"]),
        ("{arrival:%Y-%m-%d}/h{arrival:%H}", ["", "h"], ["dt", "hour"]),
        ("{arrival:Day=%d/%j}", ["Day=", ""], ["day", "day_of_year"]),
        ("{field:customer.Id}/{field:1-x}", ["", ""], ["id", "_1_x"]),
        ("{field:a}={field:b}", [""], ["a"]),
        ("v=1{field:a}", ["v=1"], ["v"]),
        ("{arrival:%V}/{arrival:%U}", ["", ""], ["part", "part"]),
    ],
)
def test_a_value_is_called_as_a_reader_would(
    template: str, starts: list[str], names: list[str]
) -> None:
    """By `name=`, else by what it is made of."""
    folders = parse_folders(template)
    assert [folder.literal_start for folder in folders] == starts
    assert [folder.name for folder in folders] == names


def test_a_constant_folder_has_no_value() -> None:
    """Such a folder is no column."""
    fixed, kind, day = parse_folders("/v1/kind=click/{arrival:%d}/")
    assert (fixed.literal_start, fixed.value_pieces, fixed.glob) == ("v1", (), "v1")
    assert (kind.literal_start, kind.value_pieces) == ("kind=click", ())
    assert [piece.kind for piece in day.value_pieces] == [PieceKind.ARRIVAL]
    assert parse_folders("") == []


def test_a_dot_stands_for_itself() -> None:
    """In the start of a folder, in a time, and after a field."""
    (folder,) = parse_folders("v1.0={field:x}.{arrival:%d.%m}.z")
    assert re.fullmatch(folder.pattern, "v1.0=a.23.11.z")
    for other in ("v1_0=a.23.11.z", "v1.0=a_23.11.z", "v1.0=a.23_11.z", "v1.0=a.23.11_z"):
        assert not re.fullmatch(folder.pattern, other)


def test_times_and_fields_are_distinguished() -> None:
    """Only a value that is one field, and nothing else, is percent-encoded as a whole."""
    folders = parse_folders("a={field:x}/b={arrival:%d}/c={field:x}{arrival:%d}/d={field:x}.")
    assert [folder.is_field for folder in folders] == [True, False, False, False]
    assert [folder.is_time for folder in folders] == [False, True, False, False]


@pytest.mark.parametrize(
    ("text", "name"),
    [("dt", "dt"), ("User-ID", "user_id"), ("", "part"), ("2x", "_2x"), ("ü", "_"), ("٣", "_")],
)
def test_a_legal_name_has_ascii_alone(text: str, name: str) -> None:
    """And no digit first."""
    assert to_column_name(text) == name
