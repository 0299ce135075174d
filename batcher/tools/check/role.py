"""Role: what IAM says a function's role may do, beside what the writer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batcher.tools.check.aws import CallFailure
from batcher.tools.check.findings import CheckResult, error, ok, warning

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import AwsClient

_ARN_REGION_INDEX = 3
"""Where an ARN has it."""


NEEDED_ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload")


UNNEEDED_ACTIONS = ("s3:DeleteObject", "s3:PutObjectAcl")
"""What the writer never does; there are many more, and these do the most harm."""


OUTSIDE_KEY = "batcher-check-outside-of-the-root"


_CHECK = "role"


EvaluationResults = Sequence[Mapping[str, Any]]
"""The `EvaluationResults` of SimulatePrincipalPolicy."""


def needed_s3_actions(settings: Settings) -> tuple[str, ...]:
    """Name what the writer calls in S3 under these settings."""
    return (*NEEDED_ACTIONS, "s3:PutObjectTagging") if settings.tags else NEEDED_ACTIONS


def needed_kms_actions(settings: Settings) -> tuple[str, ...]:
    """Name what it needs of its KMS key."""
    return ("kms:GenerateDataKey", "kms:Decrypt") if settings.kms_key_id else ()


def evaluate_needed(results: EvaluationResults, role: str) -> list[CheckResult]:
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


def evaluate_unneeded(results: EvaluationResults, role: str) -> list[CheckResult]:
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


async def check_role(
    aws: AwsClient, configuration: Mapping[str, Any], settings: Settings
) -> list[CheckResult]:
    """Ask IAM what the role may do on the root, beside it, and with the key."""
    role = str(configuration.get("Role", ""))
    if settings.bucket.startswith(("file:", "arn:")):
        return []
    partition = role.partition(":")[2].partition(":")[0] or "aws"
    bucket = f"arn:{partition}:s3:::{settings.bucket}"
    inside = "/".join(filter(None, [bucket, settings.root, "x"]))
    questions = [
        (needed_s3_actions(settings), inside, evaluate_needed),
        (UNNEEDED_ACTIONS, inside, evaluate_unneeded),
    ]
    if settings.root:
        questions.append((("s3:PutObject",), f"{bucket}/{OUTSIDE_KEY}", evaluate_unneeded))
    key = settings.kms_key_id
    context: list[Mapping[str, Any]] = []
    if key.startswith("arn:"):
        questions.append((needed_kms_actions(settings), key, evaluate_needed))
        region = key.split(":")[_ARN_REGION_INDEX]
        # A role may allow the key to S3 alone, which is who asks for it; the others don't look
        context.append(
            {
                "ContextKeyName": "kms:ViaService",
                "ContextKeyType": "string",
                "ContextKeyValues": [f"s3.{region}.amazonaws.com"],
            }
        )
    findings: list[CheckResult] = []
    for actions, resource, judged in questions:
        found = await aws.call(
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
        if isinstance(found, CallFailure):
            return [found.to_result("role")]
        findings += judged(found.get("EvaluationResults", ()), role)
    return findings
