"""Stubs of Lambda, IAM and package download for `batcher check --function`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.aws_shapes import make_response
from support.http_stub import Stub

_DENIED = '{"__type":"AccessDeniedException","Message":"no"}'
_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


@dataclass
class Account:
    """What is deployed. Reading a field that is None is denied."""

    function: dict[str, Any] | None = None
    mapping_pages: list[list[dict[str, Any]]] | None = None
    package: bytes | None = None
    honours_range: bool = True
    reserved: int | None = None
    allowed: set[str] | None = None
    """Actions that the role may perform, on resources that start with `allowed_on`."""
    allowed_on: str = "arn:aws:s3:::my-bucket/events/"
    requests: list[str] = field(default_factory=list)
    """Method and path of each request."""


class StubAws(Stub):
    """Serves Lambda, IAM and a package's URL while it is entered."""

    def __init__(self, account: Account) -> None:
        """Listen on a free port."""
        handler = type("Handler", (_Handler,), {"account": account})
        super().__init__(handler, "AWS_ENDPOINT_URL", "us-east-2")


class _Handler(BaseHTTPRequestHandler):
    account: Account
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Log nothing."""

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        url = urlsplit(self.path)
        self.account.requests.append(f"{self.command} {url.path}")
        account, path = self.account, url.path
        if path == "/code.zip":
            self._package()
        elif "SimulatePrincipalPolicy" in body:
            self._simulate(parse_qs(body))
        elif path.endswith("/configuration"):
            self._json("GetFunctionConfiguration", account.function)
        elif path.startswith("/2015-03-31/event-source-mappings"):
            self._mappings(parse_qs(url.query))
        elif path.startswith("/2015-03-31/functions/"):
            self._function()
        else:
            self._respond(403, b"<Error><Code>AccessDenied</Code></Error>")

    do_GET = do_POST = do_HEAD = _do  # noqa: N815  # the base's names

    def _function(self) -> None:
        if self.account.function is None:
            self._json("GetFunction", None)
            return
        url = f"http://{self.headers['Host']}/code.zip"
        values: dict[str, Any] = {"Code": {"RepositoryType": "S3", "Location": url}}
        if self.account.reserved is not None:
            values["Concurrency"] = {"ReservedConcurrentExecutions": self.account.reserved}
        self._json("GetFunction", values)

    def _mappings(self, query: dict[str, list[str]]) -> None:
        pages = self.account.mapping_pages
        if pages is None:
            self._json("ListEventSourceMappings", None)
            return
        number = int(query.get("Marker", ["0"])[0])
        values: dict[str, Any] = {"EventSourceMappings": pages[number]}
        if number + 1 < len(pages):
            values["NextMarker"] = str(number + 1)
        self._json("ListEventSourceMappings", values)

    def _simulate(self, parameters: dict[str, list[str]]) -> None:
        if self.account.allowed is None:
            text = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
            self._respond(403, text.encode())
            return
        actions = [v[0] for name, v in sorted(parameters.items()) if name.startswith("ActionNames")]
        (resource,) = parameters["ResourceArns.member.1"]
        # The condition of our role: the KMS key may be used through S3 only, in the key's region
        context = "ContextEntries.member.1.ContextKeyValues.member.1"
        _, _, service, region, *_ = resource.split(":")
        is_open = service != "kms" or parameters.get(context) == [f"s3.{region}.amazonaws.com"]
        members = ""
        for action in actions:
            is_allowed = (
                is_open
                and action in self.account.allowed
                and resource.startswith(self.account.allowed_on)
            )
            decision = "allowed" if is_allowed else "implicitDeny"
            members += (
                f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}"
                f"</EvalResourceName><EvalDecision>{decision}</EvalDecision></member>"
            )
        result = f"<EvaluationResults>{members}</EvaluationResults>"
        kind = "SimulatePrincipalPolicy"
        inner = f"<{kind}Result>{result}</{kind}Result>"
        text = f'<{kind}Response xmlns="{_NAMESPACE}">{inner}</{kind}Response>'
        self._respond(200, text.encode())

    def _package(self) -> None:
        body = self.account.package
        if body is None:
            self._respond(403, b"")
            return
        suffix_range = re.fullmatch(r"bytes=-(\d+)", self.headers.get("Range", ""))
        if suffix_range and self.account.honours_range:
            self._respond(206, body[-int(suffix_range[1]) :])
        else:
            self._respond(200, body)

    def _json(self, operation: str, values: dict[str, Any] | None) -> None:
        if values is None:
            self._respond(403, _DENIED.encode())
        else:
            response = make_response("lambda", operation, values)
            self._respond(200, json.dumps(response).encode())

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
