"""S3's error responses, sorted by what the caller does next, with a fix. For every engine."""

from __future__ import annotations

from msgspec import Struct

from batcher.errors import (
    BatcherError,
    NotFoundError,
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    ThrottledError,
    UploadLostError,
)
from batcher.stores.denials import (
    CLOCK_HINT,
    find_clock_hint,
    find_denial_hint,
    find_header_hint,
)

_NOT_FOUND, _CONFLICT, _PRECONDITION = 404, 409, 412


_SERVER_ERROR = 500


_THROTTLING_STATUSES = {429, 503}


_RETRYABLE_STATUSES = {408, 409, 425, 499}
"""Statuses below 500 after which a retry may succeed. Most are not S3's, but a load balancer's."""


_REDIRECTS = range(300, 400)


_COMPLETE = "CompleteMultipartUpload"


CREDENTIAL_HINTS = {
    "InvalidAccessKeyId": "the access key is unknown; check the credentials",
    "SignatureDoesNotMatch": "the secret key is wrong; check the credentials",
    "ExpiredToken": "the credentials have expired; renew them",
    "InvalidToken": "the session token is wrong; renew the credentials",
    "TokenRefreshRequired": "the session token must be renewed; renew the credentials",
}
"""Error codes for credentials that AWS does not accept, and how to fix them."""


CREDENTIAL_SYNONYMS = {
    "ExpiredTokenException": "ExpiredToken",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "UnrecognizedClientException": "InvalidAccessKeyId",
}
"""The same codes, as services other than S3 call them."""


class RefusedCredentialsError(RejectedError):
    """S3 does not accept the credentials. Other ones may have been put in their place meanwhile.

    Clients look for them, and raise another error in the place of this one.
    """


OTHER_REGION_HINT = "the bucket is in another region; set AWS_REGION or region"
REDIRECT_HINT = (
    "it redirects to another place, which is not followed; set endpoint_url and region to where "
    "the bucket is"
)

_HINTS = CREDENTIAL_HINTS | {
    "NoSuchBucket": "the bucket does not exist; create it, or correct `bucket`",
    "AccessDenied": "allow s3:PutObject and s3:GetObject (and s3:AbortMultipartUpload) on the root",
    "InvalidObjectState": "the object is archived; restore it first",
    "AllAccessDisabled": "access to this bucket is disabled; enable it",
    "RequestTimeTooSkewed": CLOCK_HINT,
    "RequestExpired": CLOCK_HINT,
    "PermanentRedirect": OTHER_REGION_HINT,
    "AuthorizationHeaderMalformed": OTHER_REGION_HINT,
    "IllegalLocationConstraintException": OTHER_REGION_HINT,
    "InvalidBucketName": "the bucket name is invalid; correct `bucket`",
    "InvalidStorageClass": "the storage class is invalid; correct `storage_class`",
    "KMS.NotFoundException": "the KMS key does not exist; correct `kms_key_id`",
    "KMS.DisabledException": "the KMS key is disabled; enable it",
    "KMS.KMSInvalidStateException": "the KMS key cannot be used in its state; enable it",
    "InvalidTag": "the tags are invalid; correct `tags`",
    "NotImplemented": "this endpoint lacks conditional writes; use one that has them, or for fresh "
    "keys (library, command line) set conditional_writes=false",
    "AccessControlListNotSupported": "the bucket has ACLs turned off; remove `acl`, or set it to "
    "bucket-owner-full-control",
}


_HINTS |= {synonym: CREDENTIAL_HINTS[code] for synonym, code in CREDENTIAL_SYNONYMS.items()}
_HINTS["403"] = _HINTS["AccessDenied"]


_READING_HINTS = {
    "ListObjectsV2": "allow s3:ListBucket on the bucket",
    "ListMultipartUploads": "allow s3:ListBucketMultipartUploads on the bucket",
    "HeadObject": "allow s3:GetObject on the root; without s3:ListBucket on the bucket S3 "
    "responds the same for an object that does not exist",
    "GetObject": "allow s3:GetObject (and, with a KMS key of your own, kms:Decrypt) on the root",
}


_MALFORMED_KEY_ID = "AKID"
"""What a malformed header is about if it is not about the region: the access key in it."""


_DENIED = {"AccessDenied", "AccessDeniedException", "KMS.AccessDeniedException", "403"}


_UNNAMED_REFUSALS = {"400", "403"}
"""A response to HEAD has no body: it may be about the credentials, or about a permission."""


_RETRYABLE = {
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}


# With any status, because an error within a 200 has none. Every 503 is a throttle too, whatever its
# code: S3 sends no code for HEAD, and an overloaded store always needs fewer requests.
# Source: Amazon S3 API reference, error responses; S3 user guide, optimizing performance
_THROTTLING = {
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
}


