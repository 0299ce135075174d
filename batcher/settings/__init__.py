"""The settings of batcher. Each one is declared once, as a field of `Settings`.

This is one long file on purpose: every cold start imports it, and each further module costs time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from batcher.errors import SettingsError
from batcher.keys.names import max_key_bytes
from batcher.keys.object_format import Format
from batcher.keys.partition import PartitionTemplate
from batcher.limits import (
    MAX_KEY_BYTES,
    MAX_LAMBDA_TIMEOUT_S,
    MAX_PART_BYTES,
    MAX_TAGS,
    MAX_USER_METADATA_BYTES,
    MIN_PART_BYTES,
)
from batcher.records.json_text import MAX_DEPTH

if TYPE_CHECKING:
    from typing import Unpack

    from batcher.settings.types import (
        AddressingStyle,
        CannedAcl,
        CompressionName,
        Encryption,
        EngineName,
        FormatName,
        OnBadRecord,
        RequestPayer,
        SettingsOptions,
        SettingsOverrides,
    )

MIB = 1024**2


TIB = 1024**4


ENV_PREFIX = "BATCHER_"
"""The environment variable of the setting `max_bytes` is `BATCHER_MAX_BYTES`."""


CONNECTION = "S3 connection"
"""The group of the settings that say where a bucket is and how it is reached."""


DEFAULT_BUDGET_BYTES = 256 * MIB


MAX_FANOUT = 65_536
"""A salt then has 16 binary digits."""


MAX_LINGER_S = 86_400
"""One day. Readers rely on it when they select objects by time (`batcher.reading.times`)."""


COMPRESSION_LEVELS = {"none": (0, 0, 0), "gzip": (0, 1, 9), "zstd": (-7, 1, 19)}
"""Lowest, default and highest level. ISA-L does gzip 0 to 3, zlib does gzip 4 to 9."""


_MAX_INTEGER_BITS = 64
"""Far above all bounds. Python refuses to print numbers of over 4,300 digits."""


_MAX_MEMORY_DIGITS = 9


_MAX_TYPED = 64
"""Characters of a mistake that are compared with what may be meant."""


_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


_SIZE_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", re.IGNORECASE)


_SIZE_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def unknown_value(value: object, choices: Sequence[str]) -> str:
    """Return the fault of a value that is none of the choices. An empty choice is not named."""
    near = _find_near(str(value), choices)
    hint = f"did you mean '{near}'? " if near else ""
    return f"unknown value {value!r}; {hint}choose one of: {', '.join(filter(None, choices))}"


def _unknown_name(near: str) -> str:
    """Return the fault of an unknown name. `near` may be meant, if it is not empty."""
    return f"unknown setting; {f'did you mean {near}?' if near else 'remove it'}"


def _find_near(text: str, choices: Sequence[str]) -> str:
    """Return the choice that was meant, or an empty string."""
    from difflib import get_close_matches  # noqa: PLC0415  # needed only for a mistake

    by_lower = {choice.lower(): choice for choice in choices if choice}
    near = get_close_matches(text[:_MAX_TYPED].lower(), by_lower, 1)
    return by_lower[near[0]] if near else ""


_ACCESS_POINT = (
    r"arn:aws[a-z-]*:s3:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":accesspoint[:/](?P<name>[a-z0-9-]{3,50})"
)


_MULTI_REGION = r"arn:aws[a-z-]*:s3::\d{12}:accesspoint[:/][a-z0-9]+\.mrap"
"""An access point whose requests need SigV4A signatures. Only engine=aioboto3 makes them."""


_OTHER_POINTS = {
    ":s3-object-lambda:": "is an Object Lambda access point, which takes no writes; name the "
    "access point behind it",
    "--ol-s3": "is an Object Lambda access point, which takes no writes; name the access point "
    "behind it",
    ":s3-outposts:": "is on Outposts, which is not supported; name a bucket, or an access point of "
    "a region",
}
"""Ends of names, and parts of ARNs, of what objects cannot be written to, and why."""


def _parse_text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{value!r} is not text; give a string"
        raise TypeError(msg)
    return value


def _parse_root(value: object) -> str:
    return _parse_text(value).strip("/")


def _parse_number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # other types raise the TypeError
    except (TypeError, ValueError):
        msg = f"{value!r} is not a number; write one without a unit (times are in seconds)"
        raise ValueError(msg) from None


def _parse_whole(value: object) -> int:
    if isinstance(value, int | str) and not isinstance(value, bool):
        with suppress(ValueError):
            return int(value)
    msg = f"{value!r} is not a whole number; write one such as 16"
    raise ValueError(msg)


def _parse_whole_or_none(value: object) -> int | None:
    if isinstance(value, str) and value.strip().lower() in {"", "none"}:
        return None
    return _parse_whole(value)


def _parse_boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(unknown_value(value, ("true", "false")))
    return text in _TRUE


def _parse_text_map(value: object) -> dict[str, str]:
    parsed = value
    if isinstance(value, str):
        import orjson  # noqa: PLC0415  # needed only if the mapping is text

        with suppress(ValueError):
            parsed = orjson.loads(value or "{}")
    if not isinstance(parsed, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in parsed.items()
    ):
        msg = f'{value!r} is not a JSON object of strings; write one such as {{"team": "data"}}'
        raise TypeError(msg)
    return dict(parsed)


def parse_size(value: object) -> int:
    """Return the bytes of `64MiB` (binary), `10MB` (decimal), `4096` or a whole number.

    Raises:
        ValueError: it is none of these, or not a whole number of bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE_PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[3] and not match[2]):
        msg = f"{value!r} is not a size; write one such as 64MiB, 10MB or 4096 (bytes)"
        raise ValueError(msg)
    base = 1024 if match[3] else 1000
    from fractions import Fraction  # noqa: PLC0415  # sizes are rarely text

    size = Fraction(match[1]) * base ** _SIZE_POWERS[match[2].lower()]
    if size.denominator != 1:
        msg = f"{value!r} is not a whole number of bytes; use a smaller unit"
        raise ValueError(msg)
    return int(size)


