"""docs/reference/errors.md: error classes, reasons of bad records, exit codes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache

import griffe

import batcher
import batcher.errors
from batcher.cli import EXIT_CODES
from batcher.errors import BatcherError
from batcher.records.bad_record import BadRecordReason
from generate.markdown import make_table

ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def public_errors() -> list[type[BatcherError]]:
    """Return the error classes that the package exports, in the order of their declaration."""
    return [
        each
        for each in vars(batcher.errors).values()
        if inspect.isclass(each)
        and issubclass(each, BatcherError)
        and each.__name__ in batcher.__all__
    ]


def make_errors() -> str:
    """Return the table of the error classes. The next steps are those of the module's docstring."""
    steps = dict(ROW.findall(str(batcher.errors.__doc__)))
    rows = []
    for error in public_errors():
        if error is BatcherError:
            continue
        meaning = str(error.__doc__).partition("\n\n")[0]
        rows.append((f"`{error.__name__}`", meaning, steps[error.__name__]))
    return make_table(("error", "meaning", "what to do next"), rows)


@cache
def describe_members(module: str, name: str) -> dict[str, str]:
    """Return the docstrings of the members of an enum, which only its source has."""
    enum = griffe.load(module)[name]
    return {
        member.name: " ".join(member.docstring.value.split())
        for member in enum.members.values()
        if member.docstring
    }


def make_reasons() -> str:
    """Return the table of the reasons of bad records."""
    described = describe_members("batcher.records.bad_record", "BadRecordReason")
    rows = [(f"`{reason}`", described[reason.name]) for reason in BadRecordReason]
    return make_table(("reason", "meaning"), rows)


def make_exit_codes() -> str:
    """Return the table of the exit codes of the command line."""
    return make_table(
        ("exit code", "meaning"), [(f"{code}", meaning) for code, meaning in EXIT_CODES.items()]
    )


PARTS: Mapping[str, Callable[[], str]] = {
    "errors": make_errors,
    "bad-record-reasons": make_reasons,
    "exit-codes": make_exit_codes,
}
