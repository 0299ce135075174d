"""Look at a role: what IAM says of a function's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batcher.checking.answers import Unknown
from batcher.checking.findings import Finding, error
from batcher.checking.role import (
    OUTSIDE,
    UNNEEDED,
    judge_needed,
    judge_unneeded,
    key_actions,
    needed,
)

if TYPE_CHECKING:
    from batcher.checking.asking import Aws
    from batcher.settings import Settings

_REGION = 3
"""Where an ARN has it."""


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
