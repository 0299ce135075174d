"""Values of settings that only S3 and KMS judge."""

from __future__ import annotations

import pytest

from batcher.tools.check.object_settings import evaluate_object_settings
from support.examples import make_settings

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
KEYS = [
    KEY,
    f"mrk-{KEY.replace('-', '')}",
    f"arn:aws:kms:eu-west-1:123456789012:key/{KEY}",
    "alias/records",
    "arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/records/all",
]


@pytest.mark.parametrize("key", KEYS)
def test_what_aws_knows_is_fine(key: str) -> None:
    settings = make_settings(sse="aws:kms", kms_key_id=key, storage_class="STANDARD_IA")
    assert not evaluate_object_settings(settings)


@pytest.mark.parametrize("key", ["nope", f"{KEY}0", f"arn:aws:kms:eu-west-1:1:key/{KEY}", "alias/"])
def test_what_aws_does_not_know_is_a_warning(key: str) -> None:
    """No error: another store may know it."""
    settings = make_settings(sse="aws:kms", kms_key_id=key, storage_class="standard_ai")
    by_class, by_key = evaluate_object_settings(settings)
    assert (by_class.check, by_key.check) == ("settings.storage_class", "settings.kms_key_id")
    assert by_class.status == by_key.status == "warning"
    assert by_class.fix == "did you mean STANDARD_IA?"
