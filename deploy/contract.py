"""Contract: what the templates of `make deploy` ask of AWS, as docs/reference/deployment.md.

`python deploy/contract.py` writes the page. It runs osls, so it needs node.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "deployment.md"
OSLS = ROOT / "deploy" / "node_modules" / ".bin" / "osls"
TEMPLATE = "cloudformation-template-update-stack.json"
OSLS_S = 60
KINDS = {"sqs": "SQS", "kinesis": "Kinesis", "dynamodb": "DynamoDB"}
AT = "REGION:ACCOUNT"
KEY = f"arn:aws:kms:{AT}:key/KEY"
PARAMETERS = {
    "bucket": "my-bucket",
    "kms_key_arn": KEY,
    "quarantine_days": "90",
    "expire_days": "365",
    "queue_arn": f"arn:aws:sqs:{AT}:QUEUE",
    "queue_kms_key_arn": KEY,
    "stream": "existing",
    "stream_arn": f"arn:aws:kinesis:{AT}:stream/STREAM",
    "stream_kms_key_arn": KEY,
    "table_stream": "existing",
    "table_stream_arn": f"arn:aws:dynamodb:{AT}:table/TABLE/stream/LABEL",
    "table_kms_key_arn": KEY,
    "sqs_root": "ROOT",
    "kinesis_root": "ROOT",
    "dynamodb_root": "ROOT",
    "tags": '{"team": "data"}',
    "acl": "bucket-owner-full-control",
    "role_arn": "arn:aws:iam::OTHER-ACCOUNT:role/WRITER",
    "subnet_ids": "SUBNET",
    "security_group_ids": "GROUP",
    "tracing": "Active",
}
"""Everything that adds a statement, with placeholders for what is somebody's own."""
ONLY_IF = {
    "HasTags": "`BATCHER_TAGS`",
    "HasAcl": "`BATCHER_ACL`",
    "HasKey": "a KMS key for the objects",
    "HasQueueKey": "the queue has a KMS key",
    "HasStreamKey": "the stream has a KMS key",
    "HasTableKey": "the table has a KMS key",
    "HasRole": "`BATCHER_ROLE_ARN`",
    "IsTraced": "X-Ray is on",
    "HasVpc": "the function is in a VPC",
}
"""Conditions of the templates that add statements or actions, in words."""
NOTHING = object()


