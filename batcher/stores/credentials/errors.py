"""Errors of the search for credentials: what was found, where, and how to fix it. For botocore."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectionError,  # noqa: A004  # botocore's own
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores.credentials.endpoint import check_readable
from batcher.stores.denials import CLOCK_HINT, find_clock_hint, find_denial_hint
from batcher.stores.responses import CREDENTIAL_HINTS, CREDENTIAL_SYNONYMS

if TYPE_CHECKING:
    from batcher.stores.responses import S3ErrorResponse

_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


_SIGN_ON = "IAM Identity Center (single sign-on)"


_SERVICES: Mapping[str, str] = {
    "AssumeRole": "STS",
    "AssumeRoleWithSAML": "STS",
    "AssumeRoleWithWebIdentity": "STS",
    "CreateToken": _SIGN_ON,
    "GetRoleCredentials": _SIGN_ON,
    "CreateOAuth2Token": "AWS Sign-In",
}
"""The operations that give credentials, and the services that answer them."""


_ROLE_HINTS: Mapping[str, str] = {
    "AssumeRole": "allow the caller sts:AssumeRole on the role, and name the caller in the role's "
    "trust policy, with the external id if the policy asks for one",
    "AssumeRoleWithWebIdentity": "let the role's trust policy allow "
    "sts:AssumeRoleWithWebIdentity to the provider of the token",
    "GetRoleCredentials": "correct sso_account_id and sso_role_name, or have the role assigned",
}


_DENIED = {"AccessDenied", "AccessDeniedException", "ForbiddenException"}


_CODE_HINTS: Mapping[str, str] = {
    "ExpiredTokenException": "the token has expired; renew it",
    "InvalidIdentityToken": "the token is not valid; renew it",
    "IDPRejectedClaim": "the provider of the token refuses it; renew it",
    "IDPCommunicationError": "STS cannot reach the provider of the token",
    "RegionDisabledException": "STS is not active in this region; activate it, or set AWS_REGION",
    "RequestTimeTooSkewed": CLOCK_HINT,
    "RequestExpired": CLOCK_HINT,
}


SOURCE_NAMES: Mapping[str, str] = {
    "assume-role": "STS (AssumeRole)",
    "assume-role-with-web-identity": "STS (AssumeRoleWithWebIdentity)",
    "config-file": "the configuration file",
    "container-role": "the container's credentials endpoint",
    "custom-process": "credential_process",
    "env": "environment variables",
    "iam-role": "EC2's instance metadata",
    "login": "AWS Sign-In",
    "shared-credentials-file": "the credentials file",
    "sso": _SIGN_ON,
}
"""botocore's sources of credentials, in words."""


_RETRIEVAL_HINTS: Mapping[str, str] = {
    "container-role": "check AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI, and its token",
    "custom-process": "run the program of the profile's credential_process by hand",
    "iam-role": "check the instance's profile",
}


_FILES = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
}


_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
"""In botocore's order."""


_KEY_ID, _SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"


_SECTION = re.compile(r"^\s*\[\s*(?:profile\s+)?([^\]]*?)\s*\]", re.MULTILINE)


_LINE = re.compile(r"\bline:?\s+(\d+)")


_MAX_NAMES = 10


UNCHECKED_ERRORS = (AttributeError, EOFError, LookupError, RuntimeError, TypeError)
"""What botocore raises for values that it has not checked: settings, what a program prints."""


@contextmanager
def translated_errors(context: str, source: Mapping[str, str]) -> Iterator[None]:
    """Translate whatever botocore raises while it looks for credentials.

    Args:
        context: the request, for messages.
        source: under `now`, botocore's name of the source that it asks at the moment.
    """
    try:
        yield
    # A program, a file or a URL that the credentials come from. botocore checks few values
    except (BotoCoreError, ClientError, OSError, ValueError, *UNCHECKED_ERRORS) as error:
        # A traceback of the parser would have the line that it cannot parse: perhaps a secret
        cause = None if isinstance(error, ConfigParseError) else error
        raise translate_credential_error(error, context, source.get("now", "")) from cause


def is_of_credentials(error: Exception, operation: str) -> bool:
    """Return whether an error within a request of `operation` is of the search for credentials."""
    if isinstance(error, ClientError):
        return error.operation_name != operation and error.operation_name in _SERVICES
    return isinstance(
        error,
        CredentialRetrievalError
        | ConfigParseError
        | MetadataRetrievalError
        | NoCredentialsError
        | PartialCredentialsError
        | ProfileNotFound
        | SSOTokenLoadError
        | TokenRetrievalError
        | UnauthorizedSSOTokenError,
    )


