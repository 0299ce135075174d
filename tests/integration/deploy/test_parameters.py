"""Parameters: every fault is named before anything is created, all of them at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types
from parameters import SETTINGS, Parameters, find_faults, read
from rules import ROOT_PATTERN, RULES

from integration.deploy.serverless import ROOT
from integration.deploy.test_template import EVERYTHING, EXISTING, QUEUE, STREAM, TABLE, function

if TYPE_CHECKING:
    from integration.deploy.serverless import Packager

WRONG = {
    "name": "my_service",
    "stack_tags": '{"aws:team": "data"}',
    "bucket": "My_Bucket",
    "bucket_is": "old",
    "kms_key_arn": "alias/mine",
    "versioning": "on",
    "old_versions_days": "0",
    "expire_days": "-1",
    "quarantine_days": "1.5",
    "access_logs_bucket": "s3://logs",
    "eventbridge": "yes",
    "queue": "none",
    "queue_arn": f"{QUEUE}*",
    "queue_kms_key_arn": "6e0f9f0e",
    "queue_filters": '[{"body": {"kind": "order"}}]',
    "sqs_root": "a/*",
    "stream": "true",
    "stream_arn": f"{STREAM}/consumer/quick:1700000000",
    "stream_kms_key_arn": "alias/aws/kinesis",
    "stream_filters": "[]",
    "kinesis_root": "/a",
    "shards": "0",
    "retention_hours": "23",
    "table_stream": "new",
    "table_stream_arn": TABLE.partition("/stream")[0],
    "table_kms_key_arn": "key/1",
    "table_filters": '{"eventName": ["INSERT"]}',
    "dynamodb_root": "${aws:username}",
    "handler": "redact",
    "memory": "64",
    "timeout": "901",
    "batch_size": "10001",
    "window": "301",
    "maximum_concurrency": "1",
    "parallelization_factor": "11",
    "starting_position": "AT_TIMESTAMP",
    "maximum_retry_attempts": "-2",
    "maximum_record_age": "59",
    "reserved_concurrency": "all",
    "tracing": "on",
    "subnet_ids": "vpc-1",
    "security_group_ids": "default",
    "environment": '{"TABLE": 1}',
    "iam_statements": '[{"Effect": "Allow", "Action": "s3:*"}]',
    "log_retention_days": "15",
    "alarm_topic_arn": "on-call",
    "alarm_age": "15m",
    "partial_response": "maybe",
}
"""Of every parameter that has a rule."""
WRONG_SETTINGS = {
    "max_bytes": "abc",
    "max_records": "0",
    "linger_s": "soon",
    "format": "parquet",
    "compression": "gzp",
    "compression_level": "high",
    "fanout": "0",
    "prefix_rate": "-1",
    "fleet": "0",
    "partition_by": "{field",
    "multipart_threshold": "5 apples",
    "part_size": "1",
    "concurrency": "0",
    "budget_bytes": "much",
    "max_depth": "0",
    "on_bad_record": "ignore",
    "deadline_margin_s": "-1",
    "region": "eu_west",
    "endpoint_url": "localhost",
    "addressing_style": "dns",
    "role_arn": "writer",
    "external_id": "?",
    "expected_bucket_owner": "me",
    "request_payer": "them",
    "conditional_writes": "false",
    "acl": "foo",
    "sse": "AES",
    "kms_key_id": "my key",
    "storage_class": "GOLD",
    "tags": "team=data",
    "metadata": "{",
    "content_type": "text\x07",
}


def faults(**given: str) -> list[str]:
    """Return what is wrong with parameters, as `make deploy` prints it."""
    return find_faults(Parameters(**read(ROOT / "serverless.yml", "dev", given)))


def written() -> dict[str, Any]:
    """Return the parameters as `serverless.yml` has them."""
    text = re.sub(r"!\w+ ", "", Path(ROOT, "serverless.yml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)["params"]["default"]
    return found


def plain(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return what CloudFormation takes alike: a number, and its text."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name != "S3Key"}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, int) else value


def test_every_wrong_value_is_named_at_once() -> None:
    """One fault per line, with the name of its parameter and how to fix it."""
    found = faults(**WRONG, **WRONG_SETTINGS, windw="60")
    assert {fault.partition(": ")[0] for fault in found} == {*WRONG, *WRONG_SETTINGS, "windw"}
    for fault in found:
        name, _, problem = fault.partition(": ")
        assert re.fullmatch(r"[^\n]+; [^\n]+|'.*' is not printable; .*|.*placeholders.*", problem)
        assert name


def test_wrong_values_are_known_of_every_parameter() -> None:
    """A new parameter needs a rule, or is a setting, and a wrong value above."""
    assert RULES.keys() == WRONG.keys()
    assert SETTINGS - RULES.keys() == WRONG_SETTINGS.keys()
    assert WRONG.keys() | WRONG_SETTINGS.keys() == written().keys()


@pytest.mark.parametrize("name", [*WRONG, *WRONG_SETTINGS])
def test_a_wrong_value_alone_is_named_alone(name: str) -> None:
    """It may be reported by two rules, but no other parameter is blamed."""
    value = {**WRONG, **WRONG_SETTINGS}[name]
    sources = {**EXISTING, "bucket": "my-bucket", "bucket_is": "new"}
    blamed = {fault.partition(": ")[0] for fault in faults(**{**sources, name: value})}
    assert blamed == {name}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"bucket": ""}, "bucket"),
        ({"queue": "existing"}, "queue_arn"),
        ({"stream": "existing"}, "stream_arn"),
        ({"table_stream": "existing"}, "table_stream_arn"),
        ({"queue_arn": QUEUE}, "queue_arn"),
        ({"queue": "existing", "queue_arn": QUEUE.replace("us-east-1", "eu-west-1")}, "queue_arn"),
        ({"queue": "off"}, "queue, stream, table_stream"),
        ({"window": "0"}, "window"),
        ({"batch_size": "11", "window": "0"}, "window"),
        (
            {"queue": "existing", "queue_arn": f"{QUEUE}.fifo", "batch_size": "10"},
            "batch_size, window",
        ),
        (
            {"queue": "existing", "queue_arn": f"{QUEUE}.fifo", "batch_size": "11", "window": "0"},
            "batch_size, window",
        ),
        ({"subnet_ids": "subnet-1"}, "subnet_ids, security_group_ids"),
        ({"reserved_concurrency": "4"}, "reserved_concurrency"),
        ({"stream": "new", "kinesis_root": "sqs"}, "sqs_root, kinesis_root"),
        ({"stream": "new", "kinesis_root": "sqs/b"}, "sqs_root, kinesis_root"),
        ({"expire_days": "7", "quarantine_days": "30"}, "quarantine_days"),
        ({"bucket_is": "existing", "expire_days": "7"}, "expire_days"),
        ({"bucket_is": "existing", "versioning": "Enabled"}, "versioning"),
        ({"region": "eu-west-1"}, "region"),
        ({"acl": "public-read"}, "acl"),
        ({"sse": "aws:kms", "kms_key_id": "alias/mine"}, "kms_key_id"),
        ({"deadline_margin_s": "60"}, "deadline_margin_s"),
        ({"name": "n" * 60}, "name"),
        ({"environment": '{"BATCHER_FANOUT": "4"}'}, "environment"),
        ({"environment": '{"AWS_REGION": "eu-west-1"}'}, "environment"),
        ({"sqs_root": "_quarantine"}, "sqs_root"),
    ],
)
def test_what_lacks_or_disagrees_is_named(given: dict[str, str], name: str) -> None:
    """AWS would say so after minutes, and roll the deployment back, or never."""
    found = faults(**{"bucket": "my-bucket", **given})
    assert {fault.partition(": ")[0] for fault in found} == {name}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"queue": "existing", "queue_arn": f"{QUEUE}.fifo", "batch_size": "10", "window": "0"},
        {"batch_size": "10", "window": "0"},
        {"queue": "off", "stream": "new", "window": "0", "queue_arn": QUEUE},
        {"max_bytes": "128MiB"},
        {"maximum_record_age": "-1", "maximum_retry_attempts": "0", "stream": "new"},
        {"environment": "{}", "iam_statements": "[]", "stack_tags": "{}"},
        {"table_filters": '[{"eventName": ["INSERT"], "dynamodb": {"Keys": {"a": {"S": ["1"]}}}}]'},
        EVERYTHING,
        EXISTING,
    ],
)
def test_what_is_right_is_taken(given: dict[str, str]) -> None:
    """FIFO queues, an ARN that is kept for later, a stream without a window, limits."""
    assert not faults(**{"bucket": "my-bucket", **given})


@pytest.mark.parametrize("root", ["a/*", "a?", "${aws:username}", "/a", "a/", "a//b", ""])
def test_templates_refuse_the_roots_that_the_rules_refuse(root: str) -> None:
    """Also a stack that is deployed by hand does not let its role out of the root."""
    for file in ("sqs", "kinesis", "dynamodb"):
        text = (ROOT / "deploy" / f"{file}.yml").read_text()
        assert f"        AllowedPattern: ^{ROOT_PATTERN}$\n" in text
    assert not re.fullmatch(ROOT_PATTERN, root)
    assert re.fullmatch(ROOT_PATTERN, "events/of-2026/web.site_1")


def test_a_stage_may_have_parameters_of_its_own(tmp_path: Path) -> None:
    """They are checked as the command line's are, and come before the defaults."""
    file = tmp_path / "serverless.yml"
    text = (ROOT / "serverless.yml").read_text()
    file.write_text(text.replace("params:\n", "params:\n  prod: {memory: 64, memmory: 512}\n", 1))
    found = {stage: read(file, stage, {"bucket": "my-bucket"}) for stage in ("dev", "prod")}
    assert not find_faults(Parameters(**found["dev"]))
    assert [fault.partition(": ")[0] for fault in find_faults(Parameters(**found["prod"]))] == [
        "memmory",
        "memory",
    ]


