"""Lifecycle rules compared with the retention of streams."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.tools.check.findings import CheckResult, CheckStatus
from batcher.tools.check.lifecycle import StreamRetention, evaluate_expiry
from support.aws_shapes import lifecycle
from support.examples import make_settings

WEEK = StreamRetention("orders (a1b2c3d4)", "kinesis", 168)


def expiry(
    rule: dict[str, Any],
    retention: StreamRetention = WEEK,
    /,
    **settings: Any,  # noqa: ANN401  # as Settings takes them
) -> list[CheckResult]:
    """Evaluate one rule that removes objects after a day, with these changes."""
    rules = lifecycle({"ID": "tidy", "Expiration": {"Days": 1}, "Filter": {}, **rule})
    chosen = make_settings(**{"root": "events", **settings})
    return evaluate_expiry(rules, chosen, [retention])


@pytest.mark.parametrize(
    ("hours", "days", "is_early"),
    [(24, 1, False), (25, 1, True), (168, 6, True), (168, 7, False), (8_760, 364, True)],
)
def test_objects_must_stay_as_long_as_the_stream_keeps_records(
    hours: int,
    days: int,
    is_early: bool,  # noqa: FBT001  # a case
) -> None:
    """A day of a rule is 24 hours at least."""
    retention = StreamRetention("orders", "kinesis", hours)
    (found,) = expiry({"Expiration": {"Days": days}}, retention)
    assert found.status is (CheckStatus.ERROR if is_early else CheckStatus.OK)
    assert found.subject == "orders"
    if is_early:
        assert f"set Days to {-(-hours // 24)} or more" in found.fix


def test_a_rule_with_a_date_removes_young_objects() -> None:
    """On that date, and on every day after it."""
    day = StreamRetention("orders", "dynamodb", 24)
    (found,) = expiry({"Expiration": {"Date": "2020-01-01T00:00:00Z"}}, day)
    assert found.status is CheckStatus.ERROR
    assert "not a Date" in found.fix


@pytest.mark.parametrize(
    ("rule", "is_early"),
    [
        ({"Prefix": "", "Filter": {}}, True),
        ({"Filter": {"Prefix": "eve"}}, True),
        ({"Filter": {"Prefix": "events/"}}, True),
        ({"Filter": {"Prefix": "events/01"}}, True),
        ({"Filter": {"Prefix": "events/0110/dt=2026"}}, True),
        ({"Filter": {"Prefix": "events/_quar"}}, True),
        ({"Filter": {"Prefix": "events/_quarantine/"}}, True),
        ({"Filter": {"Prefix": "events/_quarantine/kin"}}, True),
        ({"Filter": {"Prefix": "events/_quarantine/kinesis/dt=2026"}}, True),
        ({"Filter": {"Prefix": "events/_quarantine/sqs/"}}, False),
        ({"Filter": {"Prefix": "events/_quarantine/_check/"}}, False),
        ({"Filter": {"Prefix": "events/_other/"}}, False),
        ({"Filter": {"Prefix": "events/logs/"}}, False),
        ({"Filter": {"Prefix": "logs/"}}, False),
        ({"Filter": {"And": {"Prefix": "events/", "ObjectSizeLessThan": 100}}}, True),
        ({"Filter": {"ObjectSizeGreaterThan": 100}}, True),
        ({"Filter": {"Tag": {"Key": "team", "Value": "a"}}}, True),
        ({"Filter": {"Tag": {"Key": "team", "Value": "b"}}}, False),
        ({"Filter": {"And": {"Tags": [{"Key": "x", "Value": "a"}]}}}, False),
        ({"Status": "Disabled"}, False),
        ({"Expiration": {"ExpiredObjectDeleteMarker": True}}, False),
        ({"Expiration": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, False),
        ({"Expiration": {}, "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]}, False),
    ],
)
def test_any_key_of_the_stream_counts(
    rule: dict[str, Any],
    is_early: bool,  # noqa: FBT001  # a case
) -> None:
    """Guards are small, and bad records are in quarantine: both keep names."""
    found = expiry(rule, tags={"team": "a"})
    assert [one.status for one in found] == ([CheckStatus.ERROR] if is_early else [])


def test_without_salts_every_folder_is_a_partition() -> None:
    """With `fanout=1`."""
    assert expiry({"Filter": {"Prefix": "events/logs/"}}, fanout=1)


def test_every_early_rule_and_every_stream_is_named() -> None:
    """A stream with a longer retention may share the root with others."""
    rules = lifecycle(
        {"ID": "a", "Expiration": {"Days": 2}, "Filter": {}},
        {"ID": "b", "Expiration": {"Days": 3}, "Filter": {}},
    )
    streams = [WEEK, StreamRetention("table", "dynamodb", 24)]
    found = evaluate_expiry(rules, make_settings(), streams)
    assert [one.status for one in found] == [CheckStatus.ERROR, CheckStatus.ERROR, CheckStatus.OK]
    assert ["'a'" in found[0].detail, "'b'" in found[1].detail] == [True, True]


def test_an_unknown_retention_is_a_note() -> None:
    """Unless no retention is as long as the rule."""
    unknown = StreamRetention("orders", "kinesis", None)
    (found,) = expiry({}, unknown)
    assert found.status is CheckStatus.NOT_CHECKED
    (found,) = expiry({"Expiration": {"Days": 365}}, unknown)
    assert found.status is CheckStatus.OK
    rules = lifecycle({"Expiration": {"Days": 7}, "Filter": {}})
    (found,) = evaluate_expiry(rules, make_settings(), None)
    assert found.status is CheckStatus.NOT_CHECKED
    assert "--function" in found.detail
    assert evaluate_expiry(rules, make_settings(), []) == []
    assert evaluate_expiry(None, make_settings(), None) == []
