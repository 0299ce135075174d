"""Types of the settings as type checkers see them: what `Settings` accepts, and the choices.

Nothing imports this at run time. A test compares it with the settings, which are declared in
`batcher.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypedDict

FormatName: TypeAlias = Literal["ndjson", "lines"]


CompressionName: TypeAlias = Literal["none", "gzip", "zstd"]


OnBadRecord: TypeAlias = Literal["quarantine", "drop", "fail"]


EngineName: TypeAlias = Literal["obstore", "aioboto3"]


AddressingStyle: TypeAlias = Literal["auto", "virtual", "path"]


RequestPayer: TypeAlias = Literal["", "requester"]


CannedAcl: TypeAlias = Literal[
    "",
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
]


Encryption: TypeAlias = Literal["", "AES256", "aws:kms", "aws:kms:dsse"]


class SettingsOptions(TypedDict, total=False):
    """What `Settings` accepts besides `bucket`. Values are parsed, so most may be text."""

    root: str
    max_bytes: int | str
    max_records: int | str | None
    linger_s: float | str
    format: FormatName
    compression: CompressionName
    compression_level: int | str
    fanout: int | str
    prefix_rate: int | str
    fleet: int | str
    partition_by: str
    multipart_threshold: int | str
    part_size: int | str
    concurrency: int | str
    budget_bytes: int | str
    max_depth: int | str
    on_bad_record: OnBadRecord
    partial_response: bool | str
    deadline_margin_s: float | str
    engine: EngineName
    region: str
    endpoint_url: str
    addressing_style: AddressingStyle
    role_arn: str
    external_id: str
    expected_bucket_owner: str
    request_payer: RequestPayer
    conditional_writes: bool | str
    acl: CannedAcl
    sse: Encryption
    kms_key_id: str
    storage_class: str
    tags: Mapping[str, str] | str
    metadata: Mapping[str, str] | str
    content_type: str


class SettingsOverrides(SettingsOptions, total=False):
    """What `Settings.from_env` accepts besides the environment: all settings."""

    bucket: str
