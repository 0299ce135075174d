"""Entries: who takes part, under which name, and what each does less than batcher's handler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

ENGINES = ("obstore", "aioboto3")
"""Of batcher's handler; the first is the one that targets speak of."""
CODECS = ("zstd", "gzip", "none")
LEVELS = {"zstd": "zstd-1", "gzip": "gzip-1", "none": "no compression"}
SAMPLE_RECORDS = 300
"""What the one PUT a record is measured on, for it takes some 2 ms a record."""
_PLAIN_BOTO3 = (
    "no check of UTF-8 or depth, no second partition, digest, condition or ids seen twice"
)


@dataclass(frozen=True)
class ContenderSpec:
    """One contender with one codec."""

    contender: str
    """Its name in `contender_process.py`."""
    codec: str
    """`zstd`, `gzip`, `none`, or for peers with a codec of their own what they use."""
    label: str
    needs: str
    """The module that must be installed."""
    less: str = ""
    """What it leaves out of what the handler does."""


def all_entries() -> list[ContenderSpec]:
    """Return all that can take part, each codec by itself."""
    found = []
    for codec in CODECS:
        for engine in ENGINES:
            label = f"batcher, {engine}, {LEVELS[codec]}"
            found.append(ContenderSpec(f"handler-{engine}", codec, label, engine))
        less = "no errors, retries, second partition, newline or duplicate check, and no signature"
        label = f"minimal handler, {LEVELS[codec]}"
        found.append(ContenderSpec("floor", codec, label, "isal", less))
    return [
        *found,
        ContenderSpec(
            "expert",
            "zstd",
            "careful aiobotocore batcher, zstd-1",
            "aiobotocore",
            "no quarantine, deadline, budget, multipart, FIFO, replacement or own retries",
        ),
        ContenderSpec(
            "powertools-gzip",
            "gzip-9",
            "Powertools, gzip, one PUT",
            "aws_lambda_powertools",
            _PLAIN_BOTO3,
        ),
        ContenderSpec("boto3-gzip", "gzip-9", "boto3, gzip, one PUT", "boto3", _PLAIN_BOTO3),
        ContenderSpec(
            "boto3-each",
            "plain",
            "boto3, one PUT per record",
            "boto3",
            "no check at all, no compression, digest or partition; of the first "
            f"{SAMPLE_RECORDS} records",
        ),
    ]


def entries(codecs: Sequence[str]) -> tuple[list[ContenderSpec], list[ContenderSpec]]:
    """Return those that take part with these codecs, and those that lack what they need.

    Peers with a codec of their own always take part.
    """
    wanted = [one for one in all_entries() if one.codec not in CODECS or one.codec in codecs]
    present = [one for one in wanted if find_spec(one.needs) is not None]
    return present, [one for one in wanted if one not in present]
