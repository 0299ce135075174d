"""Role: what IAM says a function's role may do, beside what the writer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batcher.tools.check.aws import Unknown
from batcher.tools.check.findings import Finding, error, ok, warning

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import Aws

_REGION = 3
"""Where an ARN has it."""


NEEDED = ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload")


UNNEEDED = ("s3:DeleteObject", "s3:PutObjectAcl")
"""What the writer never does; there are many more, and these do the most harm."""


OUTSIDE = "batcher-check-outside-of-the-root"


_CHECK = "role"


Results = Sequence[Mapping[str, Any]]
"""The `EvaluationResults` of SimulatePrincipalPolicy."""


def needed(settings: Settings) -> tuple[str, ...]:
    """Name what the writer calls in S3 under these settings."""
    return (*NEEDED, "s3:PutObjectTagging") if settings.tags else NEEDED


def key_actions(settings: Settings) -> tuple[str, ...]:
    """Name what it needs of its KMS key."""
    return ("kms:GenerateDataKey", "kms:Decrypt") if settings.kms_key_id else ()


def judge_needed(results: Results, role: str) -> list[Finding]:
    """Name each action that is missing."""
    name = role.rpartition("/")[2]
    findings = []
    for result in results:
        decision = result.get("EvalDecision")
        if decision == "allowed":
            continue
        action, resource = result.get("EvalActionName"), result.get("EvalResourceName", "*")
        if decision == "explicitDeny":
            do = "remove the statement that denies it"
        else:
            do = "allow it there; only if the bucket's or the key's own policy does, all is well"
        findings.append(error(_CHECK, f"{name} may not {action} on {resource}", do))
    if findings:
        return findings
    actions = ", ".join(str(result.get("EvalActionName")) for result in results)
    return [ok(_CHECK, f"{name} may {actions}")]


def judge_unneeded(results: Results, role: str) -> list[Finding]:
    """Name each action that the role may do and the writer never does."""
    name = role.rpartition("/")[2]
    return [
        warning(
            _CHECK,
            f"{name} may {result.get('EvalActionName')} on {result.get('EvalResourceName', '*')}",
            "the writer never does that: take it away, so that a stolen role can do less",
        )
        for result in results
        if result.get("EvalDecision") == "allowed"
    ]


async def look_at_role(
    aws: Aws, configuration: Mapping[str, Any], settings: Settings
) -> list[Finding]:
    """Ask IAM what the role may do on the root, beside it, and with the key."""
    role = str(configuration.get("Role", ""))
    if settings.bucket.startswith(("file:", "arn:")):
        return []
    partition = role.partition(":")[2].partition(":")[0] or "aws"
    bucket = f"arn:{partition}:s3:::{settings.bucket}"
    inside = "/".join(filter(None, [bucket, settings.root, "x"]))
    questions = [(needed(settings), inside, judge_needed), (UNNEEDED, inside, judge_unneeded)]
    if settings.root:
        questions.append((("s3:PutObject",), f"{bucket}/{OUTSIDE}", judge_unneeded))
    key = settings.kms_key_id
    context: list[Mapping[str, Any]] = []
    if key.startswith("arn:"):
        questions.append((key_actions(settings), key, judge_needed))
        region = key.split(":")[_REGION]
        # A role may allow the key to S3 alone, which is who asks for it; the others don't look
        context.append(
            {
                "ContextKeyName": "kms:ViaService",
                "ContextKeyType": "string",
                "ContextKeyValues": [f"s3.{region}.amazonaws.com"],
            }
        )
    findings: list[Finding] = []
    for actions, resource, judged in questions:
        found = await aws.ask(
            "iam",
            "simulate_principal_policy",
            "iam:SimulatePrincipalPolicy",
            ("NoSuchEntity",),
            PolicySourceArn=role,
            ActionNames=list(actions),
            ResourceArns=[resource],
            ContextEntries=context,
        )
        if found is None:
            do = "give the function a role that exists"
            return [error("role", f"there is no role {role}", do)]
        if isinstance(found, Unknown):
            return [found.finding("role")]
        findings += judged(found.get("EvaluationResults", ()), role)
    return findings
