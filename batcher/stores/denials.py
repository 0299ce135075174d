"""Hints that follow the message of a refusal: the action, policy or header that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping

CLOCK_HINT = "this machine's clock is off; set it"

_ACTION = re.compile(r"not authorized to perform:?\s+([A-Za-z0-9-]+:[A-Za-z0-9*]+)")


_KMS_ACTION = re.compile(r"\bkms:[A-Za-z]+")


_RESOURCE = re.compile(r"on resource:?\s+[\"']?([^\s\"']*[^\s\"'.,;])")


_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[^\s\"',;)]*[^\s\"',;).]")


_EXPLICIT_DENY = re.compile(
    r"explicit(?:ly)? den(?:y|ied)(?: in an? ([a-z][a-z ()-]*[a-z)]))?", re.IGNORECASE
)


_LACKING_POLICY = re.compile(r"because no ([a-z][a-z -]*[a-z]) allows", re.IGNORECASE)


_OWN_POLICIES = {"identity-based policy", "resource-based policy"}
"""Where an action is allowed. All other policies only limit what these allow."""


_CLOCK_FAULT = re.compile(
    r"signature (?:expired|not yet current)|request has expired", re.IGNORECASE
)


_HEADER = re.compile(r"\b(x-amz-[a-z0-9-]*[a-z0-9]|if-(?:none-)?match)\b", re.IGNORECASE)


_HEADER_SETTINGS: Mapping[str, str] = {
    "x-amz-acl": "`acl`",
    "x-amz-expected-bucket-owner": "`expected_bucket_owner`",
    "x-amz-request-payer": "`request_payer`",
    "x-amz-server-side-encryption": "`sse`",
    "x-amz-server-side-encryption-aws-kms-key-id": "`kms_key_id`",
    "x-amz-storage-class": "`storage_class`",
    "x-amz-tagging": "`tags`",
    "x-amz-security-token": "the session token of the credentials",
}
"""Headers that batcher sends, and what they come from."""


_CONDITIONS = {"if-none-match", "if-match"}


_CHECKSUMS = ("x-amz-checksum-", "x-amz-sdk-checksum-", "x-amz-content-sha256")


def find_denial_hint(message: str) -> str:
    """Return how to fix a denial, as far as its message says why. Empty: it does not.

    An action that some statement denies is not to be allowed once more. So no permission is named.
    Source: IAM user guide, "Troubleshoot access denied error messages".
    """
    action = _ACTION.search(message)
    kms = _KMS_ACTION.search(message)
    name = action[1] if action else (kms[0] if kms else "")
    if denied := _EXPLICIT_DENY.search(message):
        policy = " ".join((denied[1] or "policy").split())
        article = "an" if policy[0] in "aeiou" else "a"
        return (
            f"a statement of {article} {policy} denies {name or 'it'}; change that statement "
            "(allowing more does not help)"
        )
    if not name:
        return ""
    place = _find_resource(message, name)
    if (lacking := _LACKING_POLICY.search(message)) and lacking[1].lower() not in _OWN_POLICIES:
        return f"no {lacking[1]} allows {name}, and one limits what may be allowed: add it there"
    return f"allow {name} on {place}"


def _find_resource(message: str, action: str) -> str:
    if action.startswith("kms:"):
        key = _KEY_ARN.search(message)
        place = (
            f"the key {key[0]}" if key else "the KMS key (`kms_key_id`, or the bucket's default)"
        )
        return f"{place}, in its key policy, too"
    found = _RESOURCE.search(message)
    return found[1] if found else "the bucket or the root"


def find_clock_hint(message: str) -> str:
    """Return how to fix a signature that is too old or too new, or an empty string."""
    return CLOCK_HINT if _CLOCK_FAULT.search(message) else ""


def find_header_hint(header: str, message: str) -> str:
    """Return how to fix a refusal that names a header, or an empty string.

    Args:
        header: what the response names as a header or an argument; may be empty.
        message: its message.
    """
    found = _HEADER.search(header) or _HEADER.search(message)
    if found is None:
        return ""
    name = found[1].lower()
    if name in _CONDITIONS:
        return "this endpoint lacks conditional writes; use one that has them"
    if setting := _HEADER_SETTINGS.get(name):
        return f"the header {name} comes from {setting}; set, correct or remove it"
    if name.startswith(_CHECKSUMS):
        return f"this endpoint does not take the checksum in {name}; use one that does"
    if name.startswith("x-amz-meta-"):
        return f"the header {name} comes from `metadata`; correct or remove it"
    return f"batcher does not send the header {name}; do not demand it of this writer"