@dataclass(frozen=True)
class Contract:
    """A template, resolved with placeholders."""

    document: Mapping[str, Any]

    @classmethod
    def from_osls(cls, **parameters: str) -> Contract:
        """Let osls make the template of these parameters. Needs no package and no network."""
        with tempfile.TemporaryDirectory(prefix="batcher-contract-") as name:
            folder = Path(name)
            (folder / "deploy").symlink_to(ROOT / "deploy")
            (folder / "serverless.yml").write_text((ROOT / "serverless.yml").read_text())
            (folder / "dist").mkdir()
            described = {"artifact": "dist/package.zip", "engine": "obstore"}
            described |= {"architecture": "arm64", "runtime": "python3.13"}
            (folder / "dist" / "deployment.json").write_text(json.dumps(described))
            (folder / "dist" / "package.zip").write_bytes(b"PK\x05\x06" + bytes(18))
            flags = [flag for pair in parameters.items() for flag in ("--param", "=".join(pair))]
            subprocess.run(  # noqa: S603  # our own installation
                [str(OSLS), "package", "--package", "made", *flags],
                cwd=folder,
                env={**os.environ, "SLS_TELEMETRY_DISABLED": "1", "NODE_NO_WARNINGS": "1"},
                capture_output=True,
                timeout=OSLS_S,
                check=True,
            )
            return cls(json.loads((folder / "made" / TEMPLATE).read_text()))

    @cached_property
    def resources(self) -> Mapping[str, Any]:
        """Return the resources, with conditions left as they are."""
        found: Mapping[str, Any] = self.document["Resources"]
        return found

    def function(self, kind: str) -> dict[str, Any]:
        """Return the properties of a function."""
        found: dict[str, Any] = self._plain(
            self.resources[f"{kind.capitalize()}LambdaFunction"]["Properties"]
        )
        return found

    def mapping(self, kind: str) -> dict[str, Any]:
        """Return the settings of a mapping, without source and function."""
        (found,) = (
            self._plain(one["Properties"])
            for name, one in self.resources.items()
            if name.startswith(f"{kind.capitalize()}EventSourceMapping")
        )
        return {k: v for k, v in found.items() if k not in {"EventSourceArn", "FunctionName"}}

    def trust(self) -> dict[str, Any]:
        """Return the trust policy of the roles."""
        found: dict[str, Any] = self._plain(
            self.resources["SqsRole"]["Properties"]["AssumeRolePolicyDocument"]
        )
        return found

    def statements(self, kind: str) -> list[dict[str, Any]]:
        """Return the statements that a role needs in any case."""
        policy = self.resources[f"{kind.capitalize()}Role"]["Properties"]["Policies"][0]
        found: list[dict[str, Any]] = self._plain(policy["PolicyDocument"]["Statement"])
        return found

    def additions(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what a role needs under a condition: its name, and a statement."""
        policy = self.resources[f"{kind.capitalize()}Role"]["Properties"]["Policies"][0]
        found = []
        for statement in policy["PolicyDocument"]["Statement"]:
            if "Fn::If" in statement:
                condition, value, _ = statement["Fn::If"]
                found.append((condition, self._plain(value)))
                continue
            for action in statement["Action"]:
                if isinstance(action, dict):
                    condition, value, _ = action["Fn::If"]
                    same = {**self._plain(statement), "Action": [value]}
                    found.append((condition, same))
        return found

    def bucket_policy(self, kind: str) -> list[dict[str, Any]]:
        """Return the statements of a bucket's policy, for one function."""
        document = self.resources["BucketPolicy"]["Properties"]["PolicyDocument"]
        statements = self._plain(document["Statement"])
        own = f"{kind.capitalize()}CreatesOnly"
        return [one for one in statements if one["Sid"] in {"OnlyByTls", own}]

    def lifecycle(self) -> list[dict[str, Any]]:
        """Return the lifecycle rules of a bucket that has no options."""
        properties = self.resources["Bucket"]["Properties"]
        found: list[dict[str, Any]] = self._plain(properties["LifecycleConfiguration"]["Rules"])
        return found

    def queue(self) -> dict[str, Any]:
        """Return the attributes of a queue that depend on the function."""
        properties = self._plain(self.resources["Queue"]["Properties"])
        return {
            "VisibilityTimeout": properties["VisibilityTimeout"],
            "maxReceiveCount": properties["RedrivePolicy"]["maxReceiveCount"],
        }

    def _plain(self, value: Any) -> Any:  # noqa: ANN401, PLR0911  # JSON
        """Return a value with placeholders for references, and without what is conditional."""
        if isinstance(value, list):
            return [one for one in map(self._plain, value) if one is not NOTHING]
        if not isinstance(value, dict):
            return value
        if "Fn::If" in value:
            return NOTHING
        if "Ref" in value:
            return self._named(value["Ref"])
        if "Fn::GetAtt" in value:
            return self._named(".".join(value["Fn::GetAtt"]))
        if "Fn::Sub" in value:
            text = value["Fn::Sub"]
            text = text if isinstance(text, str) else text[0]
            return re.sub(r"\$\{([^}]+)\}", lambda found: self._named(found[1]), text)
        entries = {name: self._plain(one) for name, one in value.items()}
        return {name: one for name, one in entries.items() if one is not NOTHING}

    def _named(self, name: str) -> str:
        """Return what a reference stands for."""
        parameters = self.document.get("Parameters", {})
        if name in parameters:
            return str(parameters[name]["Default"])
        if name.endswith("LogGroup.Arn"):
            return f"arn:aws:logs:{AT}:log-group:/aws/lambda/FUNCTION:*"
        if name.endswith("Role.Arn"):
            return "arn:aws:iam::ACCOUNT:role/ROLE"
        if name.endswith("GivenUp.Arn"):
            return f"arn:aws:sqs:{AT}:FAILED"
        known = {"AWS::Partition": "aws", "Bucket.Arn": "arn:aws:s3:::my-bucket"}
        return known.get(name, name)


def load() -> tuple[Contract, Contract]:
    """Return the contract with existing sources, and the one with a queue of its own."""
    return Contract.from_osls(**PARAMETERS, queue="existing"), Contract.from_osls(
        bucket="my-bucket"
    )


def make_page(contract: Contract, with_queue: Contract) -> str:
    """Return the page."""
    function, queue = contract.function("sqs"), with_queue.queue()
    variables = with_queue.function("sqs")["Environment"]["Variables"]
    lines = [
        HEAD.format(
            handler=function["Handler"], memory=function["MemorySize"], timeout=function["Timeout"]
        )
    ]
    for name, value in variables.items():
        shown = "your root" if name == "BATCHER_ROOT" else f"`{value}`"
        lines.append(f"| `{name}` | {shown} | {VARIABLES[name]} |")
    lines.append(MAPPING)
    mappings = {kind: contract.mapping(kind) for kind in KINDS}
    for name in dict.fromkeys(name for one in mappings.values() for name in one):
        cells = [_cell(mappings[kind].get(name)) for kind in KINDS]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    lines.append(
        QUEUE.format(visible=queue["VisibilityTimeout"], receives=queue["maxReceiveCount"])
    )
    lines += [_json(contract.trust()), ""]
    for kind, title in KINDS.items():
        lines += [f"### {title}", "", _json(_policy(contract.statements(kind))), ""]
    lines.append(ADDITIONS)
    rows: dict[str, None] = {}
    for kind in KINDS:
        for condition, statement in contract.additions(kind):
            actions = ", ".join(f"`{action}`" for action in statement["Action"])
            via = statement.get("Condition", {}).get("StringLike", {}).get("kms:ViaService", "")
            limit = f"`kms:ViaService` is like `{via}`" if via else ""
            rows[f"| {ONLY_IF[condition]} | {actions} | `{statement['Resource']}` | {limit} |"] = (
                None
            )
    lines += [*rows, BUCKET, _json(_policy(contract.bucket_policy("sqs"))), LIFECYCLE]
    lines += [_json({"Rules": _as_s3(contract.lifecycle())}), ""]
    return "\n".join(lines)


def _policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _as_s3(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return lifecycle rules as S3's API has them: CloudFormation's differ."""
    found = []
    for rule in rules:
        names = {"Id": "ID"}
        renamed: dict[str, Any] = {names.get(name, name): value for name, value in rule.items()}
        renamed["Filter"] = {"Prefix": renamed.pop("Prefix", "")}
        marker = renamed.pop("ExpiredObjectDeleteMarker", None)
        if marker:
            renamed["Expiration"] = {"ExpiredObjectDeleteMarker": True}
        old = renamed.get("NoncurrentVersionExpiration")
        if old:
            renamed["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(old["NoncurrentDays"])}
        found.append(renamed)
    return found


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return f"`{json.dumps(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _json(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=2)}\n```"


HEAD = """\
# Deployment reference

What a function needs, for deployments by your own tools. The page is generated from the templates
of `make deploy`, which adds [alarms](../how-to/operate.md) and a dashboard. [Bring your own
IaC](../how-to/own-iac.md) shows how to use it. Names in capitals are yours to fill in.

## Function

| property | value |
| --- | --- |
| handler | `{handler}`, or [one of your own](../how-to/transform.md) |
| code | the zip of `make package`, which prints its path |
| runtime, architecture | those of the package: `dist/deployment.json` has them |
| memory | {memory} MB |
| timeout | {timeout} s |
| log group | yours to create, `/aws/lambda/NAME`: the role may not |

`batcher plan` has memory, timeout, batch size and window for your traffic.

## Environment

| variable | value | meaning |
| --- | --- | --- |"""
VARIABLES = {
    "BATCHER_BUCKET": "where objects go",
    "BATCHER_ROOT": "start of every key; one event source mapping per root",
    "BATCHER_ENGINE": "the engine of the package",
    "BATCHER_PARTIAL_RESPONSE": "only together with `ReportBatchItemFailures` of the mapping",
}
MAPPING = """
[Settings](settings.md) has all others.

## Event source mapping

| property | SQS | Kinesis | DynamoDB |
| --- | --- | --- | --- |"""
QUEUE = """
Without `ReportBatchItemFailures` Lambda ignores which records failed, and they are lost. A FIFO
queue has `BatchSize` 10 and no window.

## Queue

| property | value | rule |
| --- | --- | --- |
| `VisibilityTimeout` | {visible} s | 6 times the function's timeout, and the window |
| `maxReceiveCount` | {receives} | an hour of retries, at least 5 |
| dead-letter queue | required | without one a failing message is retried until it expires |

## Role

Lambda assumes it:
"""
ADDITIONS = """### Only if

| only if | actions | resource | condition |
| --- | --- | --- | --- |"""
BUCKET = """
## Bucket

Block public access, and add this policy. Its second statement, one for each function, keeps the
function from replacing objects:
"""
LIFECYCLE = """
Uploads that were not completed cost money until this rule removes them. `old-versions` is needed
only with versioning:
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(*load()), encoding="utf-8")


if __name__ == "__main__":
    main()
