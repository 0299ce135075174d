"""Alarms and dashboards: they look at metrics that exist, and ring where they should."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batcher.errors import RetryableError, ThrottledError
from batcher.handler import emf as metrics
from batcher.handler import make_handler
from integration.deploy.serverless import PACKAGE_S, ROOT
from integration.deploy.test_template import EVERYTHING, EXISTING, QUEUE, TOPIC
from support.examples import make_settings, message
from support.fakes import failing
from support.handler_harness import hooked

if TYPE_CHECKING:
    from integration.deploy.serverless import Packager
    from support.handler_harness import HandlerFactory

pytestmark = pytest.mark.slow

OURS = metrics.REQUIRED_UNITS.keys() | metrics.NONZERO_UNITS.keys()
AMAZONS = {
    "AWS/Lambda": {
        "ConcurrentExecutions",
        "Duration",
        "Errors",
        "Invocations",
        "IteratorAge",
        "Throttles",
    },
    "AWS/Kinesis": {"GetRecords.Success", "IncomingRecords"},
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfMessagesSent",
    },
}
"""Source: the guides of Lambda, Kinesis and SQS, metrics in CloudWatch."""
KNOWN = {**AMAZONS, metrics.NAMESPACE: OURS}
DIMENSIONS = {
    "AWS/Kinesis": "StreamName",
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
    "Transform": ("batcher_transform_failures_total", 0),
    "Duration": ("Duration", 48_000),
    "DeadLetters": ("ApproximateNumberOfMessagesVisible", 0),
}
"""What rings, and beyond what; a stream's age is in milliseconds."""
WINDOW_S = 20


def alarms(packager: Packager, **parameters: str) -> dict[str, Any]:
    """Return every alarm's properties."""
    return packager.template(**parameters).of_type("AWS::CloudWatch::Alarm")


def widgets(packager: Packager, name: str, **parameters: str) -> list[dict[str, Any]]:
    """Return what a dashboard shows; its body is JSON in a string."""
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
    expected["KinesisUnreadAlarm"] = ("GetRecords.Success", 1)
    assert {n: (a["MetricName"], a["Threshold"]) for n, a in found.items()} == expected
    for alarm in found.values():
        assert "docs/how-to/operate.md" in alarm["AlarmDescription"]
        assert not {"AlarmActions", "OKActions"} & alarm.keys()
    letters = [found[f"{prefix}DeadLettersAlarm"]["Dimensions"] for prefix in ("Sqs", "Kinesis")]
    assert letters == [
        [{"Name": "QueueName", "Value": name}] for name in ("DeadLetters", "GivenUp")
    ]


def test_missing_data_is_good_except_for_reads_of_a_stream(packager: Packager) -> None:
    """A stream without a reader has no iterator age, and its records expire without an alarm."""
    found = alarms(packager, stream="new")
    unread = found.pop("KinesisUnreadAlarm")
    for alarm in found.values():
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert alarm["TreatMissingData"] == "notBreaching"
    assert unread["ComparisonOperator"] == "LessThanThreshold"
    assert unread["TreatMissingData"] == "breaching"
    assert unread["Statistic"] == "Sum"
    assert unread["Dimensions"] == [{"Name": "StreamName", "Value": "Stream"}]
    existing = alarms(packager, **EXISTING)["KinesisUnreadAlarm"]
    assert existing["Dimensions"] == [{"Name": "StreamName", "Value": "clicks"}]


@pytest.mark.parametrize("timeout_s", [60, 50, 300, 900])
def test_three_failures_of_one_message_raise_the_alarm(packager: Packager, timeout_s: int) -> None:
    """A failed message is redelivered after the visibility timeout, perhaps as the only message.

    Its first three failures must be within the evaluated periods.
    """
    template = packager.template(timeout=str(timeout_s))
    visibility_s = template.of_type("AWS::SQS::Queue")["Queue"]["VisibilityTimeout"]
    for name in ("SqsErrorsAlarm", "SqsFailedRecordsAlarm"):
        alarm = template.resources[name]["Properties"]
        assert alarm["DatapointsToAlarm"] == 3
        evaluated_s = alarm["EvaluationPeriods"] * alarm["Period"]
        assert evaluated_s <= 86_400, "CloudWatch evaluates at most a day"
        third_s = 2 * (visibility_s + WINDOW_S)  # after the first, at the end of its period
        assert alarm["Period"] + third_s <= evaluated_s


