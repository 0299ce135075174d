"""Deployments without `make deploy`: the page and the examples agree with the templates."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml  # type: ignore[import-untyped]  # it has no types
from contract import PAGE, Contract, load, make_page

from integration.deploy.serverless import ROOT, find_osls

pytestmark = pytest.mark.slow

SAM = ROOT / "examples" / "sam" / "template.yaml"
TERRAFORM = ROOT / "examples" / "terraform"
LINT_S = 60
NAMES = {
    "BatchSize": "batch_size",
    "BisectBatchOnFunctionError": "bisect_batch_on_function_error",
    "Enabled": "enabled",
    "FunctionResponseTypes": "function_response_types",
    "MaximumBatchingWindowInSeconds": "maximum_batching_window_in_seconds",
    "MaximumRecordAgeInSeconds": "maximum_record_age_in_seconds",
    "MaximumRetryAttempts": "maximum_retry_attempts",
    "ParallelizationFactor": "parallelization_factor",
    "StartingPosition": "starting_position",
}
"""Settings of a mapping in AWS's words, and in Terraform's."""


@pytest.fixture(scope="module")
def contracts() -> tuple[Contract, Contract]:
    """Return what the templates come to: with existing sources, and with a queue."""
    find_osls()
    return load()


def test_the_page_is_as_the_templates_are(contracts: tuple[Contract, Contract]) -> None:
    """`python deploy/contract.py` writes it."""
    assert PAGE.read_text(encoding="utf-8") == make_page(*contracts)


class _Tagged(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Reads CloudFormation's short functions as their argument."""


def _argument(loader: Any, _: str, node: Any) -> Any:  # noqa: ANN401  # yaml has no types
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    return loader.construct_sequence(node)


_Tagged.add_multi_constructor("!", _argument)


def sam() -> dict[str, Any]:
    """Return the resources of the SAM template."""
    found: dict[str, Any] = yaml.load(SAM.read_text(), _Tagged)["Resources"]  # noqa: S506
    return found


