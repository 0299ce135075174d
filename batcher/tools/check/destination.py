"""Destination: checks of the bucket or folder that objects are written to."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batcher.errors import BatcherError, SettingsError
from batcher.stores import open_store
from batcher.stores.location import parse_folder_url
from batcher.tools.check.aws import AwsClient, AwsResponse, CallFailure
from batcher.tools.check.bucket import (
    BUCKET_CALLS,
    BucketCall,
    BucketWriter,
    evaluate_bucket,
    evaluate_region,
)
from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning
from batcher.tools.check.probe import (
    PARTS_SUFFIX,
    WRITE_CHECKS,
    evaluate_probe,
    leave_out_writes,
    probe_key,
    run_probe,
)
from batcher.tools.formatting import format_size

if TYPE_CHECKING:
    from batcher.settings import Settings

LOW_SPACE_BYTES = 10**9


_NO_REQUEST = "because no request succeeds"


async def check_caller(aws: AwsClient) -> list[CheckResult]:
    """Report the identity of the credentials. Endpoints other than Amazon's may have no STS."""
    has_endpoint = any(os.environ.get(f"AWS_ENDPOINT_URL{name}") for name in ("", "_STS"))
    if "amazonaws.com" not in aws.endpoint("s3") and not has_endpoint:
        return []
    identity = await aws.call("sts", "get_caller_identity", "sts:GetCallerIdentity")
    if not isinstance(identity, Mapping):
        return []  # a failure that matters shows in the other checks
    return [ok("caller", f"requests are made as {identity.get('Arn')}")]


async def check_bucket(
    aws: AwsClient, settings: Settings, writer: BucketWriter
) -> tuple[list[CheckResult], str]:
    """Return the results for the bucket, and why a probe makes no sense. Empty if it does."""
    check = "bucket"
    head = await aws.call(
        "s3", "head_bucket", "s3:ListBucket", ("404", "NoSuchBucket"), Bucket=settings.bucket
    )
    if head is None:
        detail = f"the bucket {settings.bucket!r} does not exist"
        problem = error(check, detail, "create it, or correct the setting bucket")
        return _leave_out_calls(problem, "because the bucket does not exist")
    if isinstance(head, CallFailure):
        results = [head.to_result(check)]
        if head.fatal:
            return _leave_out_calls(results[0], _NO_REQUEST)
        if settings.expected_bucket_owner and await _exists_for_another_owner(settings):
            detail = f"another account than {settings.expected_bucket_owner} owns the bucket"
            fix = "correct expected_bucket_owner, or bucket"
            problem = error("bucket.owner", detail, fix)
            return _leave_out_calls(problem, "because another account owns the bucket")
    else:
        endpoint, region = aws.endpoint("s3"), aws.region("s3")
        follows_region = settings.engine == "aioboto3"
        results = evaluate_region(head, region, endpoint, follows_region=follows_region)
        if settings.expected_bucket_owner:
            detail = f"the account {settings.expected_bucket_owner} owns the bucket"
            results.append(ok("bucket.owner", detail))
    responses: Mapping[str, AwsResponse] = dict(
        zip(
            [bucket_call.check for bucket_call in BUCKET_CALLS],
            await asyncio.gather(*(_call(aws, each, settings.bucket) for each in BUCKET_CALLS)),
            strict=True,
        )
    )
    if isinstance(head, CallFailure):  # a HEAD is refused without the reason
        for response in responses.values():
            if isinstance(response, CallFailure) and response.fatal:
                return _leave_out_calls(response.to_result(check), _NO_REQUEST)
    return results + evaluate_bucket(responses, settings, writer), ""


def _leave_out_calls(problem: CheckResult, reason: str) -> tuple[list[CheckResult], str]:
    """Return the results of a bucket of which nothing else can be read."""
    return [problem, *(not_checked(each.check, reason) for each in BUCKET_CALLS)], reason


async def _exists_for_another_owner(settings: Settings) -> bool:
    """Return whether S3 answers about the bucket if no owner is expected."""
    async with AwsClient() as aws:
        aws.place_bucket(replace(settings, expected_bucket_owner=""))
        head = await aws.call("s3", "head_bucket", "s3:ListBucket", Bucket=settings.bucket)
    return isinstance(head, Mapping)


async def _call(aws: AwsClient, bucket_call: BucketCall, bucket: str) -> AwsResponse:
    return await aws.call(
        "s3", bucket_call.operation, bucket_call.permission, bucket_call.absent_codes, Bucket=bucket
    )