class Between:
    """Checks that a number is within bounds, both included. None passes."""

    def __init__(self, low: float, high: float) -> None:
        self.low: float = low
        self.high: float = high

    def __call__(self, value: float | None) -> list[str]:
        """Return what is wrong with the value. An empty list if nothing is."""
        if value is None or self.low <= value <= self.high:
            return []
        return [f"{value} is out of range; choose {self.low} to {self.high}"]


class OneOf:
    """Checks that a text is one of a few. An empty choice means that the setting is not used."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def __call__(self, value: str) -> list[str]:
        """Return what is wrong with the value. An empty list if nothing is."""
        if value in self.choices:
            return []
        return [unknown_value(value, self.choices)]


def _check_fanout(fanout: int) -> list[str]:
    faults = Between(1, MAX_FANOUT)(fanout)
    if not faults and fanout & (fanout - 1):
        return [f"{fanout} is not a power of two; choose 1, 2, 4, ... {MAX_FANOUT}"]
    return faults


def parse_access_point(bucket: str) -> re.Match[str] | None:
    """Return the groups `region`, `account` and `name` of an access point's ARN, or None."""
    return re.fullmatch(_ACCESS_POINT, bucket) if bucket.startswith("arn:") else None


def _check_bucket(bucket: str) -> list[str]:
    if not bucket:
        return ["required; name the S3 bucket to write to"]
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-_]{2,62}|file:.+", bucket, re.DOTALL):
        return [f"{bucket!r} {why}" for end, why in _OTHER_POINTS.items() if bucket.endswith(end)]
    if bucket.startswith("arn:"):
        return _check_arn(bucket)
    name, _, root = re.sub(r"^s3:/*", "", bucket, flags=re.IGNORECASE).partition("/")
    fix = "use 3 to 63 of a-z, 0-9, '.' and '-'"
    if bucket.startswith(("/", ".", "~")):
        fix = "write a folder as file:///folder"
    elif name != bucket:
        roots = f" and root={root.strip('/')}" if root.strip("/") else ""
        fix = f"set bucket={name}{roots}, or write a folder as file:///folder"
    return [f"{bucket!r} is not the name of a bucket; {fix}"]


