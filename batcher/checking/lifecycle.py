"""Lifecycle: which of a bucket's rules reach what batcher writes, and which are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batcher.checking.findings import Finding, ok, warning
from batcher.keys import QUARANTINE_FOLDER, start_of

_CHECK = "bucket.lifecycle"
Rule = Mapping[str, Any]


def judge_lifecycle(
    found: Mapping[str, Any] | None, root: str, *, is_versioned: bool
) -> list[Finding]:
    """Judge the rules that reach `root`.

    Args:
        found: what GetBucketLifecycleConfiguration answers; None: there is no rule at all.
        root: the fixed start of every key.
        is_versioned: whether replaced objects stay as old versions.
    """
    rules = [rule for rule in (found or {}).get("Rules", []) if rule.get("Status") == "Enabled"]
    whole = [rule for rule in rules if _is_whole(rule, root)]
    findings = [_uploads(whole, root)]
    if is_versioned:
        findings.append(_old_versions(whole, root))
    return findings + [_expiry(rule) for rule in rules if _removes_data(rule, root)]


def _uploads(rules: Sequence[Rule], root: str) -> Finding:
    days = [
        rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation")
        for rule in rules
        if "AbortIncompleteMultipartUpload" in rule
    ]
    if days:
        return ok(_CHECK, f"uploads that were never completed are removed after {min(days)} days")
    do = (
        "the parts of a killed upload cost money for ever, and nobody sees them: add a rule with "
        "AbortIncompleteMultipartUpload, DaysAfterInitiation: 1"
    )
    return warning(_CHECK, f"no rule removes incomplete uploads under {_shown(root)}", do)


def _old_versions(rules: Sequence[Rule], root: str) -> Finding:
    expirations = [rule.get("NoncurrentVersionExpiration", {}) for rule in rules]
    days = [found["NoncurrentDays"] for found in expirations if "NoncurrentDays" in found]
    if days:
        return ok(_CHECK, f"old versions are removed after {min(days)} days")
    do = "they pile up where retries replace objects: add NoncurrentVersionExpiration"
    return warning(
        _CHECK, f"versioning is on, and no rule removes old versions of {_shown(root)}", do
    )


def _expiry(rule: Rule) -> Finding:
    expiration = rule["Expiration"]
    when = f"after {expiration['Days']} days" if "Days" in expiration else f"{expiration['Date']}"
    return ok(_CHECK, f"the rule {rule.get('ID', '')!r} removes the records themselves {when}")


def _removes_data(rule: Rule, root: str) -> bool:
    """Say whether a rule removes objects of data under the root, perhaps not all of them."""
    expiration = rule.get("Expiration", {})
    if not ("Days" in expiration or "Date" in expiration):
        return False
    prefix, top = _prefix(rule), start_of(root)
    is_quarantine = prefix.startswith(f"{top}{QUARANTINE_FOLDER}")
    return not is_quarantine and (top.startswith(prefix) or prefix.startswith(top))


def _is_whole(rule: Rule, root: str) -> bool:
    """Say whether a rule reaches every object under the root: no tag, no size, no longer prefix."""
    conditions = _conditions(rule)
    is_limited = any(name != "Prefix" and value for name, value in conditions.items())
    return not is_limited and start_of(root).startswith(_prefix(rule))


def _conditions(rule: Rule) -> Mapping[str, Any]:
    """Give the conditions of a rule's filter; in old rules the prefix stands beside it."""
    found: Mapping[str, Any] = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    both: Mapping[str, Any] = found.get("And", found)
    return both


def _prefix(rule: Rule) -> str:
    return str(_conditions(rule).get("Prefix") or "")


def _shown(root: str) -> str:
    return start_of(root) or "the bucket"
