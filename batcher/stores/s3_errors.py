"""What S3 and its SDK say, sorted by what the caller does next, with what to do, in one line."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from batcher.errors import (
    BatcherError,
    NotFoundError,
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    UploadLostError,
)

_NOT_FOUND, _CONFLICT, _PRECONDITION, _BUSY = 404, 409, 412, 429
_SERVER_ERROR = 500
_COMPLETE = "CompleteMultipartUpload"

_HINTS = {
    "NoSuchBucket": "the bucket is not there: create it, or correct `bucket`",
    "AccessDenied": "allow s3:PutObject and s3:GetObject (and s3:AbortMultipartUpload) on the root",
    "InvalidObjectState": "the object is archived: restore it first",
    "AllAccessDisabled": "access to this bucket is disabled",
    "InvalidAccessKeyId": "the access key is unknown: check the credentials in force",
    "SignatureDoesNotMatch": "the secret key is wrong: check the credentials in force",
    "ExpiredToken": "the credentials have expired: renew them",
    "InvalidToken": "the session token is wrong: renew the credentials",
    "RequestTimeTooSkewed": "this machine's clock is off: set it",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION",
    "InvalidBucketName": "no bucket can have this name: correct `bucket`",
    "InvalidStorageClass": "correct `storage_class`",
    "KMS.NotFoundException": "the KMS key is not there: correct `kms_key_id`",
    "KMS.DisabledException": "the KMS key is disabled",
    "InvalidTag": "correct `tags`",
    "NotImplemented": "this endpoint does not know what batcher needs (conditional writes)",
}
_HINTS["403"] = _HINTS["AccessDenied"]
_READING_HINTS = {
    "ListObjectsV2": "allow s3:ListBucket on the bucket",
    "ListMultipartUploads": "allow s3:ListBucketMultipartUploads on the bucket",
    "GetObject": "allow s3:GetObject (and, with a KMS key of your own, kms:Decrypt) on the root",
}
_DENIED = {"AccessDenied", "403"}
_RETRYABLE = {
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "XAmzContentChecksumMismatch",
}
_LOCAL_HINTS: tuple[tuple[type[BotoCoreError], str], ...] = (
    (NoCredentialsError, "no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret"),
    (PartialCredentialsError, "half of the credentials: set AWS_SECRET_ACCESS_KEY too"),
    (ProfileNotFound, "AWS_PROFILE names no profile of this machine"),
    (NoRegionError, "no region: set AWS_REGION"),
    (UnauthorizedSSOTokenError, "the single sign-on has expired: run `aws sso login`"),
    (TokenRetrievalError, "the single sign-on has expired: run `aws sso login`"),
)


def translate(
    error: ClientError | BotoCoreError, operation: str, bucket: str, key: str, endpoint: str
) -> BatcherError | KeyError:
    """Give the error to raise; a KeyError says that HeadObject found nothing."""
    where = f"{operation} s3://{bucket}/{key}"
    if isinstance(error, ClientError):
        return _from_answer(error, operation, where, endpoint)
    if isinstance(error, ConnectionError | HTTPClientError):
        text = f"{where}: cannot reach {endpoint}: {_first_line(error)}"
        return RetryableError(f"{text}: check the network and AWS_ENDPOINT_URL_S3")
    if isinstance(error, IncompleteReadError):
        return RetryableError(f"{where}: the body ended early: {_first_line(error)}")
    if isinstance(error, CredentialRetrievalError):
        return RetryableError(f"{where}: credentials could not be had: {_first_line(error)}")
    for kind, hint in _LOCAL_HINTS:
        if isinstance(error, kind):
            return RejectedError(f"{where}: {hint}")
    return RejectedError(f"{where}: {_first_line(error)}")


def _from_answer(
    error: ClientError, operation: str, where: str, endpoint: str
) -> BatcherError | KeyError:
    said = error.response.get("Error", {})
    code = str(said.get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if operation == "HeadObject" and status == _NOT_FOUND and code != "NoSuchBucket":
        return KeyError(where)
    text = f"{where}: {endpoint} answered {status} {code}: {said.get('Message', '')}".rstrip(": ")
    if code == "NoSuchKey":
        return NotFoundError(text)
    if status == _PRECONDITION or code == "PreconditionFailed":
        return PreconditionFailedError(text)
    if code == "NoSuchUpload" or (operation == _COMPLETE and status == _CONFLICT):
        return UploadLostError(text)  # Source: Amazon S3 user guide, conditional requests
    is_busy = status in {_CONFLICT, _BUSY} or status >= _SERVER_ERROR
    if code in _RETRYABLE or (is_busy and code != "NotImplemented"):
        return RetryableError(text, _retry_after_s(error))
    hint = _HINTS.get(code)
    if code in _DENIED:
        hint = _READING_HINTS.get(operation, hint)
    return RejectedError(f"{text}: {hint}" if hint else text)


def _retry_after_s(error: ClientError) -> float | None:
    """Read `Retry-After`: seconds, or a date, which the answer's own date is taken from."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    text = headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        asked_for = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, asked_for.total_seconds())


def _first_line(error: Exception) -> str:
    cause = getattr(error, "kwargs", {}).get("error")  # shorter than botocore's own text
    return str(cause or error).partition("\n")[0].rstrip(".")
