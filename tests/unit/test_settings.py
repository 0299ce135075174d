"""Settings are parsed and checked; one message has every fault."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from batcher.errors import SettingsError
from batcher.keys.names import max_key_bytes
from batcher.limits import MAX_KEY_BYTES
from batcher.settings import Settings
from support.examples import make_settings

MIB = 1024**2


def faults_of(**values: object) -> tuple[str, ...]:
    """Return all faults of these settings, with a valid bucket."""
    with pytest.raises(SettingsError) as caught:
        make_settings(**values)
    return caught.value.faults


def test_the_defaults_are_those_of_the_design() -> None:
    """DESIGN, section 3, line by line."""
    settings = Settings(bucket="my-bucket")
    assert {f.name: getattr(settings, f.name) for f in fields(settings)} == {
        "bucket": "my-bucket",
        "root": "",
        "max_bytes": 64 * MIB,
        "max_records": None,
        "linger_s": 5,
        "format": "ndjson",
        "compression": "gzip",
        "compression_level": 1,
        "fanout": 16,
        "prefix_rate": 3500,
        "fleet": 1,
        "partition_by": "dt={arrival:%Y-%m-%d}/hour={arrival:%H}",
        "multipart_threshold": 16 * MIB,
        "part_size": 8 * MIB,
        "concurrency": 16,
        "budget_bytes": 256 * MIB,
        "max_depth": 1024,
        "on_bad_record": "quarantine",
        "partial_response": False,
        "deadline_margin_s": 2,
        "engine": "obstore",
        "region": "",
        "endpoint_url": "",
        "addressing_style": "auto",
        "role_arn": "",
        "external_id": "",
        "expected_bucket_owner": "",
        "request_payer": "",
        "conditional_writes": True,
        "acl": "",
        "sse": "",
        "kms_key_id": "",
        "storage_class": "",
        "tags": {},
        "metadata": {},
        "content_type": "",
    }


def test_settings_are_values() -> None:
    """They compare by value and cannot be changed."""
    assert make_settings(max_bytes="1MiB") == make_settings(max_bytes=MIB)
    with pytest.raises(FrozenInstanceError):
        make_settings().fanout = 2  # type: ignore[misc]  # what the test is about


def test_every_setting_has_help() -> None:
    """`--help` shows it."""
    assert all(spec.metadata["help"] for spec in fields(Settings))


def test_the_environment_names_settings_in_upper_case() -> None:
    """Values are text. Other variables are ignored."""
    settings = Settings.from_env(
        {
            "BATCHER_BUCKET": "my-bucket",
            "BATCHER_ROOT": "/events/",
            "BATCHER_MAX_BYTES": "10MB",
            "BATCHER_MAX_RECORDS": " 1000 ",
            "BATCHER_LINGER_S": "0.5",
            "BATCHER_FANOUT": "1",
            "BATCHER_PARTIAL_RESPONSE": "True",
            "BATCHER_TAGS": '{"team": "x"}',
            "BATCHER_METADATA": "",
            "PATH": "/bin",
            "BATCHERY": "1",
        }
    )
    assert settings == Settings(
        bucket="my-bucket",
        root="events",
        max_bytes=10_000_000,
        max_records=1000,
        linger_s=0.5,
        fanout=1,
        partial_response=True,
        tags={"team": "x"},
    )


def test_the_process_has_the_environment_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in `make_handler(Settings.from_env(), transform=...)`."""
    monkeypatch.setenv("BATCHER_BUCKET", "my-bucket")
    assert Settings.from_env(fanout=2) == Settings(bucket="my-bucket", fanout=2)
    assert Settings.from_env({}, bucket="b-bucket").bucket == "b-bucket"


@pytest.mark.parametrize(
    ("text", "value"), [("yes", True), ("ON", True), ("1", True), ("no", False), (" 0 ", False)]
)
def test_a_boolean_can_be_written_in_several_ways(text: str, value: bool) -> None:  # noqa: FBT001  # expected
    """In any case, with spaces around."""
    assert make_settings(partial_response=text).partial_response is value


@pytest.mark.parametrize("text", ["", "none", " None "])
def test_no_limit_can_be_written(text: str) -> None:
    """If the setting has None as a value."""
    assert make_settings(max_records=text).max_records is None


@pytest.mark.parametrize("name", ["concurrency", "prefix_rate", "fleet", "fanout"])
@pytest.mark.parametrize("text", ["", "none"])
def test_a_required_number_cannot_be_none(name: str, text: str) -> None:
    """An empty variable is a fault."""
    with pytest.raises(SettingsError, match=name):
        make_settings(**{name: text})