class S3ErrorResponse(Struct, frozen=True):
    """An error response."""

    operation: str
    """The name in Amazon's API."""
    status: int
    code: str
    """S3's error code, or the status if the response had no body."""
    message: str = ""
    retry_after_s: float | None = None
    header: str = ""
    """The header or argument that the response names."""


def error_from_response(
    response: S3ErrorResponse, context: str, endpoint: str
) -> BatcherError | KeyError:
    """Return the error to raise. KeyError: HeadObject found no object."""
    operation, status, code = response.operation, response.status, response.code
    if operation == "HeadObject" and status == _NOT_FOUND and code != "NoSuchBucket":
        return KeyError(context)
    text = f"{context}: {endpoint} answered {status} {code}: {response.message}".rstrip(": ")
    if code == "NoSuchKey":
        return NotFoundError(text)
    if status == _PRECONDITION or code == "PreconditionFailed":
        return PreconditionFailedError(text)
    if (kind := _retryable_class(response)) is not None:
        return kind(text, response.retry_after_s)
    hint = _find_hint(response)
    error_class = RefusedCredentialsError if _is_about_credentials(response) else RejectedError
    return error_class(f"{text}: {hint}" if hint else text)


def _find_hint(response: S3ErrorResponse) -> str:
    """Return how to fix a refusal: what its message says, or else what its code means."""
    code, message = _meant_code(response), response.message
    if hint := find_clock_hint(message):
        return hint
    if code in _DENIED:
        denied = _READING_HINTS.get(response.operation, _HINTS["AccessDenied"])
        header = find_header_hint(response.header, message)
        return find_denial_hint(message) or header or denied
    if code not in CREDENTIAL_HINTS and (hint := find_header_hint(response.header, message)):
        return hint
    if hint := _HINTS.get(code, ""):
        return hint
    return REDIRECT_HINT if response.status in _REDIRECTS else ""


def _meant_code(response: S3ErrorResponse) -> str:
    """Return the code, or a better one if the message says more."""
    is_malformed = response.code == "AuthorizationHeaderMalformed"
    if is_malformed and _MALFORMED_KEY_ID in response.message:
        return "InvalidAccessKeyId"
    return response.code


def _is_about_credentials(response: S3ErrorResponse) -> bool:
    """Return whether other credentials may be accepted. A clock that is off is no reason."""
    if find_clock_hint(response.message):
        return False
    code = _meant_code(response)
    is_unnamed = response.operation == "HeadObject" and code in _UNNAMED_REFUSALS
    return is_unnamed or code in CREDENTIAL_HINTS or code in CREDENTIAL_SYNONYMS


def _retryable_class(response: S3ErrorResponse) -> type[RetryableError] | None:
    """Return the error class if a retry may succeed, or None if it cannot."""
    operation, status, code = response.operation, response.status, response.code
    if code == "NoSuchUpload" or (operation == _COMPLETE and status == _CONFLICT):
        return UploadLostError  # Source: Amazon S3 user guide, conditional requests
    if code in _THROTTLING or status in _THROTTLING_STATUSES:
        return ThrottledError
    is_busy = status in _RETRYABLE_STATUSES or status >= _SERVER_ERROR
    if code in _RETRYABLE or (is_busy and code != "NotImplemented"):
        return RetryableError
    return None


def name_expected_owner(
    error: BatcherError | KeyError, expected_owner: str
) -> BatcherError | KeyError:
    """Return an error whose message says that a denial may be about `expected_bucket_owner`.

    S3 answers a request that expects another owner as one without a permission.
    """
    if not isinstance(error, RejectedError) or " answered 403 " not in str(error):
        return error
    msg = f"{error}; or correct expected_bucket_owner, if not {expected_owner} owns the bucket"
    return type(error)(msg)


def not_s3_error(context: str, endpoint: str, reason: str) -> RetryableError:
    """Return the error for a response that says success, but is not S3's."""
    problem = (
        "the response is not from S3 (check AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url)"
    )
    return RetryableError(f"{context}: {endpoint}: {problem}: {reason}")


def redirect_error(context: str, endpoint: str) -> RejectedError:
    """Return the error for a redirect of which no more is known."""
    return RejectedError(f"{context}: {endpoint}: {REDIRECT_HINT}")


def unreachable_error(context: str, endpoint: str, reason: str) -> RetryableError:
    """Return the error for a request without a response."""
    text = f"{context}: cannot reach {endpoint}: {reason}"
    variables = "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url"
    return RetryableError(f"{text}; check the network and {variables}")
