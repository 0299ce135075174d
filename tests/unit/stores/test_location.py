"""Locations: what users type, the settings that it means, and what cannot be meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batcher.errors import RejectedError, SettingsError
from batcher.settings import Settings
from batcher.stores import ObjectAttributes, open_reader, open_store
from batcher.stores.location import (
    find_folder_fault,
    format_url,
    parse_destination,
    parse_folder_url,
)

POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-point"


@pytest.mark.parametrize(
    ("destination", "bucket", "root"),
    [
        ("s3://my-bucket", "my-bucket", ""),
        ("s3://my-bucket/", "my-bucket", ""),
        ("s3://my-bucket/a/b c", "my-bucket", "a/b c"),
        ("s3://my-bucket/a%20b", "my-bucket", "a%20b"),
        (f"s3://{POINT}", POINT, ""),
        (f"s3://{POINT}/a/b", POINT, "a/b"),
        (f"s3://{POINT.replace('t/', 't:')}/a", POINT.replace("t/", "t:"), "a"),
        ("s3://my-point-zb0v-s3alias/a", "my-point-zb0v-s3alias", "a"),
        ("s3://arn:aws:s3::1:accesspoint/x.mrap/a", "arn:aws:s3::1:accesspoint/x.mrap", "a"),
    ],
)
def test_a_bucket_or_an_access_point_is_found(destination: str, bucket: str, root: str) -> None:
    """And its URL means the same."""
    assert parse_destination(destination) == {"bucket": bucket, "root": root}
    assert parse_destination(format_url(bucket, root)) == {"bucket": bucket, "root": root}


@pytest.mark.parametrize(
    ("destination", "folder"),
    [
        ("out", "{here}/out"),
        ("./out/", "{here}/out"),
        (".", "{here}"),
        ("../out", "{here}/../out"),
        ("my-bucket/events", "{here}/my-bucket/events"),
        ("/a b/ü%20", "/a b/ü%20"),
        ("~/out", "{here}/~/out"),
        ("07:15/x", "{here}/07:15/x"),
        ("dt:2026", "{here}/dt:2026"),
        ("a\udcff", "{here}/a\udcff"),
        ("./gs://x", "{here}/gs:/x"),
        ("./-", "{here}/-"),
        ("file:///a%20b/c", "/a b/c"),
        ("file:/a/b", "/a/b"),
        ("file://a/b", "{here}/a/b"),
    ],
)
def test_a_path_is_a_folder_as_the_shell_passes_it(
    destination: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings take it, and messages have its absolute form, which means the same."""
    monkeypatch.chdir(tmp_path)
    parsed = parse_destination(destination)
    settings = Settings(bucket=parsed["bucket"], root=parsed["root"])
    expected = Path(folder.format(here=tmp_path))
    assert parse_folder_url(settings.bucket).absolute() == expected
    url = format_url(settings.bucket, settings.root)
    assert parse_destination(url)["bucket"] == settings.bucket
    if not destination.startswith("file://a"):
        assert url.startswith(("file:///", "file:/a"))


@pytest.mark.parametrize(
    ("destination", "fix"),
    [
        ("", "write s3://bucket/root, or the path of a folder"),
        ("-", "use `batcher cat` for standard output"),
        ("a\0b", "write s3://bucket/root"),
        ("file:///a%00b", "write s3://bucket/root"),
        ("s3://", "write s3://bucket/root"),
        ("s3:///events", "write s3://bucket/root"),
        ("s3:/my-bucket/a", "write s3://my-bucket/a"),
        ("s3:my-bucket", "write s3://my-bucket"),
        ("S3://my-bucket", "write s3://my-bucket"),
        (" s3://my-bucket", "write s3://my-bucket"),
        ("s3a://my-bucket/a", "write s3://my-bucket/a"),
        ("gs://my-bucket/a", "write s3://bucket/root, or the path of a folder (./gs://my-bucket/a"),
        ("https://my-bucket.s3.amazonaws.com", "write s3://bucket/root"),
        ("file://", "write file:///folder"),
        ("file:a", "write file://a, or the path"),
        ("FILE:///a", "write file:///a, or the path"),
        (POINT, f"write s3://{POINT}"),
        ("s3://arn:aws:s3:::my-bucket/a", "write s3://my-bucket/a"),
    ],
)
def test_what_only_looks_like_a_location_is_a_fault_with_a_fix(destination: str, fix: str) -> None:
    """It is never taken for a folder."""
    with pytest.raises(SettingsError) as caught:
        parse_destination(destination)
    (fault,) = caught.value.faults
    assert fault.startswith(f"destination: {destination!r} ")
    assert f"; {fix}" in fault