def translate_credential_error(
    error: Exception, context: str, source: str = "", environ: Mapping[str, str] = os.environ
) -> BatcherError:
    """Return the error to raise. Responses are of the source of credentials, not of S3.

    Args:
        error: botocore's, or the system's.
        context: the request, for messages.
        source: botocore's name of the source that was asked.
        environ: the environment variables.
    """
    reason, may_pass = describe_credential_error(error, source, environ)
    error_class = RetryableError if may_pass else RejectedError
    return error_class(f"{context}: {reason}" if context else reason)


def describe_credential_error(  # noqa: C901, PLR0911  # a case per kind of error
    error: Exception, source: str = "", environ: Mapping[str, str] = os.environ
) -> tuple[str, bool]:
    """Return the reason in one line, with a fix, and whether a retry may succeed."""
    failed = "cannot get credentials"
    values: Mapping[str, Any] = getattr(error, "kwargs", {})
    if isinstance(error, ClientError):
        reason, may_pass = _describe_response(error)
        return f"{failed}: {reason}", may_pass
    if isinstance(error, ConnectionError | HTTPClientError):
        return f"{failed}: {_one_line(error)}; check the network", True
    if isinstance(error, CredentialRetrievalError | MetadataRetrievalError):
        method = str(values.get("provider") or source)
        said = _one_line(values.get("error_msg") or error) or "it failed without a word"
        hint = _RETRIEVAL_HINTS.get(method, "check it")
        return f"{failed}: {_name(method)}: {said}; {hint}", True
    if isinstance(error, NoRegionError):
        return f"{failed}: no region for {_name(source)}; set AWS_REGION", False
    if isinstance(error, NoCredentialsError):
        return _describe_nothing(environ), False
    if isinstance(error, PartialCredentialsError):
        return _describe_half(
            str(values.get("provider")), str(values.get("cred_var")), environ
        ), False
    if isinstance(error, ProfileNotFound):
        return f"{failed}: {_describe_profile(str(values.get('profile')), environ)}", False
    if isinstance(error, ConfigParseError):
        line = _LINE.search(str(values.get("error") or ""))  # its text has the line: a secret
        place = f"line {line[1]} of " if line else ""
        return f"{failed}: {place}{values.get('path')} cannot be parsed; correct it", False
    if isinstance(error, SSOTokenLoadError | UnauthorizedSSOTokenError | TokenRetrievalError):
        is_there = not isinstance(error, SSOTokenLoadError)
        problem = "the single sign-on has expired" if is_there else "there is no single sign-on"
        profile = _find_profile(environ)
        command = f"aws sso login --profile {profile}" if profile else "aws sso login"
        return f"{failed}: {problem}; run `{command}`", False
    if isinstance(error, OSError):
        return f"{failed}: {_describe_system_error(error, source, environ)}", False
    if isinstance(error, EOFError):  # of the question for it
        return (
            f"{failed}: {_name(source)}: the profile has mfa_serial, and nobody can type a code in "
            "here; use a profile without it, or credentials of a session"
        ), False
    if isinstance(error, AttributeError | LookupError | TypeError):
        said = f"{type(error).__name__}: {_one_line(error)}"
        return (
            f"{failed}: {_name(source)}: its settings cannot be used ({said}); correct them",
            False,
        )
    asked = f"{_name(source)}: " if source and not isinstance(error, BotoCoreError) else ""
    return f"{failed}: {asked}{_one_line(error)}", False


def describe_source(method: str) -> str:
    """Return where credentials come from, in words, by botocore's name of their source."""
    return _name(method)


def find_service_hint(response: S3ErrorResponse) -> str:
    """Return how to fix an error response of a service that gives credentials."""
    code, message = response.code, response.message
    if hint := find_clock_hint(message):
        return hint
    if code in _DENIED:
        # A role that does not exist is denied, too, in the same words
        hint = _ROLE_HINTS.get(response.operation, "")
        denied = find_denial_hint(message)
        is_plain = "denies" not in denied and "limits" not in denied
        is_of_operation = not denied or f":{response.operation} " in denied
        return hint if hint and is_plain and is_of_operation else denied
    if hint := _CODE_HINTS.get(code, ""):
        return hint
    return CREDENTIAL_HINTS.get(CREDENTIAL_SYNONYMS.get(code, code), "")


