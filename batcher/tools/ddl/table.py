"""Table: the objects under a root, described as the table that an engine script defines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from batcher.errors import SettingsError
from batcher.keys.object_format import data_suffix
from batcher.keys.partition import escape_value
from batcher.settings import MAX_FANOUT, Settings
from batcher.tools.ddl.columns import TableColumn, require_distinct
from batcher.tools.ddl.folders import PartitionFolder, parse_folders, to_column_name

RECORD_COLUMN = "record"
"""The only column of a table without declared columns: the text of a record or line."""

SALT_COLUMN = "salt"

MANY_SALTS = 64
"""More salts than this need many requests per query."""

_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")

_KEY_VALUE = re.compile(r"[A-Za-z0-9._=~%-]+")
"""A partition value as it can occur in a key."""

_BIT_PATTERN = "[01]"


@dataclass(frozen=True, slots=True)
class PartitionColumn:
    """One folder of every path. It is a column of the table unless its name is constant."""

    folder: PartitionFolder
    name: str
    """The column's name. Empty if the folder is constant."""
    values: tuple[str, ...] = ()
    """All possible values, as they occur in keys. Empty if they are unknown."""


@dataclass(frozen=True, slots=True)
class PathLayout:
    """Paths of one shape, with or without a salt. A changed fanout leaves at most two shapes."""

    salt_bits: tuple[int, ...]
    """Possible lengths of salts. Empty for objects without a salt."""

    @property
    def salts(self) -> list[str]:
        """All possible salts."""
        return [format(n, f"0{bits}b") for bits in self.salt_bits for n in range(1 << bits)]


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """The objects under a root, as a table."""

    name: str
    scheme: str
    """`s3` or `file`."""
    path: str
    """`bucket/root` or a folder, without a trailing slash."""
    extension: str
    """The end of every object's name."""
    compression: str
    is_json: bool
    columns: tuple[TableColumn, ...]
    """Empty for the only column `record`."""
    partitions: tuple[PartitionColumn, ...]
    salt: str
    """The name of the salt's column. Empty if there is no salt."""
    layouts: tuple[PathLayout, ...]
    region: str = ""
    """The region of the bucket. Empty: that of the environment."""
    endpoint_url: str = ""
    """The S3 endpoint. Empty: that of the environment."""
    since: date | None = None
    """The first day, for engines that need one. None: one year before each query."""

    @property
    def partition_columns(self) -> list[PartitionColumn]:
        """The partitions that are columns of the table."""
        return [partition for partition in self.partitions if partition.name]

    @property
    def salts(self) -> list[str]:
        """All possible salts."""
        return [salt for layout in self.layouts for salt in layout.salts]

    def globs(self, layout: PathLayout, root: str) -> list[str]:
        """Return a glob per length of salt, which matches objects of this layout only.

        Args:
            layout: one of the table's layouts.
            root: the root as the engine writes it, with the special characters of globs escaped.
        """
        folders = [partition.folder.glob for partition in self.partitions]
        starts = [[_BIT_PATTERN * bits] for bits in layout.salt_bits] or [[]]
        return ["/".join([root, *start, *folders, f"*{self.extension}"]) for start in starts]

    def group_names(self, layout: PathLayout) -> list[str]:
        """Return the columns of the groups of `path_pattern`: the salt, if any, then partitions."""
        return [
            *([self.salt] if layout.salt_bits else []),
            *(p.name for p in self.partition_columns),
        ]

    def path_pattern(self, layout: PathLayout) -> str:
        """Return a regular expression for the end of a path, with groups for salt and values."""
        salt = "|".join(f"{_BIT_PATTERN}{{{bits}}}" for bits in layout.salt_bits)
        folders = [partition.folder.pattern for partition in self.partitions]
        return "/".join([*([f"({salt})"] if salt else []), *folders, "[^/]+"]) + "$"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """The user's choices for a table, in addition to the settings of the writer."""

    name: str = ""
    """The table's name, optionally with its database. Default: the root's last folder."""
    columns: Sequence[TableColumn] = ()
    """Fields of the records that become columns. None: the only column is `record`."""
    fanouts: Sequence[int] = ()
    """All fanouts that were ever used. Default: the fanout of the settings."""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All possible values per partition column, as the records have them."""
    since: date | None = None
    """The first day with data, for engines that need one."""


@dataclass(frozen=True, slots=True)
class EngineScript:
    """The script for one engine."""

    text: str
    """Statements or a program that run unchanged. Ends with a newline."""
    notes: tuple[str, ...] = ()
    """Limits of the script, one or two sentences each."""


def define_table(
    settings: Settings, location: tuple[str, str], options: TableOptions
) -> TableDefinition:
    """Return the definition of the table of what batcher writes with these settings.

    Args:
        settings: the settings of the writer.
        location: the scheme, `s3` or `file`, and the path, `bucket/root` or a folder.
        options: the user's choices.

    Raises:
        SettingsError: settings or options do not allow a table; names all faults.
    """
    scheme, path = location
    path = path.rstrip("/")
    faults = []
    if options.name and not _TABLE_NAME.fullmatch(options.name):
        faults.append(
            f"table: {options.name!r} is not a valid name; use a-z, 0-9 and '_', as in lake.events"
        )
    if settings.bucket.startswith("arn:"):
        faults.append("bucket: engines cannot read an ARN; use the alias of the access point")
    if options.columns and settings.format != "ndjson":
        faults.append(
            "columns: records of format lines have no fields; leave it out, or use format ndjson"
        )
    bits, bit_faults = _salt_bits(options.fanouts or [settings.fanout])
    faults += bit_faults
    columns = require_distinct(options.columns)
    taken = {RECORD_COLUMN, *(column.name.lower() for column in columns)}
    salt = _unused_name(SALT_COLUMN, taken) if any(bits) else ""
    partitions, partition_faults = _partitions(settings.partition_by, taken, dict(options.values))
    faults += partition_faults
    if faults:
        raise SettingsError(faults)
    salted = [PathLayout(tuple(bit for bit in bits if bit))] if any(bits) else []
    return TableDefinition(
        name=options.name or to_column_name(path.rpartition("/")[2]),
        scheme=scheme,
        path=path,
        extension=data_suffix(settings.format, settings.compression),
        compression=settings.compression,
        is_json=settings.format == "ndjson",
        columns=columns,
        partitions=partitions,
        salt=salt,
        layouts=(*salted, *([PathLayout(())] if 0 in bits else [])),
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        since=options.since,
    )


def _salt_bits(fanouts: Sequence[int]) -> tuple[list[int], list[str]]:
    """Return the lengths of the salts of these fanouts, and the faults of the fanouts."""
    wrong = sorted({n for n in fanouts if not 1 <= n <= MAX_FANOUT or n & (n - 1)})
    faults = [f"fanouts: {n} is not a power of two from 1 to {MAX_FANOUT}" for n in wrong]
    return sorted({n.bit_length() - 1 for n in fanouts if n not in wrong}), faults


def _partitions(
    partition_by: str, taken: set[str], values: dict[str, Sequence[str]]
) -> tuple[tuple[PartitionColumn, ...], list[str]]:
    """Return a column per folder, with names that no other column has, and all faults."""
    partitions, faults = [], []
    for folder in parse_folders(partition_by):
        name = _unused_name(folder.name, taken) if folder.value_pieces else ""
        given = values.pop(name, ()) if name else ()
        known = tuple(escape_value(value) if folder.is_field else value for value in given)
        faults += [
            f"values: {value!r} cannot occur in a key"
            for value in known
            if not _KEY_VALUE.fullmatch(value)
        ]
        partitions.append(PartitionColumn(folder, name, known))
    names = ", ".join(partition.name for partition in partitions if partition.name) or "none"
    faults += [
        f"values: {name!r} is not a partition column; the partition columns are: {names}"
        for name in values
    ]
    return tuple(partitions), faults


def _unused_name(name: str, taken: set[str]) -> str:
    """Return `name`, or a similar name that is not in `taken`, and add it to `taken`."""
    candidates = [name, f"partition_{name}", *(f"partition_{name}_{n}" for n in range(2, 1_000))]
    free = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(free)
    return free