def plain(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a value of Terraform without quotes, comments, and lists of one block."""
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items() if not k.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


def terraform(kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the blocks `resource` or `data`, as `type.name` and properties."""
    for file in sorted(TERRAFORM.glob("*.tf")):
        with file.open() as text:
            for block in plain(hcl2.load(text)).get(kind, []):
                for type_, named in block.items():
                    for name, properties in named.items():
                        yield f"{type_}.{name}", properties


def shape(statements: list[dict[str, Any]]) -> dict[str, Any]:
    """Return of each statement what does not depend on names."""
    return {one["Sid"]: (one["Effect"], one["Action"]) for one in statements}


def terraform_shape(name: str) -> dict[str, Any]:
    """Return the same of a policy of Terraform."""
    document = dict(terraform("data"))[f"aws_iam_policy_document.{name}"]
    return {
        one["sid"]: (one.get("effect", "Allow"), one["actions"]) for one in document["statement"]
    }


def test_the_sam_template_is_as_the_templates_are(contracts: tuple[Contract, Contract]) -> None:
    contract, with_queue = contracts
    resources = sam()
    function = resources["Function"]["Properties"]
    expected = with_queue.function("sqs")
    for name in ("Handler", "MemorySize", "Timeout"):
        assert function[name] == expected[name]
    variables = {**expected["Environment"]["Variables"], "BATCHER_ROOT": "events"}
    given = {**function["Environment"]["Variables"], "BATCHER_BUCKET": "my-bucket"}
    assert given == variables
    (event,) = function["Events"].values()
    mapping = {k: v for k, v in event["Properties"].items() if k != "Queue"}
    assert mapping == contract.mapping("sqs")
    role = resources["Role"]["Properties"]
    assert role["AssumeRolePolicyDocument"] == contract.trust()
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert shape(statements) == shape(contract.statements("sqs"))
    assert statements[-1]["Resource"].endswith(":s3:::${BucketName}/events/*")
    policy = resources["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert shape(policy) == shape(contract.bucket_policy("sqs"))
    queue = resources["Queue"]["Properties"]
    assert queue["VisibilityTimeout"] == with_queue.queue()["VisibilityTimeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == with_queue.queue()["maxReceiveCount"]
    rules = resources["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rules == contract.lifecycle()[:1]


@pytest.mark.parametrize("kind", ["sqs", "kinesis"])
def test_terraform_is_as_the_templates_are(contracts: tuple[Contract, Contract], kind: str) -> None:
    contract, with_queue = contracts
    resources = dict(terraform("resource"))
    function, expected = resources[f"aws_lambda_function.{kind}"], contract.function(kind)
    assert function["handler"] == expected["Handler"]
    assert (function["memory_size"], function["timeout"]) == (
        expected["MemorySize"],
        expected["Timeout"],
    )
    variables = with_queue.function("sqs")["Environment"]["Variables"]
    given = {**function["environment"][0]["variables"], "BATCHER_BUCKET": "my-bucket"}
    assert given == {**variables, "BATCHER_ROOT": kind}
    mapping = resources[f"aws_lambda_event_source_mapping.{kind}"]
    wanted = contract.mapping(kind)
    scaling, destination = wanted.pop("ScalingConfig", None), wanted.pop("DestinationConfig", None)
    own = {"count", "event_source_arn", "function_name", "scaling_config", "destination_config"}
    assert {k: v for k, v in mapping.items() if k not in own} == {
        NAMES[name]: value for name, value in wanted.items()
    }
    if scaling:
        assert mapping["scaling_config"] == [{"maximum_concurrency": scaling["MaximumConcurrency"]}]
    assert ("destination_config" in mapping) == (destination is not None)
    assert terraform_shape(kind) == shape(contract.statements(kind))


def test_terraform_s_bucket_and_queue_are_as_the_templates_are(
    contracts: tuple[Contract, Contract],
) -> None:
    contract, with_queue = contracts
    resources, queue = dict(terraform("resource")), with_queue.queue()
    found = resources["aws_sqs_queue.queue"]
    assert found["visibility_timeout_seconds"] == queue["VisibilityTimeout"]
    assert re.search(rf"maxReceiveCount\W+{queue['maxReceiveCount']}\b", found["redrive_policy"])
    expected = shape(contract.bucket_policy("sqs"))
    expected["CreatesOnly"] = expected.pop("SqsCreatesOnly")
    in_lists = {name: (effect, [action]) for name, (effect, action) in expected.items()}
    assert terraform_shape("bucket") == in_lists
    (rule,) = resources["aws_s3_bucket_lifecycle_configuration.objects"]["rule"]
    days = contract.lifecycle()[0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
    assert rule["abort_incomplete_multipart_upload"] == [{"days_after_initiation": days}]
    (trust,) = dict(terraform("data"))["aws_iam_policy_document.lambda"]["statement"]
    assert trust["principals"][0]["identifiers"] == ["lambda.amazonaws.com"]


def test_every_reference_of_terraform_is_declared() -> None:
    """`terraform validate` would say so, but needs its provider."""
    text = "\n".join(file.read_text() for file in sorted(TERRAFORM.glob("*.tf")))
    declared = {f"{a}.{b}" for a, b in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)}
    declared |= {
        f"data.{a}.{b}" for a, b in re.findall(r'^data "(\w+)" "(\w+)"', text, re.MULTILINE)
    }
    declared |= {f"var.{name}" for name in re.findall(r'^variable "(\w+)"', text, re.MULTILINE)}
    used = set(re.findall(r"\b(?:data\.aws_\w+\.\w+|(?<!data\.)aws_\w+\.\w+|var\.\w+)", text))
    assert used <= declared
    assert {name for name in declared if name.startswith("var.")} <= used


def test_cfn_lint_finds_nothing_in_the_sam_template() -> None:
    checker = Path(sys.executable).with_name("cfn-lint")
    ran = subprocess.run(  # noqa: S603  # as pip has installed it
        [str(checker), "-t", str(SAM)], capture_output=True, text=True, timeout=LINT_S, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_policies_of_the_page_are_json() -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        assert json.loads(block)
