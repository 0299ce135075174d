"""Settings: whatever is given, they are valid or every fault is told in one message."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batcher.settings import PREFIX, Settings
from fuzz.strategies import setting_values
from fuzz.targets import check_settings

NAMES = [f.name for f in fields(Settings)]
VARIABLES = st.sampled_from([f"{PREFIX}{name.upper()}" for name in NAMES]) | st.text(
    max_size=6
).map(PREFIX.__add__)
TEXTS = setting_values.filter(lambda value: isinstance(value, str))
MEMORY = st.just("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")


@given(
    st.dictionaries(VARIABLES | MEMORY | st.just("secret"), TEXTS, max_size=4),
    st.dictionaries(st.sampled_from(NAMES), setting_values, max_size=4),
)
def test_settings_are_valid_or_every_fault_is_told_at_once(
    environ: dict[str, str], values: dict[str, Any]
) -> None:
    """As variables, as arguments, or both; what stands under other names is never shown."""
    check_settings({"BATCHER_BUCKET": "my-bucket", **environ}, values)