def _describe_response(error: ClientError) -> tuple[str, bool]:
    from batcher.stores.responses import S3ErrorResponse  # noqa: PLC0415  # only for types above

    body = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    operation = error.operation_name
    code, message = str(body.get("Code") or status), _one_line(body.get("Message") or "")
    service = _SERVICES.get(operation, "the service")
    reason = f"{service} answered {operation} with {status} {code}: {message}".rstrip(": ")
    if status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS or "Throttl" in code:
        return reason, True
    hint = find_service_hint(S3ErrorResponse(operation, status, code, message))
    return f"{reason}: {hint}" if hint else reason, False


def _describe_nothing(environ: Mapping[str, str]) -> str:
    """Return what was looked for, and what was found."""
    found = []
    half = _find_half(environ)
    if half:
        found.append(f"{half[0]} is set without {half[1]}")
    found += [_describe_file(environ.get(name) or path) for name, path in _FILES.items()]
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        found.append("AWS_EC2_METADATA_DISABLED is set")
    else:
        found.append("EC2's instance metadata has none, or does not respond")
    profile = _find_profile(environ)
    where = f" of profile {profile!r}" if profile else ""
    fix = f"set AWS_PROFILE, or {_KEY_ID} and {_SECRET}"
    if half:
        fix = f"set {half[1]}, too"
    return f"no credentials{where}; {fix} (found: {', '.join(found)})"


def _describe_half(provider: str, variable: str, environ: Mapping[str, str]) -> str:
    if provider == "env":
        half = _find_half(environ) or (_KEY_ID, _SECRET)
        return f"incomplete credentials: {half[0]} is set without {half[1]}; set {half[1]} too"
    profile = _find_profile(environ) or "default"
    place = f"profile {profile!r} of {_name(provider)}"
    return f"incomplete credentials: {place} has no {variable}; set {variable} too"


def _describe_profile(profile: str, environ: Mapping[str, str]) -> str:
    """Return that a profile does not exist, and which do."""
    variable = next((n for n in _PROFILES if environ.get(n) == profile), "a profile")
    names: dict[str, None] = {}
    files = []
    for name, default in _FILES.items():
        place = environ.get(name) or default
        files.append(_describe_file(place))
        try:
            text = Path(place).expanduser().read_text(errors="replace")
        except (OSError, RuntimeError):
            continue
        sections = (
            found for found in _SECTION.findall(text) if not found.startswith("sso-session")
        )
        names |= dict.fromkeys(sections)
    known = ", ".join([*names][:_MAX_NAMES]) or "none"
    return (
        f"{variable} names a profile that does not exist: {profile!r}; correct it "
        f"(profiles: {known}; found: {', '.join(files)})"
    )


def _describe_file(place: str) -> str:
    """Return whether a file of AWS is there, and can be read."""
    try:
        path = Path(place).expanduser()
        check_readable(str(path))
    except FileNotFoundError:
        return f"{path} does not exist"
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        return f"{place} cannot be read: {_one_line(getattr(error, 'strerror', None) or error)}"
    return f"{path}"


def _describe_system_error(error: OSError, source: str, environ: Mapping[str, str]) -> str:
    asked = f"{_name(source)}: " if source else ""
    if error.filename is None:
        return f"{asked}{_one_line(error)}"
    token_file = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    is_token = token_file is not None and str(error.filename) == token_file
    what = "AWS_WEB_IDENTITY_TOKEN_FILE " if is_token else ""
    fix = "correct its path, or create it" if isinstance(error, FileNotFoundError) else "correct it"
    if isinstance(error, PermissionError):
        fix = "make it readable"
    return f"{asked}{what}{error.filename}: {error.strerror}; {fix}"


def _find_half(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable of a pair of keys that is set, and the one that is missing."""
    has_id, has_secret = bool(environ.get(_KEY_ID)), bool(environ.get(_SECRET))
    if has_id == has_secret:
        return None
    return (_KEY_ID, _SECRET) if has_id else (_SECRET, _KEY_ID)


def _find_profile(environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in _PROFILES if environ.get(name)), "")


def _name(method: str) -> str:
    return SOURCE_NAMES.get(method, method or "their source")


def _one_line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")
