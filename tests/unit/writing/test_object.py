"""Receipt: the store's word that an object is durable; and what stands on the object."""

from __future__ import annotations

import pytest

from batcher.encoding.codec import Checksum
from batcher.writing.object import Receipt, choose_format, object_metadata
from support.examples import QUEUE, make_batch, make_chunk, make_settings


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "application/gzip"),
        ({"compression": "zstd"}, "application/zstd"),
        ({"compression": "none"}, "application/x-ndjson"),
        ({"compression": "none", "format": "lines"}, "text/plain"),
        ({"compression": "gzip", "format": "lines"}, "application/gzip"),
        ({"content_type": "text/csv"}, "text/csv"),
    ],
)
def test_the_content_type_follows_the_format_unless_it_is_set(
    values: dict[str, str], expected: str
) -> None:
    """No Content-Encoding, so it tells how the bytes lie."""
    assert (
        choose_format(make_batch(make_chunk(b"1")).route, make_settings(**values)).content_type
        == expected
    )


def test_quarantine_is_gzip_whatever_data_is() -> None:
    """Also where the user has set a type for data."""
    batch = make_batch(make_chunk(b"1"), is_quarantine=True)
    settings = make_settings(compression="none", content_type="text/csv")
    assert choose_format(batch.route, settings).content_type == "application/gzip"


def test_a_sealed_batch_has_its_whole_metadata() -> None:
    """The names of DESIGN 4; the CRC-32 has 8 hex digits."""
    batch = make_batch(make_chunk(b"1", b"22", origin=QUEUE, positions=["b", "a"]))
    checksum = Checksum()
    checksum.add(0xAB, 5)
    assert object_metadata(batch, "d1", checksum, {"team": "x"}) == {
        "team": "x",
        "batcher-first": "b",
        "batcher-last": "a",
        "batcher-records": "2",
        "batcher-digest": "d1",
        "batcher-bytes": "5",
        "batcher-crc32": "000000ab",
    }


def test_an_open_batch_has_what_is_known_when_its_upload_starts() -> None:
    """Only its start."""
    batch = make_batch(make_chunk(b"1"), sealed=None)
    assert object_metadata(batch, "d1", None, {}) == {"batcher-first": "0"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("events.ndjson:1", "events.ndjson:1"),
        ("a b%.ndjson:1", "a b%.ndjson:1"),
        ("\u00fc.ndjson:1", "%C3%BC.ndjson%3A1"),
        ("a\nb:1", "a%0Ab%3A1"),
    ],
)
def test_a_position_that_a_header_cannot_hold_is_percent_encoded(name: str, shown: str) -> None:
    """A file's name may have anything in it."""
    assert (
        object_metadata(make_batch(make_chunk(b"1", positions=[name])), "", None, {})[
            "batcher-first"
        ]
        == shown
    )


def test_a_long_position_keeps_its_end_within_what_a_header_takes() -> None:
    """With the line's number; another long name has another digest."""
    folder = "\u7530" * 300
    shown = [
        object_metadata(
            make_batch(make_chunk(b"1", positions=[f"{start}{folder}/\u4e2d.ndjson:17"])),
            "",
            None,
            {},
        )
        for start in "ab"
    ]
    for each in shown:
        assert each["batcher-first"].endswith("/%E4%B8%AD.ndjson:17")
        assert len(each["batcher-first"]) <= 320
    assert shown[0] != shown[1]
    longest = "x" * 310 + ":1234567890"
    batch = make_batch(make_chunk(b"1", positions=[longest[1:]]))
    assert object_metadata(batch, "", None, {})["batcher-first"] == longest[1:]


def test_a_file_whose_name_is_no_utf8_has_metadata() -> None:
    """Linux allows such names, and Python gives them with lone surrogates."""
    batch = make_batch(make_chunk(b"1", origin=QUEUE, positions=["\udcff:1"]))
    assert object_metadata(batch, "", None, {})["batcher-first"].isascii()


def test_a_receipt_is_of_data_unless_it_says_otherwise() -> None:
    """Quarantine says so."""
    assert not Receipt("k", 1, 2).quarantined
