"""docs/reference/settings.md, from the declarations in `batcher.settings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any

from batcher.cli.options import describe_default
from batcher.settings import (
    COMPRESSION_LEVELS,
    ENV_PREFIX,
    MAX_FANOUT,
    MIB,
    TIB,
    Between,
    OneOf,
    Settings,
    parse_size,
)
from generate.markdown import escape, make_table

TYPES = {
    "bool": "`true` or `false`",
    "float": "number",
    "int": "whole number",
    "int | None": "whole number or `none`",
    "Mapping[str, str]": "JSON object of strings",
}
"""How a value is written, by the type of the setting. Others are text."""

CHECKED = {
    "_check_bucket": "name of a bucket, ARN of an access point, or `file:///folder`",
    "_check_root": "path without empty, `.` and `..` parts, and without `_quarantine`",
    "_check_fanout": f"a power of two, 1 to {MAX_FANOUT:,}",
    "_check_region": "name of a region",
    "_check_endpoint_url": "`http(s)://host[:port]`",
    "_check_role_arn": "ARN of a role",
    "_check_external_id": "2 to 1,224 of A-Z, a-z, 0-9 and `_+=,.@:/-`",
    "_check_account": "12 digits",
    "_check_content_type": "printable text",
    "_check_tags": "JSON object of strings, at most 10",
    "_check_metadata": "JSON object of strings in ASCII, at most 2 KB",
    "find_faults": "template; see [Keys](keys.md)",
}
"""What the other checks accept, by their names."""

NOTES = {
    "linger_s": "0 flushes at each submit",
    "format": "objects end in `.ndjson` or `.txt`",
    "prefix_rate": "lowered automatically while S3 throttles a prefix",
    "on_bad_record": "`fail`: it is redelivered, and its ticket raises",
    "max_bytes": "never exceeded",
    "role_arn": "see [Cross-account](../how-to/cross-account.md)",
    "expected_bucket_owner": "sent with every request",
    "fanout": "see [Prefixes](../prefixes.md)",
}
"""What the help of the command line has no room for."""

LEVELS = "; ".join(
    f"`{name}`: {low} to {high}"
    for name, (low, _, high) in COMPRESSION_LEVELS.items()
    if low != high
)


def make_settings() -> str:
    """Return one table per group."""
    groups: dict[str, list[Field[Any]]] = {}
    for spec in fields(Settings):
        groups.setdefault(spec.metadata["group"], []).append(spec)
    return "\n".join(
        f"## {group}\n\n{make_table(HEAD, map(_to_row, specs))}" for group, specs in groups.items()
    )


HEAD = ("setting", "default", "values", "meaning")


def _to_row(spec: Field[Any]) -> tuple[str, str, str, str]:
    default = describe_default(spec)
    name = f"`{spec.name}`<br>`{ENV_PREFIX}{spec.name.upper()}`"
    if spec.name == "bucket":
        shown = "required"
    else:
        value, mark, condition = default.partition(next(filter(default.count, ",;"), ","))
        shown = f"`{value}`{mark}{condition}" if value else "empty"
    meaning = "; ".join(filter(None, [escape(spec.metadata["help"]), NOTES.get(spec.name)]))
    return name, shown, _describe_values(spec), meaning


def _describe_values(spec: Field[Any]) -> str:
    check = spec.metadata["check"]
    if spec.name == "compression_level":
        return f"whole number; {LEVELS}"
    if isinstance(check, OneOf):
        return ", ".join(f"`{choice}`" for choice in check.choices if choice)
    kind = "size" if spec.metadata["parse"] is parse_size else TYPES.get(str(spec.type), "text")
    if isinstance(check, Between):
        show = _size if kind == "size" else _number
        return f"{kind}, {show(check.low)} to {show(check.high)}"
    return kind if check is None else CHECKED[check.__name__]


def _size(value: float) -> str:
    for unit, factor in (("TiB", TIB), ("GiB", 1024 * MIB), ("MiB", MIB)):
        if value >= factor and value % factor == 0:
            return f"{value // factor:.0f} {unit}"
    return f"{value:,.0f}"


def _number(value: float) -> str:
    return f"{value:,.0f}"


PARTS: Mapping[str, Callable[[], str]] = {"settings": make_settings}
