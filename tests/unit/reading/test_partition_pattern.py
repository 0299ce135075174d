"""Pattern: exactly which partitions match."""

from __future__ import annotations

import re

import pytest

from batcher.reading.selection import ANY_PARTITION, PartitionPattern

PARTITION = "dt=2026-11-23/hour=07/customer=acme"


def is_met(pattern: str, partition: str = PARTITION) -> bool:
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
def test_folders_are_met_in_their_order_and_others_may_stand_between(pattern: str) -> None:
    """Before, between and after."""
    assert is_met(pattern)


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
def test_nothing_else_is_met(pattern: str) -> None:
    """A folder is met as a whole, and in upper and lower case as it is."""
    assert not is_met(pattern)


def test_values_are_as_keys_have_them() -> None:
    """A pattern is escaped as the key is; what the escape stands for is not looked at."""
    assert is_met("city=S%C3%A3o%20Paulo", "city=S%C3%A3o%20Paulo")
    assert not is_met("a=x.y", "a=xzy")
    assert is_met("a=*", "a=%2F%2A")
    assert is_met("acme", "acme/x")
    assert not is_met("*", "")


def test_a_column_counts_where_it_first_stands() -> None:
    """Or nothing could ever be ruled out."""
    assert not is_met("a=2", "a=1/a=2")
    assert is_met("a=1/a=2", "a=1/a=2")


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
def test_what_is_left_tells_whether_to_go_on(
    pattern: str, folders: list[str], left: tuple[str, ...] | None
) -> None:
    """None: no deeper folder can make it match."""
    assert PartitionPattern.parse(pattern).unmatched_parts(folders) == left


def test_folders_that_may_have_any_value_are_not_worth_a_look() -> None:
    """All but a few partitions have them."""
    assert not ANY_PARTITION.can_exclude_below([])
    assert not PartitionPattern.parse("dt=1/hour=*").can_exclude_below(["dt=1"])
    assert PartitionPattern.parse("dt=1/hour=*").can_exclude_below([])
    assert PartitionPattern.parse("dt=1/hour=0*").can_exclude_below(["dt=1"])
    assert not PartitionPattern.parse("dt=1").can_exclude_below(["dt=1"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty folder"),
        ("/", "empty folder"),
        ("a=1//b=2", "empty folder"),
        ("customer=São Paulo", "'customer=S%C3%A3o%20Paulo'"),
        ("customer=[ab]", "'customer=%5Bab%5D'"),
    ],
)
def test_a_pattern_that_can_match_nothing_is_refused(text: str, told: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=re.escape(told)):
        PartitionPattern.parse(text)
