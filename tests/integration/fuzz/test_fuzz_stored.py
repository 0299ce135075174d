"""What lies in a bucket: any names, bodies and metadata, before `verify` and `replay`."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from support.fuzz_strategies import keys, stored_objects
from support.fuzz_targets import check_stored


@given(stored_objects, st.lists(keys, max_size=1))
@settings(max_examples=150)
def test_whatever_lies_in_a_bucket_is_judged_and_nothing_is_sent_twice(
    objects: Mapping[str, tuple[bytes, Mapping[str, str]]], uploads: list[str]
) -> None:
    """Findings or errors of ours; what is no quarantine stays byte for byte."""
    check_stored(objects, uploads)
