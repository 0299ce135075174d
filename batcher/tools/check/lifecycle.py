"""Lifecycle: what the rules of a bucket remove, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batcher.keys.names import QUARANTINE_FOLDER, root_prefix
from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning
from batcher.tools.formatting import format_count

if TYPE_CHECKING:
    from batcher.settings import Settings

LifecycleRule = Mapping[str, Any]

MAX_RETENTION_DAYS = 365
"""The longest retention of a stream. Source: Amazon Kinesis Data Streams, quotas and limits."""

_CHECK = "bucket.lifecycle"
_DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class StreamRetention:
    """How long a stream delivers its records again."""

    subject: str
    """The label of the mapping that reads the stream."""
    service: str
    """The folder of its quarantine: `kinesis` or `dynamodb`."""
    hours: int | None
    """None if it could not be read."""


def evaluate_lifecycle(
    response: Mapping[str, Any] | None, root: str, *, versioned: bool
) -> list[CheckResult]:
    """Evaluate the rules that apply to `root`.

    Args:
        response: the response of GetBucketLifecycleConfiguration; None: there are no rules.
        root: the fixed start of every key.
        versioned: whether replaced objects stay as old versions.
    """
    rules = [rule for rule in (response or {}).get("Rules", []) if rule.get("Status") == "Enabled"]
    covering = [rule for rule in rules if _covers_root(rule, root)]
    results = [_evaluate_upload_cleanup(covering, root)]
    if versioned:
        results.append(_evaluate_old_versions(covering, root))
    return results + [_describe_removal(rule) for rule in rules if _removes_data(rule, root)]


def _evaluate_upload_cleanup(rules: Sequence[LifecycleRule], root: str) -> CheckResult:
    days = [
        rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation")
        for rule in rules
        if "AbortIncompleteMultipartUpload" in rule
    ]
    if days:
        period = format_count(min(days), "day")
        return ok(_CHECK, f"incomplete multipart uploads are removed after {period}")
    fix = (
        "add a rule with AbortIncompleteMultipartUpload, DaysAfterInitiation: 1: the parts of "
        "killed uploads cost money for ever, and no listing of objects shows them"
    )
    detail = f"no rule removes incomplete multipart uploads under {_format_root(root)}"
    return warning(_CHECK, detail, fix)


def _evaluate_old_versions(rules: Sequence[LifecycleRule], root: str) -> CheckResult:
    expirations = [rule.get("NoncurrentVersionExpiration", {}) for rule in rules]
    days = [each["NoncurrentDays"] for each in expirations if "NoncurrentDays" in each]
    if days:
        return ok(_CHECK, f"old versions are removed after {format_count(min(days), 'day')}")
    detail = f"versioning is on, but no rule removes old versions under {_format_root(root)}"
    fix = "add NoncurrentVersionExpiration: each mark of a replay leaves an old version"
    return warning(_CHECK, detail, fix)


def _describe_removal(rule: LifecycleRule) -> CheckResult:
    return ok(_CHECK, f"the rule {_name(rule)} removes the records themselves {_when(rule)}")


def _name(rule: LifecycleRule) -> str:
    return repr(rule.get("ID", ""))


def _when(rule: LifecycleRule) -> str:
    expiration = rule["Expiration"]
    days = expiration.get("Days")
    return f"on {expiration['Date']}" if days is None else f"after {format_count(days, 'day')}"


def evaluate_expiry(
    response: Mapping[str, Any] | None,
    settings: Settings,
    retentions: Sequence[StreamRetention] | None,
) -> list[CheckResult]:
    """Compare the rules that remove objects with the retention of the streams.

    A stream delivers records again until their retention ends. Until then a redelivery must find
    the object or the guard that has the name of its first record.

    Args:
        response: the response of GetBucketLifecycleConfiguration; None: there are no rules.
        settings: root, fanout and tags of the objects.
        retentions: of all streams whose records are written there; None: they are not known.
    """
    rules = [
        rule
        for rule in (response or {}).get("Rules", [])
        if rule.get("Status") == "Enabled" and _expires_objects(rule) and _has_tags(rule, settings)
    ]
    if retentions is None:
        early = [rule for rule in rules if _reaches_streams(rule, settings, None)]
        if not any(_is_early(rule, MAX_RETENTION_DAYS * _DAY_HOURS) for rule in early):
            return []
        reason = "rules remove objects; pass --function to compare them with its streams' retention"
        return [not_checked(_CHECK, reason)]
    results = []
    for retention in retentions:
        reaching = [rule for rule in rules if _reaches_streams(rule, settings, retention.service)]
        early = [rule for rule in reaching if _is_early(rule, retention.hours)]
        if retention.hours is None and early:
            reason = "rules remove objects, but the retention of the stream is unknown"
            results.append(not_checked(_CHECK, reason, subject=retention.subject))
        elif early:
            results += [_early_error(rule, retention) for rule in early]
        elif reaching:
            detail = f"no rule removes objects that are younger than {retention.hours} h"
            results.append(ok(_CHECK, detail, subject=retention.subject))
    return results


def _is_early(rule: LifecycleRule, hours: int | None) -> bool:
    """Return whether a rule may remove objects that are younger than this.

    A rule with a date removes all objects on that date, and afterwards every day.
    """
    days = rule["Expiration"].get("Days")
    return days is None or days * _DAY_HOURS < (MAX_RETENTION_DAYS * 24 if hours is None else hours)


def _early_error(rule: LifecycleRule, retention: StreamRetention) -> CheckResult:
    hours = retention.hours or 0
    detail = (
        f"the rule {_name(rule)} removes objects {_when(rule)}, but the stream keeps records for "
        f"{hours} h: a redelivery of removed records is written again, and a guard whose object "
        "is removed keeps records from being written"
    )
    days = -(-hours // _DAY_HOURS)
    fix = f"set Days to {days} or more" + ("" if "Days" in rule["Expiration"] else ", not a Date")
    return error(_CHECK, detail, fix, subject=retention.subject)


def _expires_objects(rule: LifecycleRule) -> bool:
    expiration = rule.get("Expiration", {})
    return "Days" in expiration or "Date" in expiration


def _has_tags(rule: LifecycleRule, settings: Settings) -> bool:
    """Return whether objects have the tags that a rule is limited to. Sizes exclude not all."""
    conditions = _conditions(rule)
    tags = [*conditions.get("Tags", ()), *filter(None, [conditions.get("Tag")])]
    return all(settings.tags.get(tag.get("Key")) == tag.get("Value") for tag in tags)


def _reaches_streams(rule: LifecycleRule, settings: Settings, service: str | None) -> bool:
    """Return whether the prefix of a rule includes keys of a stream, its quarantine included."""
    prefix, top = _prefix(rule), root_prefix(settings.root)
    if top.startswith(prefix):
        return True
    if not prefix.startswith(top):
        return False
    rest = prefix.removeprefix(top)
    quarantine = f"{QUARANTINE_FOLDER}/"
    if quarantine.startswith(rest):
        return True
    if rest.startswith("_"):
        source = rest.removeprefix(quarantine)
        services = (service,) if service else ("kinesis", "dynamodb")
        return source != rest and any(
            source.startswith(f"{each}/") or f"{each}/".startswith(source) for each in services
        )
    return settings.fanout == 1 or re.match(r"[01]+(/|$)", rest) is not None


def _removes_data(rule: LifecycleRule, root: str) -> bool:
    """Return whether a rule deletes some or all data objects under the root."""
    if not _expires_objects(rule):
        return False
    prefix, top = _prefix(rule), root_prefix(root)
    is_quarantine = prefix.startswith(f"{top}{QUARANTINE_FOLDER}")
    return not is_quarantine and (top.startswith(prefix) or prefix.startswith(top))


def _covers_root(rule: LifecycleRule, root: str) -> bool:
    """Return whether a rule applies to every object under the root.

    A condition on tags or size, or a prefix that is longer than the root, excludes some.
    """
    conditions = _conditions(rule)
    is_limited = any(name != "Prefix" and value for name, value in conditions.items())
    return not is_limited and root_prefix(root).startswith(_prefix(rule))


def _conditions(rule: LifecycleRule) -> Mapping[str, Any]:
    """Return the conditions of a rule. Rules in the old format have a prefix but no filter."""
    rule_filter: Mapping[str, Any] = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    conditions: Mapping[str, Any] = rule_filter.get("And", rule_filter)
    return conditions


def _prefix(rule: LifecycleRule) -> str:
    return str(_conditions(rule).get("Prefix") or "")


def _format_root(root: str) -> str:
    return root_prefix(root) or "the bucket"
