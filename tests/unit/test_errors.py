"""Errors: sorted by what the caller does next."""

from __future__ import annotations

import pytest

from batcher import errors
from batcher.errors import BatcherError, PoisonRecordError, SettingsError


@pytest.mark.parametrize(
    "name",
    [
        "RetryableError",
        "RejectedError",
        "PoisonRecordError",
        "UnknownSourceError",
        "SettingsError",
        "PreconditionFailedError",
    ],
)
def test_everything_raised_on_purpose_has_one_root(name: str) -> None:
    """So one `except` catches it, and nothing else."""
    assert issubclass(getattr(errors, name), BatcherError)


def test_a_poison_record_names_itself_and_its_fault() -> None:
    """The position is what finds it at its source."""
    error = PoisonRecordError("not_json", "no value", "events.ndjson:7")
    assert str(error) == "record events.ndjson:7: not_json: no value"
    assert (error.reason, error.detail, error.position) == ("not_json", "no value", error.position)


def test_settings_faults_stand_in_one_message_a_line_each() -> None:
    """And programs find them in `faults`."""
    error = SettingsError(["a: wrong", "b: wrong too"])
    assert error.faults == ("a: wrong", "b: wrong too")
    assert str(error).splitlines()[1:] == ["  - a: wrong", "  - b: wrong too"]
