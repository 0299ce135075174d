"""The region of a bucket, as S3 says it. obstore's errors do not have the headers that say so."""

from __future__ import annotations

import re
import ssl
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

if TYPE_CHECKING:
    from email.message import Message
    from typing import IO

    from batcher.stores.credentials.endpoint import Endpoint

TIMEOUT_S = 5.0


_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def find_bucket_region(endpoint: Endpoint, bucket: str) -> str:
    """Ask S3 for the region of a bucket. Return an empty string if it does not say. Blocks.

    The request has no signature and no token. S3 refuses it, and names the region all the same.
    Source: Amazon S3 API reference, HeadBucket.
    """
    url, is_in_host = endpoint.bucket_url(bucket)
    context = ssl.create_default_context()
    if endpoint.ca_bundle:
        context.load_verify_locations(endpoint.ca_bundle)
    opener = build_opener(_NoRedirects, HTTPSHandler(context=context))
    request = Request(url if is_in_host else f"{url}/{bucket}", method="HEAD")  # noqa: S310  # Amazon's
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            headers: Message = response.headers
    except HTTPError as error:
        headers = error.headers
        error.close()
    except (OSError, HTTPException):
        return ""
    region = headers.get("x-amz-bucket-region", "")
    return region if _REGION.fullmatch(region) else ""


class _NoRedirects(HTTPRedirectHandler):
    """Follows nothing: the response is an `HTTPError`."""

    def redirect_request(  # noqa: PLR0913, PLR0917  # the base's
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        del req, fp, code, msg, headers, newurl