def _check_arn(arn: str) -> list[str]:
    """Return why objects cannot be written to what an ARN names."""
    if parse_access_point(arn) or re.fullmatch(_MULTI_REGION, arn):
        return []
    name = arn.rpartition(":")[2]
    if re.fullmatch(r"arn:[^:]*:s3:::[^:]+", arn):
        bucket, _, root = name.partition("/")
        fix = f"set bucket={bucket}" + (f" and root={root.strip('/')}" if root.strip("/*") else "")
        return [f"{arn!r} is the ARN of a bucket, not its name; {fix}"]
    for mark, why in _OTHER_POINTS.items():
        if mark in arn:
            return [f"{arn!r} {why}"]
    form = "arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME"
    return [f"{arn!r} is not the ARN of an access point; write it as {form}"]


def _check_root(root: str) -> list[str]:
    parts = root.split("/") if root else []
    if not root.isprintable() or not {"", ".", ".."}.isdisjoint(parts):
        return [f"{root!r} has empty, '.', '..' or unprintable parts; remove them"]
    if "_quarantine" in parts:
        return [f"{root!r} has a part _quarantine, which is reserved; choose another name"]
    return []


def _check_region(region: str) -> list[str]:
    if not region or re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", region):
        return []
    return [f"{region!r} is not the name of a region; write one such as eu-central-1"]


MAX_PORT = 65_535


def _check_endpoint_url(url: str) -> list[str]:
    host = r"\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+"
    found = re.fullmatch(rf"https?://(?:{host})(?::(\d{{1,5}}))?(?:/[^\s?#]*)?", url, re.ASCII)
    if not url or (url.isprintable() and found and 0 < int(found[1] or 80) <= MAX_PORT):
        return []
    if "@" in url:  # not shown: a password may be before it
        return ["an endpoint has no '@'; write it as http(s)://host[:port]"]
    return [f"{url!r} is not an endpoint; write it as http(s)://host[:port]"]


def _check_role_arn(arn: str) -> list[str]:
    if not arn or re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", arn, re.ASCII):
        return []
    return [f"{arn!r} is not the ARN of a role; write one as arn:aws:iam::ACCOUNT:role/NAME"]


def _check_external_id(external_id: str) -> list[str]:
    if not external_id or re.fullmatch(r"[\w+=,.@:/-]{2,1224}", external_id, re.ASCII):
        return []
    return [f"{external_id!r} is not an external id; use 2 to 1224 of A-Z, a-z, 0-9 and _+=,.@:/-"]


def _check_account(account: str) -> list[str]:
    if not account or re.fullmatch(r"[0-9]{12}", account):
        return []
    return [f"{account!r} is not the id of an account; write its 12 digits"]


def _check_content_type(content_type: str) -> list[str]:
    if content_type.isprintable():
        return []
    return [f"{content_type!r} is not printable; remove the control characters"]


def _check_tags(tags: Mapping[str, str]) -> list[str]:
    if len(tags) <= MAX_TAGS:
        return []
    return [f"{len(tags)} tags are too many; S3 accepts at most {MAX_TAGS} per object"]


def _check_metadata(metadata: Mapping[str, str]) -> list[str]:
    faults = []
    size = sum(len(f"{k}{v}".encode("utf-8", "surrogatepass")) for k, v in metadata.items())
    if size > MAX_USER_METADATA_BYTES:
        faults.append(f"{size} bytes are too many; use at most {MAX_USER_METADATA_BYTES}")
    for name, value in metadata.items():
        if not (name + value).isascii() or not (name + value).isprintable() or not name.strip():
            faults.append(f"{name!r} is not printable ASCII; change its name or value")
        elif name.lower().startswith("batcher-"):
            faults.append(f"{name!r} starts with batcher-, which is reserved; rename it")
    return faults


