"""PartitionPattern: which partitions match."""

from __future__ import annotations

import re

import pytest

from batcher.reading.selection import ANY_PARTITION, PartitionPattern

PARTITION = "dt=2026-11-23/hour=07/customer=acme"


def matches(pattern: str, partition: str = PARTITION) -> bool:
    """Return whether a pattern matches a partition."""
    return (
        PartitionPattern.parse(pattern).unmatched_parts(partition.split("/") if partition else [])
        == ()
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "dt=2026-11-23",
        "dt=2026-11-23/",
        "/dt=2026-11-23/hour=*",
        "dt=2026-11-*",
        "hour=0?",
        "customer=acme",
        "customer=*",
        "dt=*/customer=a*e",
        "dt=2026-11-23/hour=07/customer=acme",
        "*/*/*",
        "*",
    ],
)
def test_folders_match_in_order_with_others_between(pattern: str) -> None:
    """Also before and after."""
    assert matches(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "dt=2026-11-2",
        "dt=2026",
        "t=2026-11-23",
        "hour=7",
        "hour=?",
        "customer=ACME",
        "customer=acm",
        "customer=acme/hour=07",
        "hour=07/hour=07",
        "*/*/*/*",
        "customer",
        "region=*",
        "dt=2026.11.23",
    ],
)
def test_nothing_else_matches(pattern: str) -> None:
    """A part matches a whole folder, and case matters."""
    assert not matches(pattern)


def test_patterns_are_escaped_like_keys() -> None:
    """The pattern is compared with the escaped text."""
    assert matches("city=S%C3%A3o%20Paulo", "city=S%C3%A3o%20Paulo")
    assert not matches("a=x.y", "a=xzy")
    assert matches("a=*", "a=%2F%2A")
    assert matches("acme", "acme/x")
    assert not matches("*", "")


def test_the_first_folder_of_a_column_counts() -> None:
    """Otherwise no folder could ever be excluded."""
    assert not matches("a=2", "a=1/a=2")
    assert matches("a=1/a=2", "a=1/a=2")


@pytest.mark.parametrize(
    ("pattern", "folders", "left"),
    [
        ("dt=1/hour=*", [], ("dt=1", "hour=*")),
        ("dt=1/hour=*", ["dt=1"], ("hour=*",)),
        ("dt=1/hour=*", ["dt=2"], None),
        ("hour=1", ["dt=2"], ("hour=1",)),
        ("hour=1/dt=2", ["dt=2"], None),
        ("d*=1", ["dt=2"], ("d*=1",)),
        ("dt=1", ["x", "dt=1", "y"], ()),
    ],
)
def test_unmatched_parts_are_the_rest_of_the_pattern(
    pattern: str, folders: list[str], left: tuple[str, ...] | None
) -> None:
    """None: no deeper folder can make it match."""
    assert PartitionPattern.parse(pattern).unmatched_parts(folders) == left


def test_parts_that_match_any_value_exclude_nothing() -> None:
    """Nearly all partitions have such a folder."""
    assert not ANY_PARTITION.can_exclude_below([])
    assert not PartitionPattern.parse("dt=1/hour=*").can_exclude_below(["dt=1"])
    assert PartitionPattern.parse("dt=1/hour=*").can_exclude_below([])
    assert PartitionPattern.parse("dt=1/hour=0*").can_exclude_below(["dt=1"])
    assert not PartitionPattern.parse("dt=1").can_exclude_below(["dt=1"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty folder"),
        ("/", "empty folder"),
        ("a=1//b=2", "empty folder"),
        ("customer=São Paulo", "'customer=S%C3%A3o%20Paulo'"),
        ("customer=[ab]", "'customer=%5Bab%5D'"),
    ],
)
def test_a_pattern_that_can_match_nothing_is_refused(text: str, expected: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(ValueError, match=re.escape(expected)):
        PartitionPattern.parse(text)
