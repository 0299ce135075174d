"""Faults, and the rules that decide which requests they hit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from batcher.testing.fault_script import ALWAYS, FaultRule
from batcher.testing.fault_script import FaultScript as Script

__all__ = [
    "ALWAYS",
    "CONFLICT",
    "CUT_BODY",
    "CUT_RESPONSE",
    "DENIED",
    "ERROR_IN_200",
    "EXPIRED",
    "HOLD",
    "LATE_ERROR_IN_200",
    "LATE_SERVER_ERROR",
    "LATE_STALL",
    "RESET",
    "RESPONSE_LOST",
    "SERVER_ERROR",
    "SKEWED",
    "SLOW_DOWN",
    "STALL",
    "UPLOAD_GONE",
    "Fault",
    "FaultKind",
    "FaultScript",
    "Rule",
    "SeenRequest",
    "classify",
    "slow_down_for",
]


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


Rule: TypeAlias = FaultRule[Fault]


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that the proxy received, and the fault it was given."""

    operation: str
    key: str
    fault: Fault | None


FaultScript: TypeAlias = Script[Fault]


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
