"""Errors: sorted by what the caller does next."""

from __future__ import annotations

from traceback import format_exception

import pytest

from batcher import errors
from batcher.errors import BatcherError, PoisonRecordError, RetryableError, SettingsError, shorten


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


def test_a_shortened_error_keeps_one_line_of_one_cause() -> None:
    """Whether it was raised `from` the cause, or while the cause was handled."""

    def read() -> None:
        raise OSError(13, "below")

    def request() -> None:
        try:
            read()
        except OSError as below:
            message = "Generic error\n\nDebug source:\nGeneric {\n}"
            raise ValueError(message) from below

    def fail(*, explicit: bool) -> None:
        try:
            request()
        except ValueError as cause:
            error = RetryableError("busy")
            if explicit:
                raise error from cause
            raise error  # noqa: B904  # what the test is about

    for explicit in (True, False):
        with pytest.raises(RetryableError) as caught:
            fail(explicit=explicit)
        text = "".join(format_exception(shorten(caught.value)))
        assert text == (
            "ValueError: Generic error\n\n"
            "The above exception was the direct cause of the following exception:\n\n"
            "batcher.errors.RetryableError: busy\n"
        )


def test_a_cause_that_was_left_out_stays_out() -> None:
    with pytest.raises(RetryableError) as caught:
        raise RetryableError from None
    assert shorten(caught.value).__cause__ is None


def test_a_cause_that_has_no_text_is_kept() -> None:
    """An error of a user's store may fail to describe itself; its ticket must still have it."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

    error = RetryableError("busy")
    error.__cause__ = OddError()
    assert shorten(error).__cause__ is error.__cause__
