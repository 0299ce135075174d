"""Place: where objects lie, as users write it: `s3://bucket/root` or `file://folder`."""

from __future__ import annotations

from urllib.parse import urlsplit

from batcher.errors import RejectedError, SettingsError


def parse_destination(destination: str) -> dict[str, str]:
    """Return `bucket` and `root` of `s3://bucket/root`, or of a folder as `file://folder`.

    Raises:
        SettingsError: it is neither.
    """
    scheme, separator, rest = destination.partition("://")
    if separator and scheme == "s3" and rest:
        bucket, _, root = rest.partition("/")
        return {"bucket": bucket, "root": root}
    if separator and scheme == "file" and rest:
        return {"bucket": destination, "root": ""}
    fault = f"destination: {destination!r} is neither s3://bucket/root nor file://folder"
    raise SettingsError([fault])


def format_url(bucket: str, root: str) -> str:
    """Return a destination as users write it; see `parse_destination`."""
    place = join_location(bucket, root)
    return place if bucket.startswith("file:") else f"s3://{place}"


def join_location(bucket: str, root: str) -> str:
    """Return what follows `s3://`: `bucket/root`; what is empty leaves no slash."""
    return "/".join(filter(None, [bucket, root]))


def check_endpoint(url: str, context: str) -> str:
    """Return the URL back.

    Args:
        url: where requests go.
        where: for the message: the operation and its object.

    Raises:
        RejectedError: no request can go there; the message says what to set.
    """
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, or half an IPv6 address
        is_one = False
    if is_one and url.isprintable() and " " not in url:
        return url
    msg = f"{context}: {url!r} is no endpoint: set AWS_ENDPOINT_URL_S3 to http(s)://host[:port]"
    raise RejectedError(msg)
