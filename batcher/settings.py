"""Settings: what a user can choose, parsed once, every fault in one message."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from batcher.errors import SettingsError
from batcher.keys.names import Format, max_key_bytes
from batcher.keys.partition import PartitionTemplate
from batcher.limits import (
    MAX_KEY_BYTES,
    MAX_PART_BYTES,
    MAX_TAGS,
    MAX_USER_METADATA_BYTES,
    MIN_PART_BYTES,
)

_SIZE_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", re.IGNORECASE)


_SIZE_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


MIB = 1024 * 1024


ENV_PREFIX = "BATCHER_"


MAX_FANOUT = 65_536


DERIVED: Any = None
"""The default of a setting that follows from other settings."""


COMPRESSION_LEVELS = {"none": (0, 0, 0), "gzip": (0, 1, 9), "zstd": (-7, 1, 19)}
"""Lowest, default and highest level. gzip 0 to 3 are ISA-L's, 4 to 9 zlib's."""


CHOICES: Mapping[str, tuple[str, ...]] = {
    "format": tuple(Format),
    "compression": tuple(COMPRESSION_LEVELS),
    "on_bad_record": ("quarantine", "drop", "fail"),
    "engine": ("aioboto3", "obstore"),
    "sse": ("AES256", "aws:kms", "aws:kms:dsse"),
}


SIZE_SETTINGS = {"max_bytes", "multipart_threshold", "part_size", "budget_bytes"}


BOUNDS: Mapping[str, tuple[float, float]] = {
    "max_bytes": (1, 5 * 1024**4),
    "max_records": (1, 10**9),
    "linger_s": (0, 86_400),
    "fanout": (1, MAX_FANOUT),
    "prefix_rate": (1, 10**6),
    "fleet": (1, 10**6),
    "multipart_threshold": (1, MAX_PART_BYTES),
    "part_size": (MIN_PART_BYTES, MAX_PART_BYTES),
    "concurrency": (1, 1_024),
    "budget_bytes": (1, 1024**4),
    "deadline_margin_s": (0, 900),
}


MAX_INTEGER_BITS = 64


MAX_MEMORY_DIGITS = 9


_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


def setting(help_text: str, default: Any = DERIVED) -> Any:  # noqa: ANN401  # a dataclass field is Any
    """Declare a setting with the text that `--help` and the README show."""
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user can choose; every fault is reported at once, as a `SettingsError`.

    Values may be given as text too, as the environment has them: `64MiB`, `true`, `{"team": "x"}`.
    Peak memory is about `budget_bytes` + 100 to 190 MB, however long the input: the interpreter,
    its libraries, and what the allocator keeps between buffers; see docs/design.md, "Memory".
    """

    bucket: str = setting("where objects go: an S3 bucket, or file:///folder", "")
    root: str = setting("the fixed start of every key", "")
    max_bytes: int = setting(
        "flush a batch at this many payload bytes, newlines counted (default 64MiB)"
    )
    max_records: int | None = setting("flush a batch at this many records (default: no limit)")
    linger_s: float = setting("flush when a batch's oldest record has waited this long", 5.0)
    format: str = setting("ndjson (checked JSON) or lines (bytes as they are)", "ndjson")
    compression: str = setting("gzip, zstd or none", "gzip")
    compression_level: int = setting("gzip 0-9 (0-3 ISA-L, 4-9 zlib), zstd -7-19 (default 1)")
    fanout: int = setting("randomized prefixes under root: a power of two, 1 for no salt", 16)
    prefix_rate: int = setting("most PUTs a second to one prefix", 3500)
    fleet: int = setting("how many processes share that rate", 1)
    partition_by: str = setting(
        "Hive-style path from {arrival:%Y-%m-%d} and {field:customer.id}; empty for none",
        "dt={arrival:%Y-%m-%d}/hour={arrival:%H}",
    )
    multipart_threshold: int = setting(
        "bodies of this many bytes and more go up in parts (default 16MiB)"
    )
    part_size: int = setting("bytes of a part (default 8MiB)")
    concurrency: int = setting("requests in flight", 16)
    budget_bytes: int = setting(
        "all bytes held at once (default 256MiB; in Lambda a third of the function's memory)"
    )
    on_bad_record: str = setting("quarantine, drop or fail", "quarantine")
    partial_response: bool = setting(
        "answer with the failed records; only with ReportBatchItemFailures on the mapping",
        default=False,
    )
    deadline_margin_s: float = setting("answer this long before Lambda would kill", 2.0)
    engine: str = setting(
        "the S3 transport: aioboto3, or obstore with the extra `fast`", "aioboto3"
    )
    sse: str = setting("server-side encryption: AES256, aws:kms or aws:kms:dsse", "")
    kms_key_id: str = setting("the KMS key for sse=aws:kms", "")
    storage_class: str = setting("the storage class of every object", "")
    tags: Mapping[str, str] = setting("tags of every object, as a JSON object")
    metadata: Mapping[str, str] = setting("metadata of every object, as a JSON object")
    content_type: str = setting("Content-Type of every object (default: by format)", "")

    def __post_init__(self) -> None:
        """Parse text, fill in what follows from other settings, and report all faults."""
        faults: list[str] = []
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is None and spec.default is not None:
                faults.append(f"{spec.name}: None is no value; leave it out for the default")
                self._set(spec.name, spec.default)
            elif value is not None:
                self._set(spec.name, self._parse_or_default(spec, value, faults))
        self._derive()
        faults += [*_range_faults(self), *_combination_faults(self)]
        if faults:
            raise SettingsError(faults)

    def _parse_or_default(self, spec: Field[Any], value: object, faults: list[str]) -> object:
        """Parse a value; one that cannot be parsed is a fault, and the default stands in for it."""
        parse = parse_size if spec.name in SIZE_SETTINGS else _PARSERS[str(spec.type)]
        try:
            parsed = parse(value)
        except (TypeError, ValueError, OverflowError) as error:
            faults.append(f"{spec.name}: {error}")
            return spec.default
        if isinstance(parsed, int) and parsed.bit_length() > MAX_INTEGER_BITS:
            # Python does not even show what has 4,300 digits
            faults.append(f"{spec.name}: a number of more than {MAX_INTEGER_BITS} bits")
            return spec.default
        return parsed

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everybody else

    def _derive(self) -> None:
        """Fill in the defaults that give way to what was set."""
        self._set_default("budget_bytes", 256 * MIB)
        budget_bytes = self.budget_bytes
        self._set_default("part_size", max(MIN_PART_BYTES, min(8 * MIB, budget_bytes // 8)))
        self._set_default("multipart_threshold", max(1, min(16 * MIB, budget_bytes // 4)))
        self._set_default("max_bytes", max(1, min(64 * MIB, budget_bytes)))
        self._set_default(
            "compression_level",
            COMPRESSION_LEVELS.get(self.compression, COMPRESSION_LEVELS["gzip"])[1],
        )
        self._set_default("tags", {})
        self._set_default("metadata", {})
        self._set("root", self.root.strip("/"))

    def _set_default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            self._set(name, value)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
        """Read every `BATCHER_*` variable; `overrides`, by setting name, beat them.

        Without an `environ` they are read from the process's own. In Lambda
        (`AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MB, is there) the default budget is a third of the
        function's memory.

        Raises:
            SettingsError: with every fault, unknown `BATCHER_*` names included.
        """
        if environ is None:
            import os  # noqa: PLC0415  # this module is pure but for this

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
                import difflib  # noqa: PLC0415  # only for a typing error

                near = difflib.get_close_matches(name, names, 1)
                hint = f"; did you mean {ENV_PREFIX}{near[0].upper()}?" if near else ""
                faults.append(f"{variable} is no setting of batcher{hint}")
        values |= overrides
        memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        if memory_mb.isdecimal() and len(memory_mb) <= MAX_MEMORY_DIGITS:
            values.setdefault("budget_bytes", min(256 * MIB, int(memory_mb) * MIB // 3))
        try:
            settings = cls(**values)
        except SettingsError as error:
            raise SettingsError([*faults, *error.faults]) from None
        if faults:
            raise SettingsError(faults)
        return settings


def _parse_text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"expected text, got {value!r}"
        raise TypeError(msg)
    return value


def _parse_number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # a TypeError is what we want of all else
    except ValueError:
        msg = f"expected a number, without a unit (times are in seconds), got {value!r}"
        raise ValueError(msg) from None


def _parse_whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        msg = f"expected a whole number, got {value!r}"
        raise TypeError(msg)
    return int(value)


def _parse_whole_or_none(value: object) -> int | None:
    if isinstance(value, str) and value.strip().lower() in {"", "none"}:
        return None
    return _parse_whole(value)


def _parse_boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        msg = f"expected true or false, got {value!r}"
        raise ValueError(msg)
    return text in _TRUE


def _parse_text_map(value: object) -> dict[str, str]:
    if isinstance(value, str):
        import orjson  # noqa: PLC0415  # only where tags or metadata come as text

        value = orjson.loads(value or "{}")
    if not isinstance(value, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in value.items()
    ):
        msg = f"expected a JSON object of strings, got {value!r}"
        raise TypeError(msg)
    return dict(value)


_PARSERS: Mapping[str, Callable[[Any], object]] = {
    "str": _parse_text,
    "float": _parse_number,
    "int": _parse_whole,
    "int | None": _parse_whole_or_none,
    "bool": _parse_boolean,
    "Mapping[str, str]": _parse_text_map,
}


def _range_faults(settings: Settings) -> list[str]:
    """Judge every setting by itself."""
    faults = []
    for name, (low, high) in BOUNDS.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            faults.append(f"{name}: {value} is outside {low} to {high}")
    for name, choices in CHOICES.items():
        value = getattr(settings, name)
        if value not in choices and not (name == "sse" and value == ""):
            faults.append(f"{name}: {value!r} is none of {', '.join(choices)}")
    if settings.fanout & (settings.fanout - 1):
        faults.append(f"fanout: {settings.fanout} is not a power of two")
    faults += [*_name_faults(settings), *_object_faults(settings)]
    low, _, high = COMPRESSION_LEVELS.get(settings.compression, COMPRESSION_LEVELS["gzip"])
    has_levels = settings.compression in COMPRESSION_LEVELS and settings.compression != "none"
    if has_levels and not low <= settings.compression_level <= high:
        faults.append(
            f"compression_level: {settings.compression_level} is outside {low} to {high}, "
            f"the levels of {settings.compression}"
        )
    faults += [
        f"partition_by: {fault}" for fault in PartitionTemplate.find_faults(settings.partition_by)
    ]
    return faults


def _name_faults(settings: Settings) -> list[str]:
    faults = []
    bucket, root = settings.bucket, settings.root
    if not bucket:
        faults.append("bucket: required; the S3 bucket to write to")
    elif bucket.startswith("s3://") or ("/" in bucket and not bucket.startswith(("file:", "arn:"))):
        faults.append(f"bucket: {bucket!r} is no bucket's name; put the rest in root")
    elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-_]{2,62}|arn:\S+|file:.+", bucket):
        faults.append(f"bucket: {bucket!r} is no bucket's name: 3 to 63 of a-z, 0-9, '.' and '-'")
    if not root.isprintable() or any(part in {"", ".", ".."} for part in root.split("/") if root):
        faults.append(f"root: {root!r} has empty, '.', '..' or unprintable parts")
    elif "_quarantine" in root.split("/"):
        faults.append(f"root: {root!r} has a part _quarantine, which is batcher's own")
    if settings.kms_key_id and not settings.sse.startswith("aws:kms"):
        faults.append("kms_key_id: needs sse=aws:kms or aws:kms:dsse")
    return faults


def _object_faults(settings: Settings) -> list[str]:
    """Judge what every object carries."""
    faults = []
    if not settings.content_type.isprintable():
        faults.append(f"content_type: {settings.content_type!r} must be printable")
    if len(settings.tags) > MAX_TAGS:
        faults.append(f"tags: {len(settings.tags)} of them; S3 takes {MAX_TAGS} an object")
    size = sum(
        len(f"{k}{v}".encode("utf-8", "surrogatepass")) for k, v in settings.metadata.items()
    )
    if size > MAX_USER_METADATA_BYTES:
        faults.append(f"metadata: {size} bytes; at most {MAX_USER_METADATA_BYTES}")
    for name, value in settings.metadata.items():
        if not (name + value).isascii() or not (name + value).isprintable() or not name.strip():
            faults.append(f"metadata: {name!r} must be printable ASCII, name and value")
        elif name.lower().startswith("batcher-"):
            faults.append(f"metadata: {name!r}: names that start with batcher- are batcher's own")
    return faults


def _combination_faults(settings: Settings) -> list[str]:
    """Judge settings that must fit together; defaults have given way before."""
    faults = []
    needed = settings.multipart_threshold + 2 * settings.part_size
    if settings.budget_bytes < min(settings.max_bytes, needed):
        faults.append(
            f"max_bytes: {settings.max_bytes} is over budget_bytes ({settings.budget_bytes}), "
            f"which streaming in parts allows only from a budget of {needed} on"
        )
    if PartitionTemplate.find_faults(settings.partition_by):
        return faults
    template = PartitionTemplate(settings.partition_by)
    if settings.fanout == 1 and not template.is_first_folder_safe:
        faults.append(
            f"partition_by: with fanout=1 the first folder of {settings.partition_by!r} could be "
            "one of batcher's own (_quarantine, salts); start it with a name, as in day={...}"
        )
    longest = max_key_bytes(settings.root, settings.fanout, template.max_bytes)
    if longest > MAX_KEY_BYTES:
        faults.append(
            f"root, partition_by: keys could be {longest} bytes long; S3 takes {MAX_KEY_BYTES}, "
            f"so shorten them by {longest - MAX_KEY_BYTES}"
        )
    return faults


def parse_size(value: object) -> int:
    """Return the bytes of `64MiB` (binary), `10MB` (decimal), `4096` or a whole number.

    Raises:
        ValueError: it is none of these, or not a whole number of bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE_PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[3] and not match[2]):
        msg = f"expected a size such as 64MiB, 10MB or bytes, got {value!r}"
        raise ValueError(msg)
    base = 1024 if match[3] else 1000
    from fractions import Fraction  # noqa: PLC0415  # sizes come as text seldom

    size = Fraction(match[1]) * base ** _SIZE_POWERS[match[2].lower()]
    if size.denominator != 1:
        msg = f"{value!r} is not a whole number of bytes"
        raise ValueError(msg)
    return int(size)