async def check_file_destination(settings: Settings) -> list[CheckResult]:
    """Check the folder of a `file://` destination."""
    folder = parse_folder_url(settings.bucket)
    return await asyncio.to_thread(check_folder, folder, settings.max_bytes)


def check_folder(folder: Path, max_bytes: int) -> list[CheckResult]:
    """Check a folder without writing to it.

    Args:
        folder: the destination; the first object creates it.
        max_bytes: the size limit of a batch.
    """
    nearest_existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    results = [_evaluate_writable(folder, nearest_existing)]
    free_bytes = shutil.disk_usage(nearest_existing).free
    detail = f"{format_size(free_bytes)} free"
    if free_bytes < max_bytes:
        fix = f"free some space: a batch may have {format_size(max_bytes)}"
        results.append(error("folder.space", detail, fix))
    elif free_bytes < LOW_SPACE_BYTES:
        fix = f"free some space: less than {format_size(LOW_SPACE_BYTES)} is left"
        results.append(warning("folder.space", detail, fix))
    else:
        results.append(ok("folder.space", detail))
    return results


def _evaluate_writable(folder: Path, nearest_existing: Path) -> CheckResult:
    if not nearest_existing.is_dir():
        return error("folder", f"{nearest_existing} is not a folder", "choose another destination")
    if not os.access(nearest_existing, os.W_OK | os.X_OK):
        return error("folder", f"{nearest_existing} is not writable", "change its permissions")
    if nearest_existing == folder:
        return ok("folder", f"{folder} exists")
    return ok("folder", f"{folder} does not exist yet, and can be created")


async def probe_destination(
    settings: Settings, aws: AwsClient | None
) -> AsyncIterator[CheckResult]:
    """Run the probe, yield its results, and delete its object; `aws` is None for a folder."""
    try:
        store = open_store(settings)
    except SettingsError as problem:
        for fault in problem.faults:
            yield error("settings", fault, "correct it: no request was tried")
        for result in leave_out_writes("because the settings are wrong"):
            yield result
        return
    key = probe_key(settings.root, str(uuid.uuid4()))
    folder = None if aws else parse_folder_url(settings.bucket)
    made = await asyncio.to_thread(_find_missing, folder, key) if folder else []
    try:
        outcomes = await run_probe(store, key, settings)
    finally:
        await store.aclose()
    for result in evaluate_probe(outcomes):
        yield result
    if isinstance(outcomes.created, BatcherError):
        yield not_checked(WRITE_CHECKS[-1], "because write.create failed")
    else:
        yield await _remove_probe_objects(settings, [key, f"{key}{PARTS_SUFFIX}"], aws)
    if made:
        await asyncio.to_thread(_remove_empty, made)


async def _remove_probe_objects(
    settings: Settings, keys: Sequence[str], aws: AwsClient | None
) -> CheckResult:
    """Delete the probe's objects, if that is allowed. The writer needs no such permission."""
    check = "write.cleanup"
    for key in keys:
        if aws is None:
            await asyncio.to_thread(_remove_file, settings, key)
            continue
        response = await aws.call(
            "s3", "delete_object", "s3:DeleteObject", Bucket=settings.bucket, Key=key
        )
        if isinstance(response, CallFailure):
            detail = (
                f"the objects of this check remain ({response.reason}, which the writer does not "
                "need); readers skip them"
            )
            return ok(check, detail, subject=f"s3://{settings.bucket}/{key}")
    return ok(check, "the objects of this check were deleted")


def _find_missing(folder: Path, key: str) -> list[Path]:
    """Return the folders that an object and its metadata need and that do not exist yet."""
    from batcher.stores.file import meta_path  # noqa: PLC0415  # lazy, as stores are

    paths = ((folder / key).absolute(), meta_path(folder, key).absolute())
    return [parent for path in paths for parent in path.parents if not parent.exists()]


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the deepest first, unless something is in them."""
    for path in sorted(folders, key=lambda each: len(each.parts), reverse=True):
        with suppress(OSError):
            path.rmdir()


def _remove_file(settings: Settings, key: str) -> None:
    from batcher.stores.file import meta_path  # noqa: PLC0415  # lazy, as stores are

    folder = parse_folder_url(settings.bucket)
    for path in (folder / key, meta_path(folder, key)):
        path.unlink(missing_ok=True)
