"""Faults, and the rules that decide which requests they hit."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qs, unquote, urlsplit

ALWAYS = 10**9
"""Value of `Rule.times`: every request from the first on."""


class FaultKind(Enum):
    """How a request fails."""

    RESPOND = "the proxy responds with an error"
    RESET = "connection reset"
    STALL = "no response"
    CUT_BODY = "the request's body ends early"
    CUT_RESPONSE = "the response ends early"
    HOLD = "no response; the request is sent to the server when the test calls release"


@dataclass(frozen=True, slots=True)
class Fault:
    """How one request fails."""

    name: str
    kind: FaultKind
    after_success: bool = False
    """Whether the server processes the request before it fails."""
    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.name


SERVER_ERROR = Fault("500", FaultKind.RESPOND, status=500, code="InternalError")
SLOW_DOWN = Fault("503", FaultKind.RESPOND, status=503, code="SlowDown")
CONFLICT = Fault("409", FaultKind.RESPOND, status=409, code="ConditionalRequestConflict")
ERROR_IN_200 = Fault("200 with an error", FaultKind.RESPOND, status=200, code="InternalError")
LATE_ERROR_IN_200 = Fault(
    "200 with an error though done",
    FaultKind.RESPOND,
    after_success=True,
    status=200,
    code="InternalError",
)
LATE_SERVER_ERROR = Fault(
    "500 though done", FaultKind.RESPOND, after_success=True, status=500, code="InternalError"
)
RESET = Fault("reset", FaultKind.RESET)
RESPONSE_LOST = Fault("answer lost", FaultKind.RESET, after_success=True)
STALL = Fault("stall", FaultKind.STALL)
LATE_STALL = Fault("stall though done", FaultKind.STALL, after_success=True)
CUT_BODY = Fault("body cut", FaultKind.CUT_BODY)
CUT_RESPONSE = Fault("answer cut", FaultKind.CUT_RESPONSE, after_success=True)
HOLD = Fault("held", FaultKind.HOLD)
EXPIRED = Fault("expired", FaultKind.RESPOND, status=400, code="ExpiredToken")
SKEWED = Fault("skewed", FaultKind.RESPOND, status=403, code="RequestTimeTooSkewed")
UPLOAD_GONE = Fault("upload gone", FaultKind.RESPOND, status=404, code="NoSuchUpload")
DENIED = Fault("denied", FaultKind.RESPOND, status=403, code="AccessDenied")


def slow_down_for(retry_after: str) -> Fault:
    """Return a 503 with this Retry-After header: seconds, or a date."""
    headers = {"Retry-After": retry_after}
    return Fault(
        "503 with Retry-After", FaultKind.RESPOND, status=503, code="SlowDown", headers=headers
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """Makes requests of one operation, on keys that contain `key`, fail."""

    operation: str
    """`put`, `head`, `get`, `create`, `part`, `complete`, `abort` or `list`."""
    fault: Fault
    key: str = ""
    times: int = 1
    """How many requests in a row."""
    first: int = 1
    """Number of the first of them, from 1."""
    chance: float = 1.0
    """The probability that each of them fails."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that the proxy received, and the fault it was given."""

    operation: str
    key: str
    fault: Fault | None


class FaultScript:
    """Chooses the fault of each request by the first rule that applies, reproducibly."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 0) -> None:
        """Use `rules` in this order; `seed` decides about their `chance`."""
        self._rules = rules
        self._matched = [0] * len(rules)
        self._fired = [0] * len(rules)
        self._random = random.Random(seed)  # noqa: S311  # no secret

    def decide(self, operation: str, key: str) -> Fault | None:
        """Return the fault of the next request, or None."""
        for number, rule in enumerate(self._rules):
            if rule.operation != operation or rule.key not in key:
                continue
            self._matched[number] += 1
            is_due = rule.first <= self._matched[number] < rule.first + rule.times
            if is_due and self._random.random() < rule.chance:
                self._fired[number] += 1
                return rule.fault
        return None

    def unfired(self) -> list[str]:
        """Describe the rules that applied to fewer requests than they should have.

        A test in which a rule did not apply proves nothing.
        """
        return [
            f"{rule.operation} {rule.fault}: {fired} of {rule.times}"
            for rule, fired in zip(self._rules, self._fired, strict=True)
            if fired < (rule.times if rule.times < ALWAYS and rule.chance == 1 else 1)
        ]


def classify(method: str, target: str) -> tuple[str, str]:
    """Return the operation and the key of an S3 request."""
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
