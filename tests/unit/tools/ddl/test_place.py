"""Scripts read a bucket where the settings say that it is."""

from __future__ import annotations

import pytest

from batcher.tools.ddl.duckdb import duckdb_view
from batcher.tools.ddl.pyarrow import pyarrow_program
from batcher.tools.ddl.table import TableDefinition, TableOptions, define_table
from support.examples import make_settings


def table(**place: str) -> TableDefinition:
    """Return a table of a bucket in this place."""
    return define_table(make_settings(**place), ("s3", "my-bucket/events"), TableOptions())


def test_a_program_reads_where_the_settings_say() -> None:
    """And without them where the environment says."""
    text = pyarrow_program(table(region="eu-north-1", endpoint_url="https://h:9000")).text
    assert "region='eu-north-1'," in text
    assert "endpoint_override='https://h:9000'," in text
    text = pyarrow_program(table()).text
    assert 'region=os.environ.get("AWS_REGION") or' in text
    endpoint = 'os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")'
    assert f"endpoint_override={endpoint}," in text


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, "credential_chain);"),
        ({"region": "eu-north-1"}, "credential_chain, REGION 'eu-north-1');"),
        (
            {"endpoint_url": "http://h:9000/"},
            "credential_chain, ENDPOINT 'h:9000', URL_STYLE 'path', USE_SSL false);",
        ),
        (
            {"endpoint_url": "https://h"},
            "credential_chain, ENDPOINT 'h', URL_STYLE 'path', USE_SSL true);",
        ),
    ],
)
def test_a_secret_is_for_where_the_settings_say(place: dict[str, str], expected: str) -> None:
    """Each of the two by itself."""
    text = duckdb_view(table(**place)).text
    assert expected in text
    assert ("Other endpoints" in text) == ("endpoint_url" not in place)
