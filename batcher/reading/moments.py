"""Moments: a time as users write it, or as a line of quarantine has it, in seconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import inf

from batcher.errors import SettingsError
from batcher.reading.spans import Span

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Time = str | datetime | None
"""A moment, as a user gives it, or none."""


def span_between(since: Time, until: Time, now_s: float) -> Span:
    """Read a time span; it may be empty, or end before it starts.

    Args:
        since: its start: a date-time or date (its start) of ISO 8601, in UTC where it names no
            zone, or how long ago: `30s`, `15m`, `2h`, `3d`, `1w`.
        until: its end, which is not in it; as `since`.
        now_s: what "ago" is counted from, in seconds since 1970.

    Raises:
        SettingsError: with every fault.
    """
    faults: list[str] = []
    bounds = {"since": -inf, "until": inf}
    for name, value in (("since", since), ("until", until)):
        if value is not None:
            try:
                bounds[name] = _seconds(value, now_s)
            except (ValueError, OverflowError):
                faults.append(
                    f"{name}: {value!r} is no date or time of ISO 8601, nor how long ago, as 2h"
                )
    if faults:
        raise SettingsError(faults)
    return Span(bounds["since"], bounds["until"])


def parse_time(text: str) -> float:
    """Read a date or date-time of ISO 8601, in UTC where it names no zone.

    Raises:
        ValueError: it is none.
    """
    return _in_utc(datetime.fromisoformat(text))


def _in_utc(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(value: str | datetime, now_s: float) -> float:
    if isinstance(value, datetime):
        return _in_utc(value)
    if ago := _AGO.fullmatch(value.strip()):
        return now_s - float(ago[1]) * _UNITS_S[ago[2]]
    return parse_time(value.strip())
