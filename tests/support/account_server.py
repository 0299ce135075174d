"""An S3 and STS of one account: refuses requests that AWS would refuse for their signature."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from support.credential_server import COMPLETE, CREATED, LISTING, UPLOADS
from support.http_stub import LoopbackServer
from support.responding_server import Received

CALLER = ("AKIACALLER", "caller secret")
"""The keys that may assume roles, and use the bucket themselves."""
BODY = b"0123456789"


class AccountServer(LoopbackServer):
    """Answers every signed request of S3, stores nothing, and gives credentials of roles."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.received: list[Received] = []
        """Requests to S3 that were accepted."""
        self.refused: list[str] = []
        """Why requests were not accepted."""
        self.assumed: list[dict[str, str]] = []
        """The parameters of each AssumeRole."""
        self.owner = "123456789012"
        self.lifetime_s = 3_600.0
        self.clock = time.time
        self.sts_delay_s = 0.0
        self.sts_error: tuple[int, str, str] | None = None
        """Status, code and message."""
        self.secrets = dict([CALLER])
        super().__init__(type("Handler", (_Handler,), {"account": self}))

    def find_fault(self, request: Received) -> str:
        """Return why S3 would refuse a request, or an empty string."""
        fields = request.headers["authorization"].partition(" ")[2].split(", ")
        credential, signed, signature = (field.partition("=")[2] for field in fields)
        names = signed.split(";")
        unsigned = {n for n in request.headers if n.startswith("x-amz-")} - {*names}
        if unsigned:
            return f"HeadersNotSigned: {sorted(unsigned)}"
        key_id, _, region, service, _ = credential.split("/")
        signer = S3SigV4Auth(
            ReadOnlyCredentials(key_id, self.secrets[key_id], None), service, region
        )
        url = f"http://{request.headers['host']}{request.path}"
        copy = AWSRequest(request.method, url, headers={n: request.headers[n] for n in names})
        copy.context["timestamp"] = request.headers["x-amz-date"]
        text = signer.string_to_sign(copy, signer.canonical_request(copy))
        if signer.signature(text, copy) != signature:
            return "SignatureDoesNotMatch"
        expected = request.headers.get("x-amz-expected-bucket-owner", self.owner)
        return "" if expected == self.owner else "AccessDenied"


class _Handler(BaseHTTPRequestHandler):
    account: AccountServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Log nothing."""

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.command, self.path, headers, body)
        if "/sts/" in headers["authorization"]:
            self._answer_sts({n: v[0] for n, v in parse_qs(body.decode()).items()})
            return
        if fault := self.account.find_fault(request):
            self.account.refused.append(fault)
            code = fault.partition(":")[0]
            self._respond(403, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
            return
        self.account.received.append(request)
        self._answer_s3(request)

    def _answer_s3(self, request: Received) -> None:
        query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
        if request.method == "POST":
            self._respond(200, CREATED if "uploads" in query else COMPLETE)
        elif "uploads" in query:
            self._respond(200, UPLOADS)
        elif "list-type" in query:
            self._respond(200, LISTING)
        elif "range" in request.headers:
            first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
            self._respond(
                206, BODY[first : last + 1], **{"Content-Range": f"bytes {first}-{last}/10"}
            )
        else:
            self._respond(200, BODY if request.method == "GET" else b"")

    def _answer_sts(self, parameters: dict[str, str]) -> None:
        account = self.account
        if parameters["Action"] == "GetCallerIdentity":
            is_role = "Credential=ASIAROLE" in self.headers["authorization"]
            arn = "arn:aws:sts::2:assumed-role/writer/batcher" if is_role else "arn:aws:iam::1:root"
            result = f"<GetCallerIdentityResult><Arn>{arn}</Arn></GetCallerIdentityResult>"
            answer = f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>"
            self._respond(200, answer.encode())
            return
        time.sleep(account.sts_delay_s)
        account.assumed.append(parameters)
        if account.sts_error is not None:
            status, code, message = account.sts_error
            text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            self._respond(status, f"{text}</ErrorResponse>".encode())
            return
        key_id = f"ASIAROLE{len(account.assumed)}"
        account.secrets[key_id] = "role secret"
        expires = datetime.fromtimestamp(account.clock() + account.lifetime_s, UTC).isoformat()
        keys = f"<AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>role secret</SecretAccessKey>"
        keys += f"<SessionToken>role token</SessionToken><Expiration>{expires}</Expiration>"
        result = f"<AssumeRoleResult><Credentials>{keys}</Credentials></AssumeRoleResult>"
        self._respond(200, f"<AssumeRoleResponse>{result}</AssumeRoleResponse>".encode())

    def _respond(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("ETag", '"an-etag"')
        self.send_header("x-amz-meta-batcher-digest", "1")
        self.send_header("Last-Modified", "Mon, 23 Nov 2026 07:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815  # the base's names