def test_overrides_beat_the_environment() -> None:
    """Flags of the command line come this way."""
    environ = {"BATCHER_BUCKET": "a-bucket", "BATCHER_FANOUT": "4"}
    settings = Settings.from_env(environ, bucket="b-bucket", fanout=2)
    assert (settings.bucket, settings.fanout) == ("b-bucket", 2)


@pytest.mark.parametrize(
    ("variable", "fix"),
    [
        ("BATCHER_MAX_BYTE", "did you mean BATCHER_MAX_BYTES?"),
        ("BATCHER_PREFIX", "did you mean BATCHER_PREFIX_RATE?"),
        ("BATCHER_bucket", "did you mean BATCHER_BUCKET?"),
        ("BATCHER_ZZZ", "remove it"),
        ("BATCHER_", "remove it"),
    ],
)
def test_an_unknown_name_is_refused_with_what_was_meant(variable: str, fix: str) -> None:
    """A mistyped variable is never ignored."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"BATCHER_BUCKET": "my-bucket", variable: "1"})
    assert caught.value.faults == (f"{variable}: unknown setting; {fix}",)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("rot", "did you mean root?"),
        ("MAX_BYTES", "did you mean max_bytes?"),
        ("compresion", "did you mean compression?"),
        ("zzz", "remove it"),
        ("z" * 10**6, "remove it"),
    ],
)
def test_an_unknown_argument_is_refused_with_what_was_meant(name: str, fix: str) -> None:
    """In the same message as all other faults."""
    faults = faults_of(**{name: 1, "fanout": 12, "linger_s": "soon"})
    assert f"{name}: unknown setting; {fix}" in faults
    assert {fault.partition(":")[0] for fault in faults} == {name, "fanout", "linger_s"}


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("compression", "gzp", "gzip"),
        ("compression", "GZIP", "gzip"),
        ("compression", "lz4", ""),
        ("format", "json", "ndjson"),
        ("on_bad_record", "quarantaine", "quarantine"),
        ("engine", "requests", ""),
        ("sse", "aes256", "AES256"),
        ("sse", "kms", "aws:kms"),
        ("partial_response", "ture", "true"),
        ("partial_response", 2, ""),
    ],
)
def test_an_unknown_value_is_refused_with_what_was_meant(
    name: str, value: object, near: str
) -> None:
    (fault,) = faults_of(**{name: value})
    hint = f"did you mean {near!r}? " if near else ""
    assert fault.startswith(f"{name}: unknown value {value!r}; {hint}choose one of: ")
    assert not fault.endswith(": ")


def test_one_message_has_every_fault() -> None:
    """Unknown names, values that cannot be parsed, and values out of range."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {
                "BATCHER_MAX_BYTES": "much",
                "BATCHER_MAX_RECORDS": "0",
                "BATCHER_LINGER_S": "soon",
                "BATCHER_FANOUT": "12",
                "BATCHER_FORMAT": "csv",
                "BATCHER_COMPRESSION": "lz4",
                "BATCHER_PARTITION_BY": "{customer}",
                "BATCHER_PARTIAL_RESPONSE": "perhaps",
                "BATCHER_TAGS": "[1]",
                "BATCHER_METADATA": "{",
                "BATCHER_FANOUTS": "16",
                "BATCHER_CONCURRENCY": "1.5",
            }
        )
    names = [fault.split(":")[0].split(" ")[0] for fault in caught.value.faults]
    assert sorted(names) == sorted(
        [
            "BATCHER_FANOUTS",
            "bucket",
            "max_bytes",
            "max_records",
            "linger_s",
            "fanout",
            "format",
            "compression",
            "partition_by",
            "partial_response",
            "tags",
            "metadata",
            "concurrency",
        ]
    )
    assert all(f"  - {fault}" in str(caught.value) for fault in caught.value.faults)


