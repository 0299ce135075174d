"""Sizes, parsed from text and formatted as text."""

from __future__ import annotations

import pytest

from batcher.settings import parse_size
from batcher.tools.formatting import format_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("64MiB", 64 * 1024**2),
        ("10MB", 10_000_000),
        ("4096", 4096),
        (4096, 4096),
        ("1.5 KiB", 1536),
        (" 2gib ", 2 * 1024**3),
        ("3k", 3000),
        ("7B", 7),
        ("1TiB", 1024**4),
        ("0", 0),
    ],
)
def test_sizes_are_parsed(text: object, size_bytes: int) -> None:
    """A unit with an i is binary, one without is decimal. A bare number is bytes."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MiB", "1XB", "-1", "1iB", "1e3", None, True, 1.5, b"1", []])
def test_other_text_is_rejected_with_an_example(text: object) -> None:
    """The example is in the message."""
    with pytest.raises(ValueError, match="is not a size; write one such as 64MiB"):
        parse_size(text)


def test_a_fraction_of_a_byte_is_rejected() -> None:
    """The value has to be a whole number of bytes."""
    with pytest.raises(ValueError, match="not a whole number of bytes"):
        parse_size("1.5")


@pytest.mark.parametrize("text", ["1.001MB", "1.005MB"])
def test_a_decimal_size_of_whole_bytes_is_read(text: str) -> None:
    """1.001MB is 1,001,000 bytes."""
    assert parse_size(text) == int(text[2:5]) * 1000 + 1_000_000


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_400_000, "1.4 MB"), (2.5e12, "2,500.0 GB")],
)
def test_sizes_are_formatted(size_bytes: float, text: str) -> None:
    """In the largest decimal unit that is not larger than the size."""
    assert format_size(size_bytes) == text
