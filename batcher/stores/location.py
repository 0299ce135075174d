"""Locations of objects as users write them: `s3://bucket/root` or `file://folder`."""

from __future__ import annotations

from urllib.parse import urlsplit

from batcher.errors import RejectedError, SettingsError


def parse_destination(destination: str) -> dict[str, str]:
    """Return the settings `bucket` and `root` of `s3://bucket/root` or `file://folder`.

    Raises:
        SettingsError: the destination has neither form.
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
    """Return the URL of a destination; see `parse_destination`."""
    location = join_location(bucket, root)
    return location if bucket.startswith("file:") else f"s3://{location}"


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
    msg = f"{context}: {url!r} is no endpoint; set AWS_ENDPOINT_URL_S3 to http(s)://host[:port]"
    raise RejectedError(msg)