def test_limits_follow_the_parameters(packager: Packager) -> None:
    """The threshold for slow invocations is a share of the timeout."""
    found = alarms(packager, stream="new", timeout="300", alarm_age="60")
    assert found["SqsDurationAlarm"]["Threshold"] == 240_000
    assert found["SqsAgeAlarm"]["Threshold"] == 60
    assert found["KinesisAgeAlarm"]["Threshold"] == 60_000


def test_a_topic_is_notified_when_an_alarm_starts_and_ends(packager: Packager) -> None:
    """For every alarm."""
    for alarm in alarms(packager, **EVERYTHING).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]


def test_alarms_look_at_metrics_that_exist(packager: Packager) -> None:
    """An alarm on a metric that does not exist would never be raised."""
    for parameters in (EVERYTHING, EXISTING):
        for name, alarm in alarms(packager, **parameters).items():
            assert alarm["MetricName"] in KNOWN[alarm["Namespace"]], name
            (dimension,) = alarm["Dimensions"]
            assert dimension["Name"] == DIMENSIONS[alarm["Namespace"]]
            if dimension["Name"] == "FunctionName":
                kind = re.match("Sqs|Kinesis|Dynamodb", name)
                assert kind
                assert dimension["Value"] == f"batcher-dev-{kind[0].lower()}"


@pytest.mark.parametrize("name", ["Sqs", "Kinesis", "Dynamodb"])
def test_a_dashboard_shows_all_that_the_function_tells(packager: Packager, name: str) -> None:
    """Each metric of batcher's own, in widgets that do not lie over each other."""
    shown: set[str] = set()
    places = set()
    for widget in widgets(packager, name, **EVERYTHING):
        places.add((widget["x"], widget["y"]))
        assert widget["x"] + widget["width"] <= 24
        assert widget["properties"]["region"] == "us-east-1"
        for namespace, metric, dimension, value, *_ in widget["properties"]["metrics"]:
            assert metric in KNOWN[namespace]
            assert dimension == DIMENSIONS[namespace]
            assert "$" not in value
            shown.add(metric)
    assert len(places) == len(widgets(packager, name, **EVERYTHING))
    assert shown >= OURS
    assert DIMENSIONS[metrics.NAMESPACE] == metrics.DIMENSION


def test_alarms_hear_what_the_handler_writes(
    packager: Packager, handler_factory: HandlerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Namespace, metric and function are those of the line itself, which CloudWatch reads."""
    found = alarms(packager)
    (function,) = packager.template().of_type("AWS::Lambda::Function").values()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", function["FunctionName"])
    lines: list[str] = []
    _, store = hooked()
    store.before = failing(ThrottledError("SlowDown"), "put", key="hour=")
    handler = handler_factory.keep(make_handler(make_settings(), store=store, metrics=lines.append))
    with pytest.raises(RetryableError):
        handler({"Records": [message("a", '{"n":1}'), message("b", "no JSON")]}, None)
    written = json.loads(lines[0])
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    told = {metric["Name"] for metric in directive["Metrics"]}
    for name in ("FailedRecords", "SlowDown", "Quarantined"):
        alarm = found[f"Sqs{name}Alarm"]
        (dimension,) = alarm["Dimensions"]
        assert alarm["Namespace"] == directive["Namespace"]
        assert [[dimension["Name"]]] == directive["Dimensions"]
        assert dimension["Value"] == written[dimension["Name"]]
        assert alarm["MetricName"] in told
        assert alarm["Statistic"] == "Sum"
        assert written[alarm["MetricName"]] > alarm["Threshold"]


def test_the_bill_of_alarms_is_told_as_it_is(packager: Packager) -> None:
    """docs/how-to/deploy.md counts them; each costs money, whether it rings or not."""
    page = Path(ROOT, "docs/how-to/deploy.md").read_text()
    every, existing = alarms(packager, **EVERYTHING), alarms(packager, **EXISTING)
    of_existing = sum(name.startswith("Sqs") for name in existing)
    of_queue, of_stream, of_table = (
        sum(name.startswith(kind) for name in every) for kind in ("Sqs", "Kinesis", "Dynamodb")
    )
    counted = (
        f"{of_queue} of a queue, {of_existing} of an existing one, {of_stream} of a stream, "
        f"{of_table} of a table"
    )
    assert f"| alarms: {counted} |" in page
    assert f"costs ${of_queue * 0.10:.2f} a month for its alarms" in page
    shard = 0.015 * 730
    assert f"a stream adds ${shard + of_stream * 0.10:.2f}" in page


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
