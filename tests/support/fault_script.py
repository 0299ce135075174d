"""Script: which request goes wrong, and how, decided by rules and a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qs, unquote, urlsplit

ALWAYS = 10**9
"""As `Rule.times`: from then on, for ever."""


class FaultKind(Enum):
    """How a request goes wrong."""

    ANSWER = "answered by us"
    RESET = "connection reset"
    STALL = "never answered"
    CUT_BODY = "the request's body ends early"
    CUT_ANSWER = "the answer ends early"
    HOLD = "never answered, and sent to the server when the test says so"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request."""

    name: str
    kind: FaultKind
    after_success: bool = False
    """Whether the server has done what was asked before it goes wrong."""
    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.name


SERVER_ERROR = Fault("500", FaultKind.ANSWER, status=500, code="InternalError")
SLOW_DOWN = Fault("503", FaultKind.ANSWER, status=503, code="SlowDown")
CONFLICT = Fault("409", FaultKind.ANSWER, status=409, code="ConditionalRequestConflict")
ERROR_IN_200 = Fault("200 with an error", FaultKind.ANSWER, status=200, code="InternalError")
LATE_ERROR_IN_200 = Fault(
    "200 with an error though done",
    FaultKind.ANSWER,
    after_success=True,
    status=200,
    code="InternalError",
)
LATE_SERVER_ERROR = Fault(
    "500 though done", FaultKind.ANSWER, after_success=True, status=500, code="InternalError"
)
RESET = Fault("reset", FaultKind.RESET)
RESPONSE_LOST = Fault("answer lost", FaultKind.RESET, after_success=True)
STALL = Fault("stall", FaultKind.STALL)
LATE_STALL = Fault("stall though done", FaultKind.STALL, after_success=True)
CUT_BODY = Fault("body cut", FaultKind.CUT_BODY)
CUT_ANSWER = Fault("answer cut", FaultKind.CUT_ANSWER, after_success=True)
HOLD = Fault("held", FaultKind.HOLD)
EXPIRED = Fault("expired", FaultKind.ANSWER, status=400, code="ExpiredToken")
SKEWED = Fault("skewed", FaultKind.ANSWER, status=403, code="RequestTimeTooSkewed")
UPLOAD_GONE = Fault("upload gone", FaultKind.ANSWER, status=404, code="NoSuchUpload")
DENIED = Fault("denied", FaultKind.ANSWER, status=403, code="AccessDenied")


def slow_down_for(retry_after: str) -> Fault:
    """Return the 503 that asks to be left alone: for seconds, or until a date."""
    headers = {"Retry-After": retry_after}
    return Fault(
        "503 with Retry-After", FaultKind.ANSWER, status=503, code="SlowDown", headers=headers
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """Lets requests of one operation, on keys that hold `key`, go wrong."""

    operation: str
    """`put`, `head`, `get`, `create`, `part`, `complete`, `abort` or `list`."""
    fault: Fault
    key: str = ""
    times: int = 1
    """How many requests in a row."""
    first: int = 1
    """The first of them, from 1."""
    chance: float = 1.0
    """The share of them that does go wrong."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that was on the wire."""

    operation: str
    key: str
    fault: Fault | None


class FaultScript:
    """Decides by rules, the first that applies; the same rules and seed decide the same."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 0) -> None:
        """Decide by `rules`."""
        self._rules = rules
        self._met = [0] * len(rules)
        self._fired = [0] * len(rules)
        self._random = random.Random(seed)  # noqa: S311  # no secret

    def decide(self, operation: str, key: str) -> Fault | None:
        """Return what goes wrong with the next request of this kind."""
        for number, rule in enumerate(self._rules):
            if rule.operation != operation or rule.key not in key:
                continue
            self._met[number] += 1
            is_due = rule.first <= self._met[number] < rule.first + rule.times
            if is_due and self._random.random() < rule.chance:
                self._fired[number] += 1
                return rule.fault
        return None

    def unfired(self) -> list[str]:
        """Name the rules that did less than they were to do: a test that shows nothing."""
        return [
            f"{rule.operation} {rule.fault}: {fired} of {rule.times}"
            for rule, fired in zip(self._rules, self._fired, strict=True)
            if fired < (rule.times if rule.times < ALWAYS and rule.chance == 1 else 1)
        ]


def classify(method: str, target: str) -> tuple[str, str]:
    """Return a request's operation and its key."""
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    key = unquote(parts.path).lstrip("/").partition("/")[2]
    if method == "GET":
        return ("get" if key else "list"), key or query.get("prefix", [""])[0]
    if method == "PUT":
        return ("part" if "partNumber" in query else "put" if key else "bucket"), key
    if method == "POST" and "uploads" in query:
        return "create", key
    if "uploadId" in query:
        return {"POST": "complete", "DELETE": "abort"}.get(method, "other"), key
    return {"HEAD": "head", "DELETE": "delete"}.get(method, "other"), key
