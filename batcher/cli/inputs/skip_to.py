"""`--skip-to FILE:LINE`: where a run that was stopped continues."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from batcher.errors import SettingsError
from batcher.tools.formatting import format_count

MAX_COMPARED_NAMES = 10_000
"""Names among which the closest one is looked for. It takes 60 ms per 1,000 names."""


def parse_skip_to(text: str | None) -> tuple[str, int]:
    """Return the name of an input, or nothing for the first, and the number of a line.

    Raises:
        SettingsError: the text has another form.
    """
    if text is None:
        return "", 1
    name, _, line = text.rpartition(":")
    if not (name and line.isdecimal() and line.isascii() and int(line)):
        raise SettingsError([f"skip_to: {text!r} is not FILE:LINE with a line from 1"])
    return name, int(line)


def find_skipped(name: str, names: Sequence[str], errors: Sequence[str] = ()) -> int:
    """Return how many of `names` are before `name`. An empty name is before all.

    Args:
        name: of the input to continue at.
        names: of all inputs.
        errors: inputs that could not be listed, each with the reason. The name may be in these.

    Raises:
        SettingsError: it is none of them, or is given more than once.
    """
    if not name:
        return 0
    times = names.count(name)
    if times == 1:
        return names.index(name)
    if times:
        fault = f"{name!r} is given {times} times, so it is ambiguous; leave out those done"
    else:
        close = get_close_matches(name, names[:MAX_COMPARED_NAMES], n=1)
        files = format_count(len(names), "file")
        hint = f"did you mean {close[0]}?" if close else f"the first is {names[0]}" if names else ""
        fault = (
            f"{name!r} names none of the inputs ({files}); pass the same inputs as the run that "
            f"stopped{'; ' + hint if hint else ''}"
        )
    raise SettingsError([f"skip_to: {fault}", *errors])
