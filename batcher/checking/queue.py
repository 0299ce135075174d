"""Queue: the settings of an SQS queue that a mapping depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from batcher.checking.findings import Finding, error, not_checked, ok, warning
from batcher.checking.mapping import Described, subject_of
from batcher.planning.quotas import MIN_RECEIVES, VISIBILITY_TIMEOUTS

if TYPE_CHECKING:
    from collections.abc import Sequence

Attributes = Mapping[str, Any]


def judge_queue(
    attributes: Attributes, mapping: Described, timeout_s: float | None
) -> Sequence[Finding]:
    """Judge what GetQueueAttributes answers (its `Attributes`).

    Args:
        attributes: all of them, as text.
        mapping: the one that reads the queue.
        timeout_s: the function's; None: nobody knows.
    """
    subject = subject_of(mapping)
    return [_visibility(attributes, mapping, timeout_s, subject), _redrive(attributes, subject)]


def _visibility(
    attributes: Attributes, mapping: Described, timeout_s: float | None, subject: str
) -> Finding:
    check = "queue.visibility"
    visibility_s = int(attributes.get("VisibilityTimeout", 30))
    if timeout_s is None:
        why = f"{visibility_s} s; the function's timeout is not known"
        return not_checked(check, why, subject=subject)
    window_s = int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    wanted_s = VISIBILITY_TIMEOUTS * timeout_s + window_s
    shown = f"visibility timeout {visibility_s} s, the function's {timeout_s:g} s"
    if visibility_s < timeout_s + window_s:
        do = f"messages come again while they are being written: set it to {wanted_s:g}"
        return error(check, shown, do, subject=subject)
    if visibility_s < wanted_s:
        do = (
            f"when Lambda is throttled, messages come again and count towards the dead-letter "
            f"queue: set it to {wanted_s:g} ({VISIBILITY_TIMEOUTS} timeouts and the window)"
        )
        return warning(check, shown, do, subject=subject)
    return ok(check, shown, subject=subject)


def _redrive(attributes: Attributes, subject: str) -> Finding:
    check = "queue.dead_letters"
    try:
        redrive = orjson.loads(attributes.get("RedrivePolicy") or "{}")
        receives = int(redrive.get("maxReceiveCount", 0))
    except (orjson.JSONDecodeError, ValueError, TypeError) as problem:
        return not_checked(check, f"its RedrivePolicy cannot be read: {problem}", subject=subject)
    target = str(redrive.get("deadLetterTargetArn", "")).rpartition(":")[2]
    if not target:
        found = "no dead-letter queue"
        do = (
            "a message that always fails comes back until the queue drops it: add a RedrivePolicy "
            f"with maxReceiveCount {MIN_RECEIVES} or more"
        )
        return warning(check, found, do, subject=subject)
    shown = f"{target} after {receives} receives"
    if receives < MIN_RECEIVES:
        do = f"a short outage of S3 sends good messages there: set {MIN_RECEIVES} or more"
        return warning(check, shown, do, subject=subject)
    return ok(check, shown, subject=subject)