@pytest.mark.parametrize(
    ("bucket", "fix"),
    [
        ("s3://my-bucket/a/b", "set bucket=my-bucket and root=a/b"),
        ("my-bucket/a", "set bucket=my-bucket and root=a, or write a folder as file:///folder"),
        ("/tmp/out", "write a folder as file:///folder"),  # noqa: S108  # nothing is written
        ("./out", "write a folder as file:///folder"),
        ("~/out", "write a folder as file:///folder"),
        ("b", "use 3 to 63 of a-z, 0-9, '.' and '-'"),
        ("arn:aws:s3:::my-bucket", "set bucket=my-bucket"),
        ("arn:aws:s3:::my-bucket/a/*", "set bucket=my-bucket and root=a"),
        (f"{POINT}/a", "write it as arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME"),
        ("arn:aws:sqs:eu-west-1:123456789012:q", "write it as arn:aws:s3:REGION"),
        (
            "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/x",
            "name the access point behind it",
        ),
        ("my-point-x--ol-s3", "name the access point behind it"),
        (
            "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-1/accesspoint/x",
            "name a bucket, or an access point of a region",
        ),
    ],
)
def test_a_setting_that_names_no_bucket_says_what_to_set(bucket: str, fix: str) -> None:
    """Also a folder, and what S3 has besides buckets."""
    with pytest.raises(SettingsError) as caught:
        Settings(bucket=bucket)
    (fault,) = caught.value.faults
    assert fault.startswith(f"bucket: {bucket!r} ")
    assert fault.endswith(f"; {fix}") or f"; {fix}" in fault


@pytest.mark.parametrize("below", ["", "/deeper/still"])
async def test_a_file_is_no_folder(below: str, tmp_path: Path) -> None:
    """Neither to write to, nor to read, where it is not taken for an empty folder."""
    (tmp_path / "in.ndjson").write_text("{}\n")
    settings = Settings(bucket=f"file://{tmp_path}/in.ndjson{below}")
    reader, store = open_reader(settings), open_store(settings)
    for prefix in ("", "0/"):
        with pytest.raises(RejectedError, match=r"in\.ndjson is a file; choose a folder"):
            _ = [entry async for entry in reader.list_objects(prefix)]
        with pytest.raises(RejectedError, match=r"in\.ndjson is a file; choose a folder"):
            _ = [entry async for entry in reader.list_folder(prefix)]
    with pytest.raises(RejectedError, match=r"cannot write a: (Not a directory|File exists)"):
        await store.put("a", b"body", ObjectAttributes())


def test_what_does_not_exist_yet_may_become_a_folder(tmp_path: Path) -> None:
    """A device may not."""
    assert find_folder_fault(tmp_path / "a" / "b") == ""
    assert find_folder_fault(Path(os.devnull)).endswith(
        "null is a file; choose a folder, or a new name"
    )


def test_settings_of_s3_that_a_folder_does_not_use_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Encryption that does not happen is not silent. Defaults are."""
    open_store(Settings(bucket=f"file://{tmp_path}", region="", tags={}))
    assert caplog.messages == []
    open_store(Settings(bucket=f"file://{tmp_path}", engine="aioboto3", sse="AES256"))
    assert caplog.messages == [
        f"settings_unused bucket=file://{tmp_path} settings=engine,sse",
    ]


def test_a_relative_path_needs_a_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been deleted."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsError, match=r"current folder, which is gone; write an absolute"):
        parse_destination("out")
