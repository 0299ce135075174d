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
from batcher.tools.check.aws import Answer, Unknown
from batcher.tools.check.bucket import QUESTIONS, Question, judge_bucket, judge_place
from batcher.tools.check.findings import Finding, error, ok, warning
from batcher.tools.check.probe import dry_write, judge_writing, key_of_check
from batcher.tools.formatting import show_size

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import Aws

LITTLE_BYTES = 10**9


async def look_at_caller(aws: Aws) -> list[Finding]:
    """Say who asks, where Amazon's own services do; other endpoints have nobody to ask."""
    has_endpoint = any(os.environ.get(f"AWS_ENDPOINT_URL{name}") for name in ("", "_STS"))
    if "amazonaws.com" not in aws.endpoint("s3") and not has_endpoint:
        return []
    found = await aws.ask("sts", "get_caller_identity", "sts:GetCallerIdentity")
    if not isinstance(found, Mapping):
        return []  # what matters to anybody fails by itself, and says so
    return [ok("caller", f"asks and writes as {found.get('Arn')}")]


async def look_at_bucket(aws: Aws, settings: Settings) -> tuple[list[Finding], bool]:
    """Judge the bucket; and say whether writing to it makes sense."""
    check = "bucket"
    head = await aws.ask(
        "s3", "head_bucket", "s3:ListBucket", ("404", "NoSuchBucket"), Bucket=settings.bucket
    )
    if head is None:
        found = f"there is no bucket {settings.bucket!r}"
        return [error(check, found, "create it, or correct `bucket`")], False
    if isinstance(head, Unknown):
        findings = [head.finding(check)]
        if head.is_fault:
            return findings, False
    else:
        endpoint, region = aws.endpoint("s3"), aws.region_of("s3")
        follows = settings.engine == "aioboto3"
        findings = judge_place(head, region, endpoint, follows=follows)
    answers: Mapping[str, Answer] = dict(
        zip(
            [question.check for question in QUESTIONS],
            await asyncio.gather(*(_ask(aws, one, settings.bucket) for one in QUESTIONS)),
            strict=True,
        )
    )
    return findings + judge_bucket(answers, settings), True


async def _ask(aws: Aws, question: Question, bucket: str) -> Answer:
    return await aws.ask(
        "s3", question.operation, question.permission, question.absent, Bucket=bucket
    )


async def write_to(settings: Settings, aws: Aws | None) -> AsyncIterator[Finding]:
    """Make the dry write, and take it away again; `aws` None: a folder."""
    try:
        store = open_store(settings)
    except SettingsError as found:
        for fault in found.faults:
            yield error("settings", fault, "it is not tried")
        return
    key = key_of_check(settings.root, str(uuid.uuid4()))
    try:
        outcomes = await dry_write(store, key, settings)
    finally:
        await store.aclose()
    for finding in judge_writing(outcomes):
        yield finding
    if not isinstance(outcomes.created, BatcherError):
        yield await _taken_away(settings, key, aws)


async def _taken_away(settings: Settings, key: str, aws: Aws | None) -> Finding:
    """Remove the object of the check, where that is allowed."""
    check = "write.cleanup"
    if aws is None:
        await asyncio.to_thread(_remove_file, settings, key)
        return ok(check, "the object of this check is removed")
    answer = await aws.ask(
        "s3", "delete_object", "s3:DeleteObject", Bucket=settings.bucket, Key=key
    )
    if isinstance(answer, Unknown):
        place = f"s3://{settings.bucket}/{key}"
        note = f"stays there ({answer.why}, which the writer does without); readers skip it"
        return ok(check, note, subject=place)
    return ok(check, "the object of this check is removed")


def _remove_file(settings: Settings, key: str) -> None:
    from batcher.stores.file import folder_of, meta_path  # noqa: PLC0415  # lazy, as stores are

    folder = folder_of(settings.bucket)
    for path in (folder / key, meta_path(folder, key)):
        path.unlink(missing_ok=True)


async def look_at_folder(settings: Settings) -> list[Finding]:
    """Judge a `file://` destination."""
    from batcher.stores.file import folder_of  # noqa: PLC0415  # lazy, as stores are

    folder = folder_of(settings.bucket)
    return await asyncio.to_thread(check_folder, folder, settings.max_bytes)


def check_folder(folder: Path, max_bytes: int) -> list[Finding]:
    """Look at a folder, and write nothing.

    Args:
        folder: where objects would go; it is made by the first of them.
        max_bytes: the most that a batch has.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    findings = [_writable(folder, there)]
    free_bytes = shutil.disk_usage(there).free
    shown = f"{show_size(free_bytes)} are free"
    if free_bytes < max_bytes:
        do = f"a batch of {show_size(max_bytes)} has no room: make some"
        findings.append(error("folder.space", shown, do))
    elif free_bytes < LITTLE_BYTES:
        findings.append(warning("folder.space", shown, "that is little: watch it"))
    else:
        findings.append(ok("folder.space", shown))
    return findings


def _writable(folder: Path, there: Path) -> Finding:
    if not there.is_dir():
        return error("folder", f"{there} is no folder", "choose another destination")
    if not os.access(there, os.W_OK | os.X_OK):
        return error("folder", f"{there} may not be written to", "change who may write there")
    if there == folder:
        return ok("folder", f"{folder} is there")
    return ok("folder", f"{folder} is not there yet, and can be made")
