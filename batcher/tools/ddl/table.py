"""Table: everything that the text for an engine is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from batcher.errors import SettingsError
from batcher.keys.names import COMPRESSION_SUFFIXES, FORMAT_EXTENSIONS, Format
from batcher.keys.partition import escape_value
from batcher.settings import MAX_FANOUT, Settings
from batcher.tools.ddl.columns import TableColumn, require_distinct
from batcher.tools.ddl.folders import PartitionFolder, parse_folders, to_column_name

RECORD_COLUMN = "record"
"""The one column of a table without declared ones: a record as it is, or a line."""


SALT_COLUMN = "salt"


MANY_SALTS = 64
"""With more of them, looking through all takes a great many requests."""


_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")


_KEY_VALUE = re.compile(r"[A-Za-z0-9._=~%-]+")
"""What a value can be in a key."""


_BIT_PATTERN = "[01]"


@dataclass(frozen=True, slots=True)
class PartitionColumn:
    """One folder of every path; a column of the table unless it is always the same."""

    folder: PartitionFolder
    name: str
    """The column's name; empty where the folder is always the same."""
    values: tuple[str, ...] = ()
    """All values that it can have, as they stand in keys; empty where they are not known."""


@dataclass(frozen=True, slots=True)
class PathLayout:
    """Objects whose paths have the same shape; a changed fanout leaves two of them at most."""

    salt_bits: tuple[int, ...]
    """How long salts can be; empty for objects without one."""

    @property
    def salts(self) -> list[str]:
        """All salts there can be."""
        return [format(n, f"0{bits}b") for bits in self.salt_bits for n in range(1 << bits)]


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """What lies under a root, as a table."""

    name: str
    scheme: str
    """`s3` or `file`."""
    path: str
    """`bucket/root`, or a folder; without a slash at its end."""
    extension: str
    """What every object's name ends with."""
    compression: str
    is_json: bool
    columns: tuple[TableColumn, ...]
    """Empty for one column, `record`."""
    partitions: tuple[PartitionColumn, ...]
    salt: str
    """What the salt's column is called; empty where there is none."""
    layouts: tuple[PathLayout, ...]
    since: date | None = None
    """The first day that is looked for, where an engine must be told; None for a year ago."""

    @property
    def partition_columns(self) -> list[PartitionColumn]:
        """The partitions that are columns."""
        return [partition for partition in self.partitions if partition.name]

    @property
    def salts(self) -> list[str]:
        """All salts there can be."""
        return [salt for layout in self.layouts for salt in layout.salts]

    def globs(self, layout: PathLayout, root: str) -> list[str]:
        """Return a glob for each length of salt: of this layout's objects, and of nothing else.

        Args:
            layout: one of the table's.
            root: what the engine calls the root, none of its characters taken for a glob's.
        """
        folders = [partition.folder.glob for partition in self.partitions]
        starts = [[_BIT_PATTERN * bits] for bits in layout.salt_bits] or [[]]
        return ["/".join([root, *start, *folders, f"*{self.extension}"]) for start in starts]

    def group_names(self, layout: PathLayout) -> list[str]:
        """Name the groups of `pattern`: the salt's column, if it has one, then the partitions'."""
        return [
            *([self.salt] if layout.salt_bits else []),
            *(p.name for p in self.partition_columns),
        ]

    def path_pattern(self, layout: PathLayout) -> str:
        """Return regular expression for the end of a path: the salt, then each value, as groups."""
        salt = "|".join(f"{_BIT_PATTERN}{{{bits}}}" for bits in layout.salt_bits)
        folders = [partition.folder.pattern for partition in self.partitions]
        return "/".join([*([f"({salt})"] if salt else []), *folders, "[^/]+"]) + "$"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """What a user says of a table beyond the settings that its objects are written with."""

    name: str = ""
    """With its database, if need be; by default after the root's last folder."""
    columns: Sequence[TableColumn] = ()
    """The record's fields that become columns; none for one column, `record`."""
    fanouts: Sequence[int] = ()
    """All that were ever used; by default that of the settings."""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All values a partition's column can have, as records have them, by the column's name."""
    since: date | None = None
    """The first day there is, for engines that must be told."""


def define_table(
    settings: Settings, location: tuple[str, str], options: TableOptions
) -> TableDefinition:
    """Describe what batcher writes with these settings as a table.

    Args:
        settings: those it is written with.
        place: the scheme, `s3` or `file`, and the path, `bucket/root` or a folder.
        wanted: what the table is to be.

    Raises:
        SettingsError: with every fault.
    """
    scheme, path = location
    path = path.rstrip("/")
    faults = []
    if options.name and not _TABLE_NAME.fullmatch(options.name):
        faults.append(
            f"table: {options.name!r} is no name: use a-z, 0-9 and '_', as in lake.events"
        )
    if settings.bucket.startswith("arn:"):
        faults.append("bucket: no engine reads an ARN; give the access point's alias")
    if options.columns and settings.format != Format.NDJSON:
        faults.append("columns: lines have none; only ndjson does")
    bits, odd = _salt_bits(options.fanouts or [settings.fanout])
    faults += odd
    columns = require_distinct(options.columns)
    taken = {RECORD_COLUMN, *(column.name.lower() for column in columns)}
    salt = _unused_name(SALT_COLUMN, taken) if any(bits) else ""
    partitions, unknown = _partitions(settings.partition_by, taken, dict(options.values))
    faults += unknown
    if faults:
        raise SettingsError(faults)
    salted = [PathLayout(tuple(bit for bit in bits if bit))] if any(bits) else []
    return TableDefinition(
        name=options.name or to_column_name(path.rpartition("/")[2]),
        scheme=scheme,
        path=path,
        extension=FORMAT_EXTENSIONS[Format(settings.format)]
        + COMPRESSION_SUFFIXES[settings.compression],
        compression=settings.compression,
        is_json=settings.format == Format.NDJSON,
        columns=columns,
        partitions=partitions,
        salt=salt,
        layouts=(*salted, *([PathLayout(())] if 0 in bits else [])),
        since=options.since,
    )


def _salt_bits(fanouts: Sequence[int]) -> tuple[list[int], list[str]]:
    """Return how long the salts of these fanouts are, and what is wrong with them."""
    wrong = sorted({n for n in fanouts if not 1 <= n <= MAX_FANOUT or n & (n - 1)})
    faults = [f"fanouts: {n} is no power of two from 1 to {MAX_FANOUT}" for n in wrong]
    return sorted({n.bit_length() - 1 for n in fanouts if n not in wrong}), faults


def _partitions(
    partition_by: str, taken: set[str], values: dict[str, Sequence[str]]
) -> tuple[tuple[PartitionColumn, ...], list[str]]:
    """Name each folder's column, by a name that no other column has."""
    partitions, odd = [], []
    for folder in parse_folders(partition_by):
        name = _unused_name(folder.name, taken) if folder.value_pieces else ""
        given = values.pop(name, ()) if name else ()
        known = tuple(escape_value(value) if folder.is_field else value for value in given)
        odd += [
            f"values: no key holds {value!r}" for value in known if not _KEY_VALUE.fullmatch(value)
        ]
        partitions.append(PartitionColumn(folder, name, known))
    names = ", ".join(partition.name for partition in partitions if partition.name) or "none"
    odd += [f"values: {name!r} is no partition's column; there is {names}" for name in values]
    return tuple(partitions), odd


def _unused_name(name: str, taken: set[str]) -> str:
    """Return the name, or one like it that is free yet; it is taken then."""
    candidates = [name, f"partition_{name}", *(f"partition_{name}_{n}" for n in range(2, 1_000))]
    free = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(free)
    return free


@dataclass(frozen=True, slots=True)
class EngineScript:
    """Text for one engine."""

    text: str
    """Statements or a program, to be run as they are; ends with a newline."""
    notes: tuple[str, ...] = ()
    """What to know of it, a sentence or two each."""
