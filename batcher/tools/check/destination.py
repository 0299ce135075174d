"""Look: the questions about one destination, asked and judged in their order."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from batcher.errors import BatcherError, SettingsError
from batcher.stores import open_store
from batcher.tools.check.aws import AwsResponse, CallFailure
from batcher.tools.check.bucket import BUCKET_CALLS, BucketCall, evaluate_bucket, evaluate_region
from batcher.tools.check.findings import CheckResult, error, ok, warning
from batcher.tools.check.probe import evaluate_probe, probe_key, run_probe
from batcher.tools.formatting import format_size

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import AwsClient

LOW_SPACE_BYTES = 10**9


async def check_caller(aws: AwsClient) -> list[CheckResult]:
    """Return who asks, where Amazon's own services do; other endpoints have nobody to ask."""
    has_endpoint = any(os.environ.get(f"AWS_ENDPOINT_URL{name}") for name in ("", "_STS"))
    if "amazonaws.com" not in aws.endpoint("s3") and not has_endpoint:
        return []
    found = await aws.call("sts", "get_caller_identity", "sts:GetCallerIdentity")
    if not isinstance(found, Mapping):
        return []  # what matters to anybody fails by itself, and says so
    return [ok("caller", f"asks and writes as {found.get('Arn')}")]


async def check_bucket(aws: AwsClient, settings: Settings) -> tuple[list[CheckResult], bool]:
    """Judge the bucket; and say whether writing to it makes sense."""
    check = "bucket"
    head = await aws.call(
        "s3", "head_bucket", "s3:ListBucket", ("404", "NoSuchBucket"), Bucket=settings.bucket
    )
    if head is None:
        found = f"there is no bucket {settings.bucket!r}"
        return [error(check, found, "create it, or correct `bucket`")], False
    if isinstance(head, CallFailure):
        findings = [head.to_result(check)]
        if head.fatal:
            return findings, False
    else:
        endpoint, region = aws.endpoint("s3"), aws.region("s3")
        follows = settings.engine == "aioboto3"
        findings = evaluate_region(head, region, endpoint, follows_region=follows)
    answers: Mapping[str, AwsResponse] = dict(
        zip(
            [question.check for question in BUCKET_CALLS],
            await asyncio.gather(*(_call(aws, one, settings.bucket) for one in BUCKET_CALLS)),
            strict=True,
        )
    )
    return findings + evaluate_bucket(answers, settings), True


async def _call(aws: AwsClient, bucket_call: BucketCall, bucket: str) -> AwsResponse:
    return await aws.call(
        "s3", bucket_call.operation, bucket_call.permission, bucket_call.absent_codes, Bucket=bucket
    )


async def probe_destination(
    settings: Settings, aws: AwsClient | None
) -> AsyncIterator[CheckResult]:
    """Make the dry write, and take it away again; `aws` None: a folder."""
    try:
        store = open_store(settings)
    except SettingsError as found:
        for fault in found.faults:
            yield error("settings", fault, "it is not tried")
        return
    key = probe_key(settings.root, str(uuid.uuid4()))
    try:
        outcomes = await run_probe(store, key, settings)
    finally:
        await store.aclose()
    for finding in evaluate_probe(outcomes):
        yield finding
    if not isinstance(outcomes.created, BatcherError):
        yield await _remove_probe_object(settings, key, aws)


async def _remove_probe_object(settings: Settings, key: str, aws: AwsClient | None) -> CheckResult:
    """Remove the object of the check, where that is allowed."""
    check = "write.cleanup"
    if aws is None:
        await asyncio.to_thread(_remove_file, settings, key)
        return ok(check, "the object of this check is removed")
    answer = await aws.call(
        "s3", "delete_object", "s3:DeleteObject", Bucket=settings.bucket, Key=key
    )
    if isinstance(answer, CallFailure):
        place = f"s3://{settings.bucket}/{key}"
        note = f"stays there ({answer.reason}, which the writer does without); readers skip it"
        return ok(check, note, subject=place)
    return ok(check, "the object of this check is removed")


def _remove_file(settings: Settings, key: str) -> None:
    from batcher.stores.file import meta_path, parse_folder_url  # noqa: PLC0415  # lazy, as stores are

    folder = parse_folder_url(settings.bucket)
    for path in (folder / key, meta_path(folder, key)):
        path.unlink(missing_ok=True)


async def check_file_destination(settings: Settings) -> list[CheckResult]:
    """Judge a `file://` destination."""
    from batcher.stores.file import parse_folder_url  # noqa: PLC0415  # lazy, as stores are

    folder = parse_folder_url(settings.bucket)
    return await asyncio.to_thread(check_folder, folder, settings.max_bytes)


def check_folder(folder: Path, max_bytes: int) -> list[CheckResult]:
    """Look at a folder, and write nothing.

    Args:
        folder: where objects would go; it is made by the first of them.
        max_bytes: the most that a batch has.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    findings = [_evaluate_writable(folder, there)]
    free_bytes = shutil.disk_usage(there).free
    shown = f"{format_size(free_bytes)} are free"
    if free_bytes < max_bytes:
        do = f"a batch of {format_size(max_bytes)} has no room: make some"
        findings.append(error("folder.space", shown, do))
    elif free_bytes < LOW_SPACE_BYTES:
        findings.append(warning("folder.space", shown, "that is little: watch it"))
    else:
        findings.append(ok("folder.space", shown))
    return findings


def _evaluate_writable(folder: Path, nearest_existing: Path) -> CheckResult:
    if not nearest_existing.is_dir():
        return error("folder", f"{nearest_existing} is no folder", "choose another destination")
    if not os.access(nearest_existing, os.W_OK | os.X_OK):
        return error(
            "folder", f"{nearest_existing} may not be written to", "change who may write there"
        )
    if nearest_existing == folder:
        return ok("folder", f"{folder} is there")
    return ok("folder", f"{folder} is not there yet, and can be made")
