"""What aioboto3's client must not do: follow redirects, or share X-Ray's subsegments."""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any
from urllib.parse import urlsplit

import aiobotocore.client
from aiobotocore.httpsession import AIOHTTPSession

_AMAZON_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")


_XRAY = "aws_xray_sdk."


_XRAY_FLAG = "_xray_enabled"
"""What X-Ray's SDK sets in the module that it has patched."""


class NoRedirectSession(AIOHTTPSession):  # type: ignore[misc]  # it has no types
    """Sends requests to their own hosts only. A redirect is a response like any other.

    aiohttp would follow it to any host, with the body and the session token.
    """

    async def _get_session(self, proxy_url: str | None) -> _NoRedirectRequester:
        return _NoRedirectRequester(await super()._get_session(proxy_url))


class _NoRedirectRequester:
    """The part of aiohttp's session that aiobotocore uses."""

    __slots__ = ("_session",)

    def __init__(self, session: Any) -> None:  # noqa: ANN401  # aiohttp's, by way of aiobotocore
        self._session = session

    def request(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401  # as above
        """Return what sends the request."""
        return self._session.request(method, allow_redirects=False, **parameters)


def register_redirect_limits(client: Any) -> None:  # noqa: ANN401  # aiobotocore has no types
    """Let a client follow no redirect but S3's own, to S3's endpoint of the bucket's region.

    At another endpoint it follows none. Nor does it in the request that asks for the region, which
    would make botocore ask for it without end.
    """
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    is_amazon = host.endswith(_AMAZON_DOMAINS)

    def limit(model: Any, context: Mapping[str, Any], **_: object) -> None:  # noqa: ANN401  # botocore's
        redirect = context.get("s3_redirect")
        if redirect is not None and (not is_amazon or model.name == "HeadBucket"):
            redirect["redirected"] = True  # botocore redirects a request once

    client.meta.events.register_last("before-parameter-build.s3", limit)


def bypass_xray(client: Any) -> None:  # noqa: ANN401  # as above
    """Send a client's requests without subsegments of X-Ray's SDK, once it has patched aiobotocore.

    It has one stack of subsegments per thread. Requests that overlap end each other's subsegments,
    and it raises `AlreadyEndedException` after S3 has carried a request out. Requests still have
    the trace header of the handler's subsegment.
    """
    if hasattr(aiobotocore.client, _XRAY_FLAG) and "_make_api_call" not in vars(client):
        function = _unwrap_xray(type(client)._make_api_call)  # noqa: SLF001  # what it patches
        client._make_api_call = MethodType(function, client)  # noqa: SLF001  # as above


def _unwrap_xray(function: Any) -> Any:  # noqa: ANN401  # any function, or any wrapper
    """Return what X-Ray's SDK has wrapped, or the function itself if it has not."""
    inner = function
    while inner is not None:
        wrapper = getattr(inner, "_self_wrapper", None)
        inner = getattr(inner, "__wrapped__", None)
        if str(getattr(wrapper, "__module__", "")).startswith(_XRAY):
            return inner
    return function
