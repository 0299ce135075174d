"""pyarrow: a program whose `scan` reads only objects in the selected partitions."""

from __future__ import annotations

from batcher.tools.ddl.columns import ArrayType, ColumnType, StructType
from batcher.tools.ddl.table import MANY_SALTS, RECORD_COLUMN, EngineScript, TableDefinition

_TYPES = {
    "boolean": "pa.bool_()",
    "int": "pa.int32()",
    "bigint": "pa.int64()",
    "double": "pa.float64()",
    "string": "pa.string()",
}

_S3_SETUP = """\
fs.S3FileSystem(  # credentials of the AWS tools; fs.resolve_s3_region(bucket) finds the region
    region={region},
    endpoint_override={endpoint},
)"""
_REGION = 'os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")'
_ENDPOINT = 'os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")'

_PROGRAM = '''\
{imports}
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from pyarrow import fs

FILES = {files}
ROOT = {root!r}
COLUMNS = pa.schema([{columns}])
PARTITIONS = {partitions!r}
LAYOUTS = [  # the salts under the root, and the pattern of the paths below them
{layouts}]
ENCODED = {encoded!r}  # partitions by a field of the records


def objects(under=""):
    """List the objects and their partitions: all, or those in a folder such as dt=2026-11-23."""
    rows = []
    for salts, pattern in LAYOUTS:
        for salt in salts:
            folder = "/".join(filter(None, [ROOT, salt, under]))
            selector = fs.FileSelector(folder, allow_not_found=True, recursive=True)
            for info in FILES.get_file_info(selector):
                match = pattern.fullmatch(info.path[len(ROOT) + 1 :])
                if match and info.is_file:
                    values = [salt] * (len(PARTITIONS) - len(match.groups())) + list(match.groups())
                    rows.append([info.path, *map(decode, PARTITIONS, values)])
    names = ["path", *PARTITIONS]
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    return pa.table([pa.array(column, pa.string()) for column in columns], names)


def decode(name, text):
    """Return a partition's value; values of fields are decoded unless they were truncated."""
    return unquote(text) if name in ENCODED and "~" not in text else text


def scan(where=None, under=""):
    """Read the records of objects whose partitions match `where`, object by object.

    scan(pc.field("{example}") == "…").read_all() is a table; iterate over scan(…) for batches.
    """
    selected = objects(under)
    if where is not None:
        selected = selected.filter(where)
    added = [pa.field(name, pa.string()) for name in PARTITIONS]

    def batches():
        for row in selected.to_pylist():
            with FILES.open_input_stream(row["path"], compression="detect") as body:
                table = read(body)
            for field in added:
                values = pa.repeat(pa.scalar(row[field.name], field.type), len(table))
                table = table.append_column(field, values)
            yield from table.to_batches()

    return pa.RecordBatchReader.from_batches(pa.schema([*COLUMNS, *added]), batches())


def read(body):
    """Read one object."""
    text = body.read()
    if not text:  # a guard has no records
        return COLUMNS.empty_table()
{read}'''

_READ_TEXT = """\
    lines = text.removesuffix(b"\\n").split(b"\\n")
    return pa.table([pa.array(lines, COLUMNS.types[0])], COLUMNS)
"""