class Derived:
    """A default that depends on another setting or on the environment."""

    def __init__(
        self, text: str, derive: Callable[[Settings], object], depends_on: str = ""
    ) -> None:
        """Create the default.

        Args:
            text: its description in `--help` and in the documentation.
            derive: returns the value.
            depends_on: the setting that `derive` reads. Its own default may not depend on a third.
        """
        self.text: str = text
        self.derive: Callable[[Settings], object] = derive
        self.depends_on: str = depends_on


def setting(
    help_text: str,
    parse: Callable[[Any], object],
    default: object,
    check: Callable[[Any], Sequence[str]] | None = None,
    *,
    group: str,
) -> Any:  # noqa: ANN401  # a dataclass field is Any
    """Declare a setting. The command line options and their help follow from it.

    `batcher.settings.types` repeats its name with the types that `parse` takes, for type checkers.

    Args:
        help_text: its description in `--help`, without default and choices.
        parse: returns the value of what a user gave, which may be text. Raises a `TypeError` or
            `ValueError` that says what is wrong.
        default: the value if a user gave none, or `Derived`.
        check: returns what is wrong with a parsed value.
        group: the heading below which `--help` shows it.
    """
    metadata = {
        "help": help_text,
        "parse": parse,
        "default": default,
        "check": check,
        "group": group,
    }
    return field(default=None if isinstance(default, Derived) else default, metadata=metadata)


