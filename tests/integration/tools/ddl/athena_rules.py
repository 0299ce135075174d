"""What Amazon's guide says of partition projection, as checks of a statement that was parsed.

Source: Amazon Athena user guide: "Supported types for partition projection", "Set up partition
projection" (storage.location.template), "OpenX JSON SerDe", "Regex SerDe".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

import sqlglot
from sqlglot import exp

REQUIRED: Mapping[str, set[str]] = {
    "enum": {"values"},
    "integer": {"range"},
    "date": {"range", "format"},
    "injected": set(),
}
OPTIONAL: Mapping[str, set[str]] = {
    "enum": set(),
    "integer": {"interval", "digits"},
    "date": {"interval", "interval.unit"},
    "injected": set(),
}
UNITS = {"YEARS", "MONTHS", "WEEKS", "DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS"}
RELATIVE = re.compile(
    r"\s*NOW\s*(([\+\-])\s*([0-9]+)\s*(YEARS?|MONTHS?|WEEKS?|DAYS?|HOURS?|MINUTES?|SECONDS?)\s*)?"
)
SERDES = {
    "org.openx.data.jsonserde.JsonSerDe": r"ignore\.malformed\.json|mapping\.[a-z0-9_]+",
    "org.apache.hadoop.hive.serde2.RegexSerDe": r"input\.regex",
}
JAVA = (("yyyy", "%Y"), ("DDD", "%j"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("mm", "%M"))
MOST_BYTES = 262_144
"""Athena takes no longer statement."""
STEP = timedelta(hours=1)


@dataclass(frozen=True)
class Statement:
    """One CREATE EXTERNAL TABLE, taken apart."""

    name: str
    columns: dict[str, str]
    partitions: dict[str, str]
    properties: dict[str, str]
    serde: str
    serde_properties: dict[str, str]
    location: str

    @property
    def template(self) -> str:
        """Where each partition lies."""
        return self.properties["storage.location.template"]

    def projection(self, column: str) -> dict[str, str]:
        """Return the properties of one partition's column."""
        start = f"projection.{column}."
        return {
            name.removeprefix(start): value
            for name, value in self.properties.items()
            if name.startswith(start)
        }

    def folders(self, since: datetime, now: datetime, given: Mapping[str, str]) -> Iterator[str]:
        """Get every folder that a query looks into which has these values for injected columns."""
        values = [
            [given[column]] if column in given else list(self.values(column, since, now))
            for column in self.partitions
        ]
        for chosen in product(*values):
            folder = self.template
            for column, value in zip(self.partitions, chosen, strict=True):
                folder = folder.replace(f"${{{column}}}", value)
            yield folder

    def values(self, column: str, since: datetime, now: datetime) -> set[str]:
        """Return all values that Athena makes for a column."""
        told = self.projection(column)
        match told["type"]:
            case "enum":
                return set(told["values"].split(","))
            case "integer":
                low, high = map(int, told["range"].split(","))
                return {f"{n:0{told.get('digits', '0')}d}" for n in range(low, high + 1)}
            case "date":
                form = as_strftime(told["format"])
                hours = int((now - since) / STEP) + 1
                return {(since + n * STEP).strftime(form) for n in range(hours)}
        raise AssertionError(told)


def as_strftime(pattern: str) -> str:
    """Read a pattern of `java.time.format.DateTimeFormatter`."""
    for java, ours in JAVA:
        pattern = pattern.replace(java, ours)
    rest = re.sub(r"%.|'[^']*'", "", pattern)
    assert not re.search(r"[A-Za-z\[\]{}#']", rest), f"a letter is a field unless quoted: {pattern}"
    return pattern.replace("'", "")


def parse(text: str) -> list[exp.Expr]:
    """Parse statements as Athena has them; each must be one that sqlglot understands whole."""
    statements = [found for found in sqlglot.parse(text, dialect="athena") if found is not None]
    assert not any(found.find(exp.Command) for found in statements), text
    return statements


def table(statement: exp.Expr) -> Statement:
    """Take one table's statement apart, and hold it against the guide."""
    assert isinstance(statement, exp.Create)
    assert statement.kind == "TABLE"
    assert len(statement.sql(dialect="athena").encode()) <= MOST_BYTES
    properties = statement.args["properties"].expressions
    assert any(isinstance(found, exp.ExternalProperty) for found in properties)
    by = [found for found in properties if isinstance(found, exp.PartitionedByProperty)]
    (row,) = [found for found in properties if isinstance(found, exp.RowFormatSerdeProperty)]
    (location,) = [found for found in properties if isinstance(found, exp.LocationProperty)]
    told = [found for found in properties if type(found) is exp.Property]
    read = Statement(
        name=statement.this.this.sql(dialect="hive").replace("`", ""),
        columns=_columns(statement.this.expressions),
        partitions=_columns(by[0].this.expressions) if by else {},
        properties={found.this.name: found.args["value"].name for found in told},
        serde=row.this.name,
        serde_properties={
            found.this.name: found.args["value"].name
            for found in row.args["serde_properties"].expressions
        },
        location=location.this.name,
    )
    hold(read)
    return read


def hold(read: Statement) -> None:
    """Hold a statement against the guide."""
    names = [*read.columns, *read.partitions]
    assert len(set(names)) == len(names), f"a column is there twice: {names}"
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in names), names
    assert set(read.partitions.values()) <= {"STRING"}
    for name in read.serde_properties:
        assert re.fullmatch(SERDES[read.serde], name), name
        mapped = name.removeprefix("mapping.")
        assert mapped == name or mapped in read.columns
    assert read.location.startswith("s3://")
    assert read.location.endswith("/")
    if not read.partitions:
        assert read.properties == {}
        return
    assert read.properties["projection.enabled"] == "true"
    known = {"projection.enabled", "storage.location.template"}
    for column in read.partitions:
        told = read.projection(column)
        kind = told["type"]
        assert REQUIRED[kind] <= told.keys() - {"type"} <= REQUIRED[kind] | OPTIONAL[kind], column
        known |= {f"projection.{column}.{name}" for name in told}
        hold_values(kind, told)
        assert f"${{{column}}}/" in read.template, f"{column} is not followed by a slash"
    assert read.properties.keys() == known
    assert set(re.findall(r"\$\{([^}]*)\}", read.template)) == set(read.partitions)
    assert read.template.startswith(read.location)
    assert read.template.endswith("/")


def hold_values(kind: str, told: Mapping[str, str]) -> None:
    """Hold the values of one column's properties against the guide."""
    if kind == "enum":
        values = told["values"].split(",")
        assert len(set(values)) == len(values)
        assert all(value and value == value.strip() for value in values)
    if kind == "integer":
        low, high = map(int, told["range"].split(","))
        assert low <= high
        assert int(told.get("digits", "1")) > 0
    if kind == "date":
        first, last = told["range"].split(",")
        assert RELATIVE.fullmatch(last)
        if not RELATIVE.fullmatch(first):
            datetime.strptime(first, as_strftime(told["format"])).replace(tzinfo=UTC)
        assert told["interval.unit"] in UNITS
        assert int(told["interval"]) > 0


def _columns(definitions: list[exp.Expr]) -> dict[str, str]:
    """Return names and types; a name that is there twice is a fault."""
    pairs = [(found.name, found.args["kind"].sql(dialect="hive")) for found in definitions]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)