_READ_JSON = """\
    blocks = pa.json.ReadOptions(block_size=16 * 1024**2)
    fields = pa.json.ParseOptions(explicit_schema=COLUMNS, unexpected_field_behavior="ignore")
    try:
        return pa.json.read_json(pa.BufferReader(text), blocks, fields).select(COLUMNS.names)
    except pa.ArrowInvalid:  # a value that is not text in a column of text, or a longer record
        return read_exactly(text)


class Number(str):
    \"\"\"A number with all of its digits.\"\"\"


def read_exactly(text):
    \"\"\"Read records one by one. A column of text takes every value, as JSON.\"\"\"
    columns = [[] for _ in COLUMNS]
    for line in text.removesuffix(b"\\n").split(b"\\n"):
        record = json.loads(line, parse_int=Number, parse_float=Number)
        fields = record if isinstance(record, dict) else {}
        for column, field in zip(columns, COLUMNS, strict=True):
            column.append(convert(fields.get(field.name), field.type, field.name))
    return pa.table([pa.array(c, t) for c, t in zip(columns, COLUMNS.types, strict=True)], COLUMNS)


def convert(value, kind, name):
    \"\"\"Return a value as its column has it.\"\"\"
    types = pa.types
    if value is None:
        return None
    if types.is_string(kind):
        plain = value if isinstance(value, str) else to_json(value)
        return plain.encode("utf-8", "backslashreplace").decode()
    if types.is_boolean(kind) and isinstance(value, bool):
        return value
    if types.is_integer(kind) and isinstance(value, Number) and value.lstrip("-").isdecimal():
        return int(value)
    if types.is_floating(kind) and isinstance(value, Number):
        return float(value)
    if types.is_list(kind) and isinstance(value, list):
        return [convert(item, kind.value_type, name) for item in value]
    if types.is_struct(kind) and isinstance(value, dict):
        return {inner.name: convert(value.get(inner.name), inner.type, name) for inner in kind}
    raise pa.ArrowInvalid(f"column {name}: {to_json(value)[:100]} is not of type {kind}")


def to_json(value):
    \"\"\"Return a value as JSON.\"\"\"
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
"""


def pyarrow_program(table: TableDefinition) -> EngineScript:
    """Return a program. Its function `scan` reads records."""
    columns = [(column.name, _format_type(column.type)) for column in table.columns]
    if not columns:
        columns = [(RECORD_COLUMN, _TYPES["string"] if table.is_json else "pa.binary()")]
    partitions = [*([table.salt] if table.salt else []), *(p.name for p in table.partition_columns)]
    layouts = ""
    for layout in table.layouts:
        salts = [
            f'*(format(n, "0{bits}b") for n in range({1 << bits}))' for bits in layout.salt_bits
        ]
        pattern = table.path_pattern(layout).removesuffix("[^/]+$")
        ending = f"{pattern}[^/]+{_escape_regex(table.extension)}"
        layouts += f"    ([{', '.join(salts) or repr('')}], re.compile(r'{ending}')),\n"
    modules = [
        *(["json"] if table.columns else []),
        *(["os"] if table.scheme == "s3" else []),
        "re",
    ]
    program = _PROGRAM.format(
        imports="\n".join(f"import {name}" for name in modules),
        files=_s3_setup(table) if table.scheme == "s3" else "fs.LocalFileSystem()",
        root=table.path,
        columns=", ".join(f"({name!r}, {kind})" for name, kind in columns),
        partitions=partitions,
        layouts=layouts,
        encoded={p.name for p in table.partition_columns if p.folder.is_field} or (),
        example=next((p.name for p in table.partition_columns), table.salt or "…"),
        read=_READ_JSON if table.columns else _READ_TEXT,
    )
    notes = []
    if table.columns:
        notes.append(
            "pyarrow fails on an object with a value whose type differs from its column's."
        )
    if len(table.salts) > MANY_SALTS:
        notes.append(f"Each `scan` lists {len(table.salts):,} folders.")
    return EngineScript(program, tuple(notes))


def _s3_setup(table: TableDefinition) -> str:
    return _S3_SETUP.format(
        region=repr(table.region) if table.region else _REGION,
        endpoint=repr(table.endpoint_url) if table.endpoint_url else _ENDPOINT,
    )


def _format_type(column_type: ColumnType) -> str:
    """Return a type in the syntax of pyarrow."""
    match column_type:
        case ArrayType(item):
            return f"pa.list_({_format_type(item)})"
        case StructType(fields):
            return (
                f"pa.struct([{', '.join(f'({name!r}, {_format_type(t)})' for name, t in fields)}])"
            )
    return _TYPES[column_type.name]


def _escape_regex(extension: str) -> str:
    return extension.replace(".", r"\.")