@pytest.mark.slow
def test_osls_takes_the_values_of_a_stage(packager: Packager, tmp_path: Path) -> None:
    """As the program has read them."""
    mine = type(packager)(tmp_path)
    file = tmp_path / "serverless.yml"
    text = file.read_text()
    file.write_text(text.replace("params:\n", "params:\n  dev: {memory: 512}\n", 1))
    assert function(mine.template(), "Sqs")["MemorySize"] == 512


@pytest.mark.slow
def test_the_command_line_comes_to_the_same_as_the_file(packager: Packager) -> None:
    """There every value is text, numbers as well."""
    said = {name: str(value) for name, value in written().items() if value is not None}
    given = packager.template(**{**said, "stream": "new"}).document
    assert plain(given) == plain(packager.template(stream="new").document)


def printed(*flags: str) -> list[str]:
    """Return the faults that the command prints, by what they begin with."""
    ran = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, str(ROOT / "deploy" / "deploy.py"), "validate", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert not ran.stdout
    first, *lines = ran.stderr.splitlines()
    assert first == "Nothing was created:"
    return [line.strip().partition(": ")[0] for line in lines]


def test_the_command_prints_plain_lines() -> None:
    """No stack trace, nothing of osls; a value that is no parameter, too."""
    pairs = {"bucket": "my-bucket", "compression": "gzp", "memory": "64", "stream": ""}
    flags = [part for pair in pairs.items() for part in ("--param", "=".join(pair))]
    assert printed(*flags) == ["--param stream=", "memory", "compression"]


