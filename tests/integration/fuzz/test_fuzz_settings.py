"""Settings: whatever is given, they are valid or every fault is told in one message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import SettingsError
from batcher.keys.partition import PartitionTemplate
from batcher.settings import ENV_PREFIX, Settings
from support.fuzz_strategies import setting_values

NAMES = [f.name for f in fields(Settings)]
VARIABLES = st.sampled_from([f"{ENV_PREFIX}{name.upper()}" for name in NAMES]) | st.text(
    max_size=6
).map(ENV_PREFIX.__add__)
TEXTS = setting_values.filter(lambda value: isinstance(value, str))
MEMORY = st.just("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
SECRET = "hunter2-AKIAFUZZ"
"""In the environment under names that are no settings; never to be shown."""


def check_settings(environ: Mapping[str, Any], values: Mapping[str, Any]) -> Settings | None:
    """Settings are valid, or a `SettingsError` says every fault in one message.

    Raises:
        Exception: any that is no `SettingsError`.
    """
    given = {**environ, "BATCHER_S3_SECRET_KEY": SECRET} if "secret" in environ else environ
    try:
        settings = Settings.from_env(given, **values)
    except SettingsError as error:
        _check_faults(error, given, values)
        return None
    assert "secret" not in environ
    assert settings == Settings(**{f.name: getattr(settings, f.name) for f in fields(settings)})
    assert settings.max_bytes >= 1 <= settings.budget_bytes
    assert not PartitionTemplate.find_faults(settings.partition_by)
    return settings


def _check_faults(
    error: SettingsError, environ: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Every fault is told, and nothing that is no setting's."""
    assert error.faults
    for fault in error.faults:
        assert fault in str(error)
    assert SECRET not in str(error)
    unknown = [name for name in environ if name.startswith(ENV_PREFIX) and not is_setting(name)]
    assert len([f for f in error.faults if ": unknown setting" in f]) == len(unknown)
    for name in alone_faulty(values):
        assert any(fault.startswith(name) for fault in error.faults), (name, error.faults)


def is_setting(variable: str) -> bool:
    """Return whether a variable is a setting's, letter for letter."""
    return variable in {f"{ENV_PREFIX}{f.name.upper()}" for f in fields(Settings)}


def alone_faulty(values: Mapping[str, Any]) -> list[str]:
    """Return the settings that are a fault even if all others are as they are by default."""
    found = []
    for name, value in values.items():
        try:
            Settings(**{"bucket": "my-bucket", name: value})
        except SettingsError as error:
            if any(fault.startswith(f"{name}:") for fault in error.faults):
                found.append(name)
    related = {"compression_level", "kms_key_id", "max_bytes", "partition_by"}
    return [name for name in found if name not in related]


@given(
    st.dictionaries(VARIABLES | MEMORY | st.just("secret"), TEXTS, max_size=4),
    st.dictionaries(st.sampled_from(NAMES), setting_values, max_size=4),
)
def test_settings_are_valid_or_every_fault_is_told_at_once(
    environ: dict[str, str], values: dict[str, Any]
) -> None:
    """As variables, as arguments, or both; what stands under other names is never shown."""
    check_settings({"BATCHER_BUCKET": "my-bucket", **environ}, values)
