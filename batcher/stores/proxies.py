"""The proxy of an endpoint, by the variables that botocore reads, for every engine."""

from __future__ import annotations

from urllib import request
from urllib.parse import urlsplit


def find_proxy(url: str) -> str:
    """Return the URL of the proxy for requests to `url`, or an empty string.

    As in every AWS SDK for Python: `HTTPS_PROXY` or `HTTP_PROXY`, by the scheme of the endpoint,
    in capitals or not, unless `NO_PROXY` has the host. `ALL_PROXY` is not read.
    """
    parts = urlsplit(url)
    if request.proxy_bypass_environment(parts.netloc):  # type: ignore[attr-defined]  # urllib's own
        return ""
    proxy = request.getproxies_environment().get(parts.scheme, "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy.removeprefix('//')}"


def check_proxy(proxy: str) -> None:
    """Check that a proxy can be used. obstore would send requests past one of another scheme.

    Raises:
        ValueError: it is not `http(s)://host[:port]`. The message has no password.
    """
    try:
        parts = urlsplit(proxy)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, or half an IPv6 address
        is_usable = False
    if not is_usable:
        scheme, _, place = proxy.partition("://")
        place = place.rpartition("@")[2]
        msg = (
            f"the proxy {scheme}://{place} is not http(s)://host[:port]; correct HTTP_PROXY or "
            "HTTPS_PROXY"
        )
        raise ValueError(msg)


def describe_proxy(url: str) -> str:
    """Return ` through the proxy …` for messages, without a password, or an empty string."""
    proxy = find_proxy(url) if "://" in url else ""
    if not proxy:
        return ""
    return f" through the proxy {proxy.partition('://')[2].rpartition('@')[2].rstrip('/')}"
