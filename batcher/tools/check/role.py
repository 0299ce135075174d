"""Role: compares the permissions of a function's role with what the writer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batcher.tools.check.aws import CallFailure
from batcher.tools.check.findings import CheckResult, error, ok, warning

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import AwsClient

EvaluationResults = Sequence[Mapping[str, Any]]
"""The `EvaluationResults` of SimulatePrincipalPolicy."""

NEEDED_ACTIONS = ("s3:PutObject", "s3:GetObject")
"""A function sends no upload in parts, so it aborts none."""

UNNEEDED_ACTIONS = ("s3:DeleteObject", "s3:PutObjectAcl")
"""The two most harmful of the many actions that the writer never uses."""

OUTSIDE_KEY = "batcher-check-outside-of-the-root"

_ARN_REGION_INDEX = 3
"""Index of the region in an ARN that is split at its colons."""

_CHECK = "role"


async def check_role(
    aws: AwsClient, configuration: Mapping[str, Any], settings: Settings
) -> list[CheckResult]:
    """Simulate the role's permissions under the root, outside of it, and for the KMS key."""
    role = str(configuration.get("Role", ""))
    if settings.bucket.startswith(("file:", "arn:")):
        return []
    partition = role.partition(":")[2].partition(":")[0] or "aws"
    bucket = f"arn:{partition}:s3:::{settings.bucket}"
    inside = "/".join(filter(None, [bucket, settings.root, "x"]))
    simulations = [
        (needed_s3_actions(settings), inside, evaluate_needed),
        (_unneeded_actions(settings), inside, evaluate_unneeded),
    ]
    if settings.root:
        simulations.append((("s3:PutObject",), f"{bucket}/{OUTSIDE_KEY}", evaluate_unneeded))
    key = settings.kms_key_id
    context: list[Mapping[str, Any]] = []
    if key.startswith("arn:"):
        simulations.append((needed_kms_actions(settings), key, evaluate_needed))
        region = key.split(":")[_ARN_REGION_INDEX]
        # S3 calls KMS on the role's behalf, so a role may allow the key only via S3. The other
        # simulations do not use this context.
        context.append(
            {
                "ContextKeyName": "kms:ViaService",
                "ContextKeyType": "string",
                "ContextKeyValues": [f"s3.{region}.amazonaws.com"],
            }
        )
    results: list[CheckResult] = []
    for actions, resource, evaluate in simulations:
        response = await aws.call(
            "iam",
            "simulate_principal_policy",
            "iam:SimulatePrincipalPolicy",
            ("NoSuchEntity",),
            PolicySourceArn=role,
            ActionNames=list(actions),
            ResourceArns=[resource],
            ContextEntries=context,
        )
        if response is None:
            fix = "give the function a role that exists"
            return [error(_CHECK, f"the role {role} does not exist", fix)]
        if isinstance(response, CallFailure):
            return [response.to_result(_CHECK)]
        results += evaluate(response.get("EvaluationResults", ()), role)
    return results


def needed_s3_actions(settings: Settings) -> tuple[str, ...]:
    """Return the S3 actions that the writer uses with these settings."""
    tagging = ("s3:PutObjectTagging",) if settings.tags else ()
    acl = ("s3:PutObjectAcl",) if settings.acl else ()
    return (*NEEDED_ACTIONS, *tagging, *acl)


def _unneeded_actions(settings: Settings) -> tuple[str, ...]:
    needed = needed_s3_actions(settings)
    return tuple(action for action in UNNEEDED_ACTIONS if action not in needed)


def needed_kms_actions(settings: Settings) -> tuple[str, ...]:
    """Return the KMS actions that the writer needs for its key. None without a key."""
    return ("kms:GenerateDataKey", "kms:Decrypt") if settings.kms_key_id else ()


def evaluate_needed(simulated: EvaluationResults, role: str) -> list[CheckResult]:
    """Return an error per needed action that the role lacks, or one result that all is allowed."""
    name = role.rpartition("/")[2]
    results = []
    for entry in simulated:
        decision = entry.get("EvalDecision")
        if decision == "allowed":
            continue
        action, resource = entry.get("EvalActionName"), entry.get("EvalResourceName", "*")
        if decision == "explicitDeny":
            fix = "remove the statement that denies it"
        else:
            fix = "allow it in the role, unless the policy of the bucket or key itself allows it"
        results.append(error(_CHECK, f"{name} may not {action} on {resource}", fix))
    if results:
        return results
    actions = ", ".join(str(entry.get("EvalActionName")) for entry in simulated)
    return [ok(_CHECK, f"{name} may {actions}")]


def evaluate_unneeded(simulated: EvaluationResults, role: str) -> list[CheckResult]:
    """Return a warning per action that the role allows and the writer never uses."""
    name = role.rpartition("/")[2]
    return [
        warning(
            _CHECK,
            f"{name} may {entry.get('EvalActionName')} on {entry.get('EvalResourceName', '*')}",
            "remove this permission: the writer never uses it, but a stolen role could",
        )
        for entry in simulated
        if entry.get("EvalDecision") == "allowed"
    ]