@dataclass(frozen=True, init=False, kw_only=True)
class Settings:
    """What a user can choose.

    Values may be text, as in the environment: `64MiB`, `true`, `{"team": "x"}`.
    Peak memory is about `budget_bytes` + 100 to 190 MB for an input of any length: the
    interpreter, its libraries, and what the allocator keeps between buffers; see
    docs/decisions/0010-memory.md.

    Raises:
        SettingsError: with every fault at once.
    """

    bucket: str = setting(
        "where objects go: an S3 bucket, or file:///folder",
        _parse_text,
        "",
        _check_bucket,
        group="Destination",
    )
    root: str = setting(
        "fixed start of every key", _parse_root, "", _check_root, group="Destination"
    )
    max_bytes: int = setting(
        "flush a batch at this many payload bytes, newlines included",
        parse_size,
        Derived(
            "64MiB, at most budget_bytes",
            lambda s: max(1, min(64 * MIB, s.budget_bytes)),
            "budget_bytes",
        ),
        Between(1, 5 * TIB),
        group="Batching",
    )
    max_records: int | None = setting(
        "flush a batch at this many records",
        _parse_whole_or_none,
        None,
        Between(1, 10**9),
        group="Batching",
    )
    linger_s: float = setting(
        "flush a batch when its oldest record has waited this many seconds",
        _parse_number,
        5.0,
        Between(0, MAX_LINGER_S),
        group="Batching",
    )
    format: FormatName = setting(
        "ndjson: checked to be one JSON value per record; lines: bytes as they are",
        _parse_text,
        "ndjson",
        OneOf(*Format),
        group="Objects",
    )
    compression: CompressionName = setting(
        "compression of every object",
        _parse_text,
        "gzip",
        OneOf(*COMPRESSION_LEVELS),
        group="Objects",
    )
    compression_level: int = setting(
        "gzip: 0 to 3 by ISA-L, 4 to 9 by zlib; zstd: -7 to 19",
        _parse_whole,
        Derived("1", lambda s: _levels(s.compression)[1], "compression"),
        group="Objects",
    )
    fanout: int = setting(
        "number of randomized prefixes (salts) under root, a power of two; 1: none",
        _parse_whole,
        16,
        _check_fanout,
        group="Objects",
    )
    prefix_rate: int = setting(
        "maximum PUTs per second per prefix",
        _parse_whole,
        3500,
        Between(1, 10**6),
        group="Requests",
    )
    fleet: int = setting(
        "number of processes that share prefix_rate",
        _parse_whole,
        1,
        Between(1, 10**6),
        group="Requests",
    )
    partition_by: str = setting(
        "Hive-style path from {arrival:%Y-%m-%d} and {field:customer.id}; empty for none",
        _parse_text,
        "dt={arrival:%Y-%m-%d}/hour={arrival:%H}",
        PartitionTemplate.find_faults,
        group="Objects",
    )
    multipart_threshold: int = setting(
        "upload bodies of at least this many bytes in parts",
        parse_size,
        Derived(
            "16MiB, at most a quarter of budget_bytes",
            lambda s: max(1, min(16 * MIB, s.budget_bytes // 4)),
            "budget_bytes",
        ),
        Between(1, MAX_PART_BYTES),
        group="Requests",
    )
    part_size: int = setting(
        "bytes per part",
        parse_size,
        Derived(
            "8MiB, at most an eighth of budget_bytes",
            lambda s: max(MIN_PART_BYTES, min(8 * MIB, s.budget_bytes // 8)),
            "budget_bytes",
        ),
        Between(MIN_PART_BYTES, MAX_PART_BYTES),
        group="Requests",
    )
    concurrency: int = setting(
        "maximum requests in flight", _parse_whole, 16, Between(1, 1_024), group="Requests"
    )
    budget_bytes: int = setting(
        "maximum bytes of payloads, bodies and open batches in memory",
        parse_size,
        Derived("256MiB; in Lambda at most a third of its memory", lambda _: DEFAULT_BUDGET_BYTES),
        Between(1, TIB),
        group="Batching",
    )
    max_depth: int = setting(
        "deepest nesting of a JSON record",
        _parse_whole,
        MAX_DEPTH,
        Between(1, MAX_DEPTH),
        group="Records",
    )
    on_bad_record: OnBadRecord = setting(
        "what happens to a record that can never be written",
        _parse_text,
        "quarantine",
        OneOf("quarantine", "drop", "fail"),
        group="Records",
    )
    partial_response: bool = setting(
        "respond with the failed records only; needs ReportBatchItemFailures on the mapping",
        _parse_boolean,
        default=False,
        group="Lambda",
    )
    deadline_margin_s: float = setting(
        "stop and respond this many seconds before Lambda's timeout",
        _parse_number,
        2.0,
        Between(0, MAX_LAMBDA_TIMEOUT_S),
        group="Lambda",
    )
    engine: EngineName = setting(
        "S3 transport; aioboto3 needs the extra `aioboto3`",
        _parse_text,
        "obstore",
        OneOf("obstore", "aioboto3"),
        group=CONNECTION,
    )
    region: str = setting(
        "region of the bucket; empty: from AWS_REGION or the profile",
        _parse_text,
        "",
        _check_region,
        group=CONNECTION,
    )
    endpoint_url: str = setting(
        "S3 endpoint, for S3-compatible stores; empty: from AWS_ENDPOINT_URL_S3, "
        "AWS_ENDPOINT_URL or the profile",
        _parse_text,
        "",
        _check_endpoint_url,
        group=CONNECTION,
    )
    addressing_style: AddressingStyle = setting(
        "where requests name the bucket; auto: as the profile says, else in the host if it can be",
        _parse_text,
        "auto",
        OneOf("auto", "virtual", "path"),
        group=CONNECTION,
    )
    role_arn: str = setting(
        "IAM role to assume for all requests to S3; needs botocore",
        _parse_text,
        "",
        _check_role_arn,
        group=CONNECTION,
    )
    external_id: str = setting(
        "external id that the trust policy of role_arn asks for",
        _parse_text,
        "",
        _check_external_id,
        group=CONNECTION,
    )
    expected_bucket_owner: str = setting(
        "account that must own the bucket; requests to a bucket of another one are refused",
        _parse_text,
        "",
        _check_account,
        group=CONNECTION,
    )
    request_payer: RequestPayer = setting(
        "requester: pay for the requests to a Requester Pays bucket",
        _parse_text,
        "",
        OneOf("", "requester"),
        group=CONNECTION,
    )
    conditional_writes: bool = setting(
        "false: for stores without conditional writes; only for fresh keys, not for event sources",
        _parse_boolean,
        default=True,
        group="Requests",
    )
    acl: CannedAcl = setting(
        "canned ACL of every object, by the name that S3 has for it",
        _parse_text,
        "",
        OneOf(
            "",
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
        ),
        group="Encryption and tags",
    )
    sse: Encryption = setting(
        "server-side encryption of every object",
        _parse_text,
        "",
        OneOf("", "AES256", "aws:kms", "aws:kms:dsse"),
        group="Encryption and tags",
    )
    kms_key_id: str = setting(
        "KMS key for sse=aws:kms and aws:kms:dsse", _parse_text, "", group="Encryption and tags"
    )
    storage_class: str = setting(
        "storage class of every object", _parse_text, "", group="Encryption and tags"
    )
    tags: Mapping[str, str] = setting(
        "tags of every object, as a JSON object",
        _parse_text_map,
        Derived("", lambda _: {}),
        _check_tags,
        group="Encryption and tags",
    )
    metadata: Mapping[str, str] = setting(
        "user metadata of every object, as a JSON object",
        _parse_text_map,
        Derived("", lambda _: {}),
        _check_metadata,
        group="Encryption and tags",
    )
    content_type: str = setting(
        "Content-Type of every object; empty: by format",
        _parse_text,
        "",
        _check_content_type,
        group="Objects",
    )

    if TYPE_CHECKING:

        def __init__(self, *, bucket: str, **options: Unpack[SettingsOptions]) -> None: ...

    else:

        def __init__(self, **values: object) -> None:
            """Parse all values, fill in derived defaults, and check everything."""
            names = [spec.name for spec in fields(self)]
            unknown = (name for name in values if name not in names)
            faults = [f"{name}: {_unknown_name(_find_near(name, names))}" for name in unknown]
            self._parse(values, faults)

    def _parse(self, values: Mapping[str, object], faults: list[str]) -> None:
        """Set everything from what a user gave. Raise these faults and all others."""
        for spec in fields(self):
            value = values.get(spec.name, spec.default)
            if value is not None:
                value = self._parse_or_default(spec, value, faults)
            elif spec.default is not None:
                faults.append(f"{spec.name}: None is not a value; leave it out for the default")
                value = spec.default
            self._set(spec.name, value)
        self._derive()
        for spec in fields(self):
            check = spec.metadata["check"]
            if check is not None:
                faults += [f"{spec.name}: {fault}" for fault in check(getattr(self, spec.name))]
        faults += _find_combination_faults(self)
        if faults:
            raise SettingsError(faults)

    def _parse_or_default(self, spec: Field[Any], value: object, faults: list[str]) -> object:
        """Parse a value. If it cannot be parsed, add a fault and return the default."""
        try:
            parsed = spec.metadata["parse"](value)
        except (TypeError, ValueError, OverflowError) as error:
            faults.append(f"{spec.name}: {error}")
            return spec.default
        if isinstance(parsed, int) and parsed.bit_length() > _MAX_INTEGER_BITS:
            faults.append(
                f"{spec.name}: the number has more than {_MAX_INTEGER_BITS} bits; choose a smaller"
            )
            return spec.default
        return parsed

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the class is frozen

    def _derive(self) -> None:
        """Set each derived default that has no value, after the settings that it depends on."""
        derived = [
            (spec.name, spec.metadata["default"])
            for spec in fields(self)
            if isinstance(spec.metadata["default"], Derived)
        ]
        for name, default in sorted(derived, key=lambda item: item[1].depends_on != ""):
            if getattr(self, name) is None:
                self._set(name, default.derive(self))

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **overrides: Unpack[SettingsOverrides]
    ) -> Settings:
        """Return the settings of the environment.

        In Lambda, the default of `budget_bytes` is a third of the function's memory, at most
        256 MiB.

        Args:
            environ: its `BATCHER_*` variables are read, and `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`
                (MB), which only Lambda sets. None reads the environment of the process.
            overrides: settings by name. They take precedence over the environment.

        Raises:
            SettingsError: with every fault, including unknown `BATCHER_*` variables.
        """
        if environ is None:
            import os  # noqa: PLC0415  # the module's only access to the process

            environ = os.environ
        names = [f.name for f in fields(cls)]
        values: dict[str, Any] = {}
        faults: list[str] = []
        for variable in sorted(environ):
            if not variable.startswith(ENV_PREFIX):
                continue
            name = variable.removeprefix(ENV_PREFIX).lower()
            if name in names and variable == ENV_PREFIX + name.upper():
                values[name] = environ[variable]
            else:
                near = _find_near(name, names)
                faults.append(f"{variable}: {_unknown_name(near and ENV_PREFIX + near.upper())}")
        values |= overrides
        memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        if memory_mb.isdecimal() and len(memory_mb) <= _MAX_MEMORY_DIGITS:
            values.setdefault("budget_bytes", min(DEFAULT_BUDGET_BYTES, int(memory_mb) * MIB // 3))
        try:
            settings = cls(**values)
        except SettingsError as error:
            raise SettingsError([*faults, *error.faults]) from None
        if faults:
            raise SettingsError(faults)
        return settings


def connection_settings() -> list[str]:
    """Return the names of the settings that say where a bucket is and how it is reached."""
    return [spec.name for spec in fields(Settings) if spec.metadata["group"] == CONNECTION]


def require_conditional_writes(settings: Settings) -> None:
    """Check that no object can be replaced, for records that an object may hold already.

    Raises:
        SettingsError: `conditional_writes` is false.
    """
    if not settings.conditional_writes:
        fault = (
            "conditional_writes: false is only for fresh keys (library, batcher write): event "
            "sources and replay could replace objects; remove it, and use a store that has them"
        )
        raise SettingsError([fault])


def _levels(compression: str) -> tuple[int, int, int]:
    return COMPRESSION_LEVELS.get(compression, COMPRESSION_LEVELS["gzip"])


def _find_combination_faults(settings: Settings) -> list[str]:
    """Return what is wrong between settings. Derived defaults fit by themselves."""
    faults = []
    low, _, high = _levels(settings.compression)
    has_levels = settings.compression in COMPRESSION_LEVELS and settings.compression != "none"
    if has_levels and not low <= settings.compression_level <= high:
        faults.append(
            f"compression_level: {settings.compression_level} is out of range for "
            f"{settings.compression}; choose {low} to {high}"
        )
    if settings.external_id and not settings.role_arn:
        faults.append("external_id: not used without a role; set role_arn")
    if settings.addressing_style == "path" and settings.bucket.startswith("arn:"):
        faults.append(
            "addressing_style: an access point is never in the path; choose auto or virtual"
        )
    if settings.kms_key_id and not settings.sse.startswith("aws:kms"):
        faults.append("kms_key_id: not used without KMS; set sse to aws:kms or aws:kms:dsse")
    streaming_bytes = settings.multipart_threshold + 2 * settings.part_size
    if settings.budget_bytes < min(settings.max_bytes, streaming_bytes):
        faults.append(
            f"max_bytes: {settings.max_bytes} is over budget_bytes ({settings.budget_bytes}); "
            f"lower it, or raise budget_bytes to {min(settings.max_bytes, streaming_bytes)}"
        )
    if PartitionTemplate.find_faults(settings.partition_by):
        return faults
    template = PartitionTemplate(settings.partition_by)
    if settings.fanout == 1 and not template.is_first_folder_safe:
        faults.append(
            f"partition_by: with fanout=1 the first folder of {settings.partition_by!r} could be "
            "taken for a salt or for _quarantine; start it with a name, as in day={...}"
        )
    longest = max_key_bytes(settings.root, settings.fanout, template.max_bytes)
    if longest > MAX_KEY_BYTES:
        faults.append(
            f"root, partition_by: keys could be {longest} bytes long, S3 accepts {MAX_KEY_BYTES}; "
            f"shorten them by {longest - MAX_KEY_BYTES}"
        )
    return faults