def test_faults_between_settings_are_in_the_same_message() -> None:
    """All faults in one message, DESIGN 3."""
    with pytest.raises(SettingsError, match=r"(?s)bucket.*partition_by"):
        Settings.from_env({}, fanout=1, partition_by="{field:a}")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"max_bytes": 0}, "max_bytes: 0 is out of range; choose 1 to"),
        ({"max_bytes": "-1"}, "max_bytes: '-1' is not a size; write one such as 64MiB"),
        ({"max_bytes": "1.5"}, "max_bytes: '1.5' is not a whole number of bytes"),
        ({"linger_s": "5s"}, "linger_s: '5s' is not a number; write one without a unit"),
        ({"content_type": "a\n"}, "content_type: 'a\\n' is not printable"),
        ({"root": "a/_quarantine/b"}, "root: 'a/_quarantine/b' has a part _quarantine"),
        ({"linger_s": -1}, "linger_s: -1.0 is out of range; choose 0 to"),
        ({"linger_s": "nan"}, "linger_s: nan is out of range; choose 0 to"),
        ({"fanout": 3}, "fanout: 3 is not a power of two; choose 1, 2, 4, ... 65536"),
        ({"fanout": 131_072}, "fanout: 131072 is out of range; choose 1 to 65536"),
        ({"fanout": 0}, "fanout: 0 is out of range; choose 1 to 65536"),
        ({"fanout": True}, "fanout: True is not a whole number"),
        ({"fanout": 2.0}, "fanout: 2.0 is not a whole number"),
        ({"part_size": "5MB"}, "part_size: 5000000 is out of range; choose 5242880 to"),
        ({"concurrency": 0}, "concurrency: 0 is out of range; choose 1 to 1024"),
        ({"format": "csv"}, "format: unknown value 'csv'; choose one of: ndjson, lines"),
        (
            {"compression": "lz4"},
            "compression: unknown value 'lz4'; choose one of: none, gzip, zstd",
        ),
        (
            {"compression_level": 10},
            "compression_level: 10 is out of range for gzip; choose 0 to 9",
        ),
        (
            {"compression": "zstd", "compression_level": 20},
            "compression_level: 20 is out of range for zstd; choose -7 to 19",
        ),
        (
            {"on_bad_record": "ignore"},
            "on_bad_record: unknown value 'ignore'; choose one of: quarantine, drop, fail",
        ),
        ({"engine": "boto3"}, "engine: unknown value 'boto3'; did you mean 'aioboto3'? choose one"),
        (
            {"sse": "kms"},
            "sse: unknown value 'kms'; did you mean 'aws:kms'? choose one of: AES256,",
        ),
        ({"region": "eu west"}, "region: 'eu west' is not the name of a region; write one such as"),
        ({"region": "x/"}, "region: 'x/' is not the name of a region"),
        ({"region": "-x"}, "region: '-x' is not the name of a region"),
        ({"endpoint_url": "h:9000"}, "endpoint_url: 'h:9000' is not an endpoint; write it as http"),
        ({"endpoint_url": "ftp://h"}, "endpoint_url: 'ftp://h' is not an endpoint"),
        ({"endpoint_url": "https://"}, "endpoint_url: 'https://' is not an endpoint"),
        ({"endpoint_url": "https://u:p@h"}, "endpoint_url: an endpoint has no '@'; write it as"),
        ({"endpoint_url": "http://h:65536"}, "endpoint_url: 'http://h:65536' is not an endpoint"),
        ({"endpoint_url": "http://h:0/x"}, "endpoint_url: 'http://h:0/x' is not an endpoint"),
        ({"endpoint_url": "http://:9000"}, "endpoint_url: 'http://:9000' is not an endpoint"),
        ({"endpoint_url": "https://h?x"}, "endpoint_url: 'https://h?x' is not an endpoint"),
        ({"kms_key_id": "k"}, "kms_key_id: not used without KMS; set sse to aws:kms"),
        (
            {"kms_key_id": "k", "sse": "AES256"},
            "kms_key_id: not used without KMS; set sse to aws:kms",
        ),
        ({"bucket": ""}, "bucket: required"),
        (
            {"bucket": "s3://b/root"},
            "bucket: 's3://b/root' is not the name of a bucket; set bucket=b and root=root",
        ),
        (
            {"bucket": "bucket/root"},
            "bucket: 'bucket/root' is not the name of a bucket; set bucket=bucket and",
        ),
        ({"bucket": "b"}, "bucket: 'b' is not the name of a bucket; use 3 to 63"),
        ({"bucket": 7}, "bucket: 7 is not text; give a string"),
        ({"root": "a//b"}, "root: 'a//b' has empty, '.', '..' or unprintable parts"),
        ({"root": "../b"}, "root: '../b' has empty"),
        ({"root": "a\n"}, "root: 'a\\n' has empty"),
        ({"root": "\udcff"}, "root: '\\udcff' has empty"),
        ({"partition_by": "{customer}"}, "partition_by: {customer}: use"),
        (
            {"tags": {str(n): "" for n in range(11)}},
            "tags: 11 tags are too many; S3 accepts at most 10 per object",
        ),
        ({"tags": {"a": 1}}, "tags: {'a': 1} is not a JSON object of strings"),
        ({"metadata": {"a": "x" * 1024}}, "metadata: 1025 bytes are too many; use at most 1024"),
        ({"metadata": {"a": "\u00e9"}}, "metadata: 'a' is not printable ASCII"),
        ({"metadata": {" ": "a"}}, "metadata: ' ' is not printable ASCII"),
        ({"metadata": {"a": "b\n"}}, "metadata: 'a' is not printable ASCII"),
        (
            {"metadata": {"Batcher-X": "1"}},
            "metadata: 'Batcher-X' starts with batcher-, which is reserved",
        ),
    ],
)
def test_a_fault_names_setting_problem_and_fix(values: dict[str, object], fault: str) -> None:
    """The given value is part of the problem."""
    faults = faults_of(**values)
    assert any(found.startswith(fault) for found in faults), faults


