"""Text: blocks are cut where lines end."""

from __future__ import annotations

from batcher.encoding.text import LineSplitter, split_complete_lines


def test_lines_are_given_when_they_are_complete() -> None:
    """However the blocks fall."""
    splitter = LineSplitter()
    assert splitter.split(b"a") == b""
    assert splitter.split(b"b") == b""
    assert splitter.partial_line_bytes == 2
    assert splitter.split(b"\nc\nd") == b"ab\nc\n"
    assert splitter.is_within_line
    assert splitter.split(b"\n") == b"d\n"
    assert not splitter.is_within_line
    assert splitter.partial_line_bytes == 0
    assert splitter.split(b"") == b""


def test_a_line_that_is_skipped_takes_nothing_of_the_next_one() -> None:
    """What is still to come of it is skipped too."""
    splitter = LineSplitter()
    splitter.split(b"a\nlong")
    splitter.skip_line()
    assert splitter.is_within_line
    assert splitter.split(b"er") == b""
    assert splitter.partial_line_bytes == 0
    assert splitter.split(b"st\nb\nc") == b"b\n"
    assert splitter.split(b"\n") == b"c\n"
    splitter.split(b"long")
    splitter.skip_line()
    assert splitter.split(b"\n") == b""
    assert not splitter.is_within_line


def test_the_start_and_the_size_of_a_skipped_line_can_be_had() -> None:
    """The size counts what came of it before and after it was skipped."""
    splitter = LineSplitter()
    splitter.split(b"long")
    assert splitter.skip_line(kept_bytes=2) == b"lo"
    assert splitter.skipped_bytes == 4
    assert splitter.split(b"er") == b""
    assert splitter.is_skipping
    assert splitter.split(b"st\nb\nc") == b"b\n"
    assert not splitter.is_skipping
    assert splitter.skipped_bytes == len(b"longerst")


def test_a_last_line_without_a_newline_can_be_taken() -> None:
    """Once."""
    splitter = LineSplitter()
    splitter.split(b"a\nb")
    assert splitter.take_partial_line() == b"b"
    assert splitter.take_partial_line() == b""
    assert not splitter.is_within_line


def test_text_is_divided_into_its_lines() -> None:
    """Empty ones are lines too."""
    assert split_complete_lines(b"") == []
    assert split_complete_lines(b"\n") == [b""]
    assert split_complete_lines(b"a\n\nb\n") == [b"a", b"", b"b"]
