"""Alarms and dashboards: they look at metrics that exist, and ring where they should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batcher import metrics
from deploy.osls import PACKAGE_S
from deploy.test_template import EVERYTHING, EXISTING, QUEUE, TOPIC

if TYPE_CHECKING:
    from deploy.osls import Packager

OURS = metrics.ALWAYS.keys() | metrics.WHERE_ANY.keys()
AMAZONS = {
    "AWS/Lambda": {
        "ConcurrentExecutions",
        "Duration",
        "Errors",
        "Invocations",
        "IteratorAge",
        "Throttles",
    },
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfMessagesSent",
    },
}
"""Source: the guides of Lambda and SQS, metrics in CloudWatch."""
KNOWN = {**AMAZONS, metrics.NAMESPACE: OURS}
DIMENSIONS = {
    "AWS/Lambda": "FunctionName",
    "AWS/SQS": "QueueName",
    metrics.NAMESPACE: "FunctionName",
}
WATCHED = {
    "Age": ("ApproximateAgeOfOldestMessage", 900),
    "Errors": ("Errors", 0),
    "FailedRecords": ("batcher_failed_records_total", 0),
    "SlowDown": ("batcher_throttles_total", 0),
    "Throttles": ("Throttles", 0),
    "Quarantined": ("batcher_quarantined_records_total", 0),
    "Duration": ("Duration", 48_000),
    "DeadLetters": ("ApproximateNumberOfMessagesVisible", 0),
}
"""What rings, and beyond what; a stream's age is in milliseconds."""


def alarms(packager: Packager, **parameters: str) -> dict[str, Any]:
    """Give every alarm's properties."""
    return packager.template(**parameters).of_type("AWS::CloudWatch::Alarm")


def widgets(packager: Packager, name: str, **parameters: str) -> list[dict[str, Any]]:
    """Give what a dashboard shows; its body is JSON in a string."""
    dashboard = packager.template(**parameters).resources[f"{name}Dashboard"]["Properties"]
    found: list[dict[str, Any]] = json.loads(dashboard["DashboardBody"])["widgets"]
    return found


def test_what_must_not_go_unseen_rings(packager: Packager) -> None:
    """Age, failures, throttles of Lambda and S3, quarantine, dead letters, duration."""
    found = alarms(packager, stream="new")
    expected = {
        f"{prefix}{name}Alarm": watched
        for prefix in ("Sqs", "Kinesis")
        for name, watched in WATCHED.items()
    }
    expected["KinesisAgeAlarm"] = ("IteratorAge", 900_000)
    assert {n: (a["MetricName"], a["Threshold"]) for n, a in found.items()} == expected
    for alarm in found.values():
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert alarm["TreatMissingData"] == "notBreaching"
        assert "docs/operations.md" in alarm["AlarmDescription"]
        assert not {"AlarmActions", "OKActions"} & alarm.keys()
    letters = [found[f"{prefix}DeadLettersAlarm"]["Dimensions"] for prefix in ("Sqs", "Kinesis")]
    assert letters == [
        [{"Name": "QueueName", "Value": name}] for name in ("DeadLetters", "GivenUp")
    ]


def test_limits_follow_the_parameters(packager: Packager) -> None:
    """A function that may take longer is slow later."""
    found = alarms(packager, stream="new", timeout="300", alarm_age="60")
    assert found["SqsDurationAlarm"]["Threshold"] == 240_000
    assert found["SqsAgeAlarm"]["Threshold"] == 60
    assert found["KinesisAgeAlarm"]["Threshold"] == 60_000


def test_a_topic_hears_of_every_alarm_and_of_its_end(packager: Packager) -> None:
    """An alarm that nobody hears is none."""
    for alarm in alarms(packager, **EVERYTHING).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]


def test_alarms_look_at_metrics_that_exist(packager: Packager) -> None:
    """A name that nobody sends is silence, which looks like health."""
    for parameters in (EVERYTHING, EXISTING):
        for name, alarm in alarms(packager, **parameters).items():
            assert alarm["MetricName"] in KNOWN[alarm["Namespace"]], name
            (dimension,) = alarm["Dimensions"]
            assert dimension["Name"] == DIMENSIONS[alarm["Namespace"]]
            if alarm["Namespace"] != "AWS/SQS":
                function = "sqs" if name.startswith("Sqs") else "kinesis"
                assert dimension["Value"] == f"batcher-dev-{function}"


@pytest.mark.parametrize("name", ["Sqs", "Kinesis"])
def test_a_dashboard_shows_all_that_the_function_tells(packager: Packager, name: str) -> None:
    """Each metric of batcher's own, in widgets that do not lie over each other."""
    shown: set[str] = set()
    places = set()
    for widget in widgets(packager, name, stream="new"):
        places.add((widget["x"], widget["y"]))
        assert widget["x"] + widget["width"] <= 24
        assert widget["properties"]["region"] == "us-east-1"
        for namespace, metric, dimension, value, *_ in widget["properties"]["metrics"]:
            assert metric in KNOWN[namespace]
            assert dimension == DIMENSIONS[namespace]
            assert "$" not in value
            shown.add(metric)
    assert len(places) == len(widgets(packager, name, stream="new"))
    assert shown >= OURS
    assert DIMENSIONS[metrics.NAMESPACE] == metrics.DIMENSION


def test_an_existing_queue_is_watched_by_its_name(packager: Packager) -> None:
    """Its dead letters are its owner's."""
    found = alarms(packager, **EXISTING)
    assert "SqsDeadLettersAlarm" not in found
    (dimension,) = found["SqsAgeAlarm"]["Dimensions"]
    assert dimension["Value"] == QUEUE.rpartition(":")[2]


@pytest.mark.parametrize("parameters", [{}, EVERYTHING, EXISTING], ids=["usual", "all", "existing"])
def test_cfn_lint_finds_nothing(packager: Packager, parameters: dict[str, str]) -> None:
    """Neither errors nor warnings, in what is deployed first and in what follows."""
    template = packager.template(**parameters)
    first = template.path.with_name("cloudformation-template-create-stack.json")
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    ran = subprocess.run(  # noqa: S603  # as pip has installed it
        [str(cfn_lint), "-t", str(first), str(template.path)],
        capture_output=True,
        text=True,
        timeout=PACKAGE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