def test_metadata_that_is_not_unicode_is_a_fault() -> None:
    """As in JSON."""
    assert faults_of(metadata={"a": "\ud800"})


@pytest.mark.parametrize(
    "values",
    [
        {"bucket": "file:///tmp/out"},
        {"bucket": "arn:aws:s3:us-east-2:123456789012:accesspoint/my-point"},
        {"root": "a/b=c/\u00fc"},
        {"sse": "aws:kms", "kms_key_id": "k"},
        {"compression": "none", "compression_level": 99},
        {"compression": "zstd", "compression_level": -7},
        {"metadata": {"team": "x"}, "tags": {"cost": "y"}},
        {"linger_s": 0},
        {"fanout": 65_536},
    ],
)
def test_valid_settings_are_accepted(values: dict[str, object]) -> None:
    """Without an error."""
    assert make_settings(**values)


@pytest.mark.parametrize(("memory_mb", "budget_mib"), [("128", 42), ("512", 170), ("10240", 256)])
def test_in_lambda_the_budget_is_a_third_of_the_memory(memory_mb: str, budget_mib: int) -> None:
    """It is at most the default."""
    environ = {"BATCHER_BUCKET": "my-bucket", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}
    settings = Settings.from_env(environ)
    assert settings.budget_bytes // MIB == budget_mib
    # the defaults give way
    assert settings.max_bytes <= settings.budget_bytes
    needed = settings.multipart_threshold + 2 * settings.part_size
    assert needed <= settings.budget_bytes


def test_in_the_smallest_lambda_defaults_and_explicit_settings_fit() -> None:
    """128 MB: only what was set explicitly can be a fault, and this fits."""
    environ = {
        "BATCHER_BUCKET": "my-bucket",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "BATCHER_MAX_BYTES": "64MiB",
    }
    settings = Settings.from_env(environ)
    assert settings.max_bytes == 64 * MIB
    assert Settings.from_env(environ, budget_bytes="1GiB").budget_bytes == 1024 * MIB


@pytest.mark.parametrize("budget", ["1", "1MiB", "20MiB", "100MiB"])
def test_defaults_give_way_to_any_budget(budget: str) -> None:
    """Even to a tiny one."""
    settings = make_settings(budget_bytes=budget)
    assert 1 <= settings.max_bytes <= settings.budget_bytes
    assert settings.part_size >= 5 * MIB


def test_explicit_settings_that_do_not_fit_are_a_fault() -> None:
    """A batch larger than the budget is valid only if it can be uploaded in parts."""
    (fault,) = faults_of(max_bytes="64MiB", budget_bytes="10MiB")
    assert fault.startswith("max_bytes: 67108864 is over budget_bytes (10485760); lower it")
    assert make_settings(max_bytes="64MiB", budget_bytes="32MiB").max_bytes == 64 * MIB
    assert faults_of(
        max_bytes="64MiB", budget_bytes="32MiB", multipart_threshold="32MiB", part_size="5MiB"
    )


@pytest.mark.parametrize("template", ["{field:a}", "{arrival:%H}", "_q={field:a}", "1/{field:a}"])
def test_without_a_salt_no_record_may_choose_the_first_folder(template: str) -> None:
    """It could be `_quarantine`, or look like a salt."""
    (fault,) = faults_of(fanout=1, partition_by=template)
    assert fault.startswith("partition_by: with fanout=1 the first folder of")
    assert make_settings(fanout=2, partition_by=template)
    assert make_settings(fanout=1, partition_by=f"day={template}")


def test_keys_that_could_be_too_long_are_a_fault() -> None:
    """S3 accepts 1,024 bytes, and fields of records may be long."""
    fields_of_128 = "/".join(f"f{n}={{field:f{n}}}" for n in range(5))
    (fault,) = faults_of(partition_by=fields_of_128)
    assert fault.startswith("root, partition_by: keys could be ")
    excess = int(fault.rsplit(" ", 1)[1])
    assert make_settings(partition_by=fields_of_128.replace("f0={field:f0}", ""))
    assert faults_of(root="\u00fc" * 512)
    assert excess > 0


def test_the_longest_key_fits_into_s3_to_the_byte() -> None:
    """A root that is one byte longer is refused before anything is written."""
    room_bytes = MAX_KEY_BYTES - max_key_bytes("", 16, 0)
    assert Settings(bucket="my-bucket", root="r" * room_bytes, partition_by="")
    with pytest.raises(SettingsError, match="shorten them by 1"):
        Settings(bucket="my-bucket", root="r" * (room_bytes + 1), partition_by="")
