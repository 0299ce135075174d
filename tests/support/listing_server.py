"""A bucket whose objects have any keys, listed in short pages: folder markers, empty parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from support.http_stub import Stub

NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>"


@dataclass
class Listings:
    """The objects of the bucket, and the requests received."""

    sizes: dict[str, int] = field(default_factory=dict)
    """The sizes of the objects by key."""
    page_entries: int = 2
    """Objects and folders per page, at most."""
    requests: list[dict[str, str]] = field(default_factory=list)
    """The parameters of the requests for a listing."""
    keys_by_credential: list[str] = field(default_factory=list)
    """The access keys that these requests were signed with."""
    cut_pages: int = 0
    """How many of the next pages end early."""

    def add(self, *keys: str, size_bytes: int = 1) -> None:
        """Add objects. Those whose keys end with a slash are empty."""
        for key in keys:
            self.sizes[key] = 0 if key.endswith("/") else size_bytes

    def page(self, query: dict[str, str]) -> tuple[list[str], list[str], str]:
        """Return the keys and the folders of a page, and where the next one starts or nothing."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start = query.get("continuation-token", "")
        after = query.get("start-after", "")
        found = sorted(k for k in self.sizes if k.startswith(prefix) and k >= start and k > after)
        limit = min(self.page_entries, int(query.get("max-keys", "1000")))
        keys: list[str] = []
        folders: list[str] = []
        for key in found:
            name, slash, _ = key.removeprefix(prefix).partition("/")
            folder = f"{prefix}{name}/" if delimiter and slash else ""
            if folder and folder in folders:
                continue
            if len(keys) + len(folders) == limit:
                return keys, folders, key
            (folders if folder else keys).append(folder or key)
        return keys, folders, ""


class ListingServer(Stub):
    """Serves the bucket while it is entered."""

    def __init__(self, listings: Listings) -> None:
        """Listen on a free port."""
        handler = type("Handler", (_Handler,), {"listings": listings})
        super().__init__(handler, "AWS_ENDPOINT_URL_S3", "us-east-1")


class _Handler(BaseHTTPRequestHandler):
    """Handles GET requests for listings and objects."""

    listings: Listings
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # sends the head and the body at once: the client's kernel delays its ACK

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Log nothing."""

    def do_GET(self) -> None:  # the base's name
        """Return a page, or an object."""
        url = urlsplit(self.path)
        _, _, key = url.path.removeprefix("/").partition("/")
        if key:
            self._object(unquote(key))
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        listings = self.listings
        listings.requests.append(query)
        authorization = self.headers.get("Authorization", "")
        listings.keys_by_credential.append(
            authorization.partition("Credential=")[2].partition("/")[0]
        )
        keys, folders, token = listings.page(query)
        body = "".join(self._xml(keys, folders, token)).encode()
        if listings.cut_pages:
            listings.cut_pages -= 1
            self._respond(200, body[: len(body) // 2], len(body))
        else:
            self._respond(200, body)

    def _xml(self, keys: Iterable[str], folders: Iterable[str], token: str) -> Iterable[str]:
        yield '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        yield f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>"
        if token:
            yield f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
        for key in keys:
            yield f"<Contents><Key>{escape(key)}</Key><Size>{self.listings.sizes[key]}</Size>"
            yield "<LastModified>2026-11-23T07:00:00.000Z</LastModified>"
            yield "<ETag>&quot;e&quot;</ETag></Contents>"
        for folder in folders:
            yield f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
        yield "</ListBucketResult>"

    def _object(self, key: str) -> None:
        if key in self.listings.sizes:
            self._respond(200, b"x" * self.listings.sizes[key])
        else:
            self._respond(404, NO_SUCH_KEY)

    def _respond(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True