@pytest.mark.parametrize(
    ("flags", "faults"),
    [
        (["--parm", "fanout=4"], ["--parm", "fanout=4"]),
        (["compression=zstd"], ["compression=zstd"]),
        (["--param"], ["--param"]),
        (["--param", "fanout=4", "--param", "fanout=8"], ["fanout"]),
        (["--param", "bucket=other"], ["bucket"]),
        (["--engine", "boto3"], ["--engine"]),
        (["--arch", "arm"], ["--arch"]),
        (["--stage", "my_stage"], ["stage"]),
    ],
)
def test_what_osls_would_ignore_is_named(flags: list[str], faults: list[str]) -> None:
    """A mistyped flag would deploy without what it says."""
    assert printed("--param", "bucket=my-bucket", *flags) == faults


def test_json_in_a_stage_may_be_yaml(tmp_path: Path) -> None:
    """An object in the file is the text that it is on the command line."""
    file = tmp_path / "serverless.yml"
    text = (ROOT / "serverless.yml").read_text()
    file.write_text(text.replace("params:\n", "params:\n  dev: {environment: {TABLE: users}}\n", 1))
    found = read(file, "dev", {"bucket": "my-bucket"})
    assert json.loads(found["values"]["environment"]) == {"TABLE": "users"}
    assert not find_faults(Parameters(**found))


def test_a_removal_without_a_bucket_names_its_own_target() -> None:
    ran = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, str(ROOT / "deploy" / "deploy.py"), "remove"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines() == [
        "Nothing was removed:",
        "  bucket: required; make remove BUCKET=name-of-your-bucket",
    ]
