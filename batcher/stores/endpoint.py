"""Endpoint: whether the URL that the environment names can be one."""

from __future__ import annotations

from urllib.parse import urlsplit

from batcher.errors import RejectedError


def checked_endpoint(url: str, where: str) -> str:
    """Give the URL back.

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
    msg = f"{where}: {url!r} is no endpoint: set AWS_ENDPOINT_URL_S3 to http(s)://host[:port]"
    raise RejectedError(msg)
