"""Locations of objects as users write them: `s3://bucket/root`, a folder, or `file://folder`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from batcher.errors import RejectedError, SettingsError

S3_SCHEME, FILE_SCHEME = "s3://", "file://"


_FORMS = "write s3://bucket/root, or the path of a folder"


_URL_START = re.compile(
    r"(\s*)(?:(?P<scheme>[a-z][a-z0-9+.-]*):(?=/)|(?P<known>s3|file|arn):)", re.IGNORECASE
)
"""How a URL begins. A folder whose name has a colon is no URL, such as `07:15` or `dt:2026`."""


_MISTYPED_URL = re.compile(r"\s*(s3[an]?|file|https?|gs)[^\w/:]?//(.*)", re.IGNORECASE | re.DOTALL)
"""A URL without its colon. As a path it would silently make a folder of the scheme's name."""


_BUCKET_ARN = re.compile(r"s3://arn:[^:/]*:s3:::")


_ACCESS_POINT = re.compile(r"(arn:(?:[^/:]*:){4}accesspoint[:/][^/:]+)(?:/(.*))?", re.DOTALL)


_S3_SCHEMES = {"s3", "s3a", "s3n"}


def parse_destination(destination: str) -> dict[str, str]:
    """Return the settings `bucket` and `root` of a location.

    It is `s3://bucket/root`, `s3://` with the ARN of an access point in place of the bucket, the
    path of a folder, or `file://folder`. A path is taken as the shell passes it, relative to the
    current folder. A file URL may have percent-encoded characters.

    Raises:
        SettingsError: the destination has none of these forms.
    """
    if fault := _find_fault(destination):
        raise SettingsError([f"destination: {destination!r} {fault}"])
    if destination.startswith(S3_SCHEME):
        rest = destination.removeprefix(S3_SCHEME)
        if point := _ACCESS_POINT.fullmatch(rest):
            return {"bucket": point[1], "root": point[2] or ""}
        bucket, _, root = rest.partition("/")
        return {"bucket": bucket, "root": root}
    if destination.startswith("file:"):
        return {"bucket": destination, "root": ""}
    try:
        folder = Path(destination).absolute()
    except OSError as error:
        fault = f"destination: {destination!r} is relative to the current folder, which is gone"
        raise SettingsError([f"{fault}; write an absolute path"]) from error
    return {"bucket": FILE_SCHEME + quote(os.fsencode(folder)), "root": ""}


def _find_fault(destination: str) -> str:
    """Return what is wrong with a destination, and how to write it, or an empty string."""
    if not destination.strip():
        return f"is empty; {_FORMS}"
    if "\0" in destination or (destination.startswith("file:") and "%00" in destination):
        return f"has a NUL character; {_FORMS}"
    if destination == "-":
        return "is no folder; use `batcher cat` for standard output, or ./- for such a folder"
    if mistyped := _MISTYPED_URL.fullmatch(destination):
        scheme, rest = mistyped[1].lower(), mistyped[2]
        fix = _FORMS
        if scheme in _S3_SCHEMES:
            fix = f"write {S3_SCHEME}{rest.lstrip('/') or 'bucket/root'}"
        elif scheme == "file":
            fix = f"write {FILE_SCHEME}{rest}"
        return f"is a URL without its colon; {fix} (./{destination.strip()} if it is a folder)"
    url = _URL_START.match(destination)
    return _find_url_fault(destination, url) if url else ""


def _find_url_fault(url: str, start: re.Match[str]) -> str:  # noqa: PLR0911  # one per form
    """Return what is wrong with a location that begins like a URL, or an empty string."""
    rest = url[start.end() :]
    place = rest.lstrip("/")
    if url.startswith(S3_SCHEME):
        if _BUCKET_ARN.match(url):
            return f"has the ARN of a bucket, not its name; write {_BUCKET_ARN.sub(S3_SCHEME, url)}"
        return "" if rest[2:3] not in {"", "/"} else "names no bucket; write s3://bucket/root"
    if url.startswith("file:/"):
        return "" if rest not in {"//", "/"} else "names no folder; write file:///folder"
    scheme = (start["scheme"] or start["known"]).lower()
    if scheme in _S3_SCHEMES:
        return f"is no S3 URL; write {S3_SCHEME}{place or 'bucket/root'}"
    if scheme == "arn":
        return f"is an ARN without s3:// before it; write {S3_SCHEME}{url.strip()}"
    if scheme == "file":
        path = rest.removeprefix("//") or "/folder"
        return f"is no file URL; write {FILE_SCHEME}{path}, or the path of the folder"
    return f"is a URL of another scheme, {scheme}; {_FORMS} (./{url} if it is one)"


def parse_folder_url(url: str) -> Path:
    """Return the folder of `file:///absolute` or `file://relative/folder`."""
    text = url.removeprefix("file:").removeprefix("//")
    return Path(os.fsdecode(unquote_to_bytes(os.fsencode(text))))  # names need not be UTF-8


def find_folder_fault(folder: Path) -> str:
    """Return why objects cannot be in a folder, or an empty string. It need not exist. Blocks."""
    try:
        for path in (folder, *folder.absolute().parents):
            if path.is_dir():
                return ""
            if path.exists():
                return f"{path.absolute()} is a file; choose a folder, or a new name"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"{folder}: {reason}; choose another folder"
    return ""


def format_url(bucket: str, root: str) -> str:
    """Return the URL of a destination; see `parse_destination`."""
    location = join_location(bucket, root)
    return location if bucket.startswith("file:") else f"{S3_SCHEME}{location}"


def join_location(bucket: str, root: str) -> str:
    """Return `bucket/root`, or the bucket alone if the root is empty."""
    return "/".join(filter(None, [bucket, root]))


def check_endpoint(url: str, context: str) -> str:
    """Return `url` if it can be an endpoint.

    Args:
        url: the endpoint's URL.
        context: the operation and its object, for the message.

    Raises:
        RejectedError: it is not `http(s)://host[:port]`; the message says what to set.
    """
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, or half an IPv6 address
        is_valid = False
    if is_valid and url.isprintable() and " " not in url:
        return url
    fix = "set AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL to http(s)://host[:port]"
    msg = f"{context}: {url!r} is no endpoint; {fix}"
    raise RejectedError(msg)
