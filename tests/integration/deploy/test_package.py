"""The package: small, the same at every build, and all that the handler needs."""

from __future__ import annotations

import ast
import gzip
import json
import os
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from slim import UNUSED
from target import ARCHITECTURES, ENGINES, GLIBC_MINOR, Target

from batcher.settings import Settings
from batcher.settings.types import EngineName
from integration.deploy.packages import Package, build, run
from support.examples import message

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

pytestmark = pytest.mark.slow

OURS_UNUSED = UNUSED["batcher"]
LIMITS_MB = {"obstore": 25, "aioboto3": 60}
MAGIC_BYTES = 4
UNCHECKED_HASH = (0b01).to_bytes(4, "little")
"""Flags of a .pyc that is taken without a look at its source. Source: PEP 552."""
OTHER_PYTHON = next(python for python in GLIBC_MINOR if not sys.version.startswith(python))


def test_the_same_sources_make_the_same_bytes(obstore_package: Package, tmp_path: Path) -> None:
    """Neither folder, time, umask nor the seed of hashes is in the zip: no new version for AWS."""
    before = os.umask(0o077)
    try:
        environ = {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "TMPDIR": str(tmp_path)}
        again = build("obstore", tmp_path / "again", **environ)
    finally:
        os.umask(before)
    assert again.zip_file.read_bytes() == obstore_package.zip_file.read_bytes()
    assert again.description["sha256"] == obstore_package.description["sha256"]


def test_it_is_below_its_limit_and_says_so(package: Package) -> None:
    """What is printed and described is what Lambda will unpack."""
    unzipped = sum(path.stat().st_size for path in package.folder.rglob("*") if path.is_file())
    engine = package.description["engine"]
    assert unzipped < LIMITS_MB[engine] * 1e6
    assert package.description["unzipped_bytes"] == unzipped
    assert package.description["zipped_bytes"] == package.zip_file.stat().st_size
    assert f"unzipped {unzipped / 1e6:.1f} MB" in package.printed
    assert package.description["sha256"] in package.printed


def test_every_source_has_its_byte_code_which_is_taken_unchecked(package: Package) -> None:
    """Without it the first import takes a second more, and /var/task cannot be written to."""
    names = set(package.names)
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    sources = [Path(name) for name in names if name.endswith(".py")]
    assert sources
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        assert compiled.as_posix() in names, source
        head = (package.folder / compiled).read_bytes()[: 2 * MAGIC_BYTES]
        assert head[MAGIC_BYTES:] == UNCHECKED_HASH, compiled
    assert (
        b"/var/task/batcher/handler/__init__.py"
        in (
            package.folder / "batcher" / "handler" / "__pycache__" / f"__init__.{tag}.pyc"
        ).read_bytes()
    )


def test_nothing_is_in_it_twice_or_for_nothing(package: Package) -> None:
    """No tests, no type stubs, no installer's records, one botocore with the services we call."""
    names = package.names
    assert names == sorted(set(names))
    tops = {name.partition("/")[0] for name in names}
    assert not [name for name in names if "/tests/" in name or name.endswith((".pyi", ".c"))]
    assert not [name for name in names if name.endswith(("/RECORD", "/INSTALLER"))]
    assert "bin" not in tops
    assert not OURS_UNUSED & {name.split("/")[1] for name in names if name.startswith("batcher/")}
    sdk = {"aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore"}
    if package.description["engine"] == "obstore":
        assert "obstore" in tops
        assert not sdk & tops
    else:
        assert "obstore" not in tops
        assert sdk <= tops
        data = {name.split("/")[2] for name in names if name.startswith("botocore/data/")}
        assert {name for name in data if "." not in name} == {"s3", "sts"}
        assert {"endpoints.json", "partitions.json", "sdk-default-configuration.json"} <= data


def test_each_distribution_says_what_it_is(package: Package) -> None:
    """Name, version and terms go on to whoever is handed the package."""
    described = {name.partition("/")[0] for name in package.names if ".dist-info/" in name}
    assert described
    assert {f"{distribution}/METADATA" for distribution in described} <= set(package.names)
    assert [name for name in package.names if ".dist-info/licenses/LICENSE" in name]


def imported_by(source: Path) -> set[str]:
    """Return what a file of ours imports of ours when it runs; types are only for checkers."""
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return {name for name in found if name.startswith("batcher.")}


def test_nothing_that_stays_imports_what_is_left_out(obstore_package: Package) -> None:
    """A part that is left out is no handler's, however lazily it is imported."""
    for source in sorted((obstore_package.folder / "batcher").rglob("*.py")):
        reached = {name.split(".")[1] for name in imported_by(source)}
        assert not reached & OURS_UNUSED, source


def test_no_part_of_batcher_stays_that_no_handler_reaches(obstore_package: Package) -> None:
    """A new part for the command line alone is to be named in `deploy/slim.py`."""
    folder = obstore_package.folder / "batcher"
    reached: set[str] = set()
    todo = {"batcher.handler"}
    while todo:
        name = todo.pop()
        reached.add(name)
        path = folder.joinpath(*name.split(".")[1:])
        for source in (path.with_suffix(".py"), path / "__init__.py"):
            if source.is_file():
                todo |= imported_by(source) - reached
    parts = {path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert parts == {part for part in parts if any(f"batcher.{part}." in name for name in reached)}


def events_environ(server: SeaweedFS, bucket: str, engine: str) -> dict[str, str]:
    """Return what Lambda has in the environment."""
    ours = {"BATCHER_BUCKET": bucket, "BATCHER_ROOT": "events", "BATCHER_ENGINE": engine}
    return {**server.environ, **ours}


def test_the_handler_runs_from_the_package_alone(
    package: Package, seaweedfs: SeaweedFS, bucket: str
) -> None:
    """A real S3 has the object, and every module came from the package or from Python itself."""
    seaweedfs.create_bucket(bucket)
    environ = events_environ(seaweedfs, bucket, package.description["engine"])
    event = {"Records": [message("a", '{"n":1}'), message("b", '{"n":2}')]}
    before = {path: path.stat().st_mtime_ns for path in package.folder.rglob("*")}
    ran = package.invoke(event, environ)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["answer"] == {"batchItemFailures": []}
    (listed,) = seaweedfs.client.list_objects_v2(Bucket=bucket)["Contents"]
    body = seaweedfs.client.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read()
    assert gzip.decompress(body) == b'{"n":1}\n{"n":2}\n'
    homes = (str(package.folder), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    strangers = [name for name in told["imported"] if not name.startswith(homes) and name[0] == "/"]
    assert not strangers
    assert any(name.startswith(str(package.folder / "isal")) for name in told["imported"])
    after = {path: path.stat().st_mtime_ns for path in package.folder.rglob("*")}
    assert after == before, "byte code was written anew"


def test_an_events_object_is_one_put_whatever_the_threshold(
    package: Package, seaweedfs: SeaweedFS, bucket: str
) -> None:
    """So that it has the condition and the checksum of a single request."""
    seaweedfs.create_bucket(bucket)
    environ = events_environ(seaweedfs, bucket, package.description["engine"])
    event = {"Records": [message("a", '{"n":1}')]}
    ran = package.invoke(event, environ | {"BATCHER_MULTIPART_THRESHOLD": "1"})
    assert ran.returncode == 0, ran.stderr
    (entry,) = seaweedfs.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert "-" not in entry["ETag"], "the ETag of an upload in parts has their number"


def test_modules_of_ones_own_go_in_beside_batcher(tmp_path: Path) -> None:
    """A handler with a transform is a file, or a folder, of one's own."""
    (tmp_path / "redacting.py").write_text("from batcher.handler import make_handler\n")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "__init__.py").write_text("RULES = 1\n")
    (tmp_path / "rules" / "words.txt").write_text("secret\n")
    mine = [flag for name in ("redacting.py", "rules") for flag in ("--with", str(tmp_path / name))]
    package = build("obstore", tmp_path / "to", *mine)
    assert {"redacting.py", "rules/__init__.py", "rules/words.txt"} <= set(package.names)
    assert any(name.startswith("__pycache__/redacting.") for name in package.names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--python", OTHER_PYTHON], f"python{OTHER_PYTHON} is not on the PATH"),
        (["--with", "nowhere.py"], "there is no such file"),
        (["--with", "batcher"], "has a batcher already"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_reason(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    """No package is left, and the last line says what to do."""
    (tmp_path / "batcher").mkdir()
    given = [str(tmp_path / "batcher") if one == "batcher" else one for one in arguments]
    ran = run("--to", str(tmp_path / "to"), *given, PATH=str(tmp_path))
    assert ran.returncode == 1
    assert ran.stderr.startswith("package: ")
    assert said in ran.stderr
    assert not list((tmp_path / "to").glob("*"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_engine_is_one_that_the_settings_know(engine: EngineName, architecture: str) -> None:
    """What the package says of itself is taken by batcher, and by Lambda."""
    assert Settings(bucket="my-bucket", engine=engine).engine == engine
    for python in GLIBC_MINOR:
        target = Target(engine, architecture, python)
        assert target.name == f"batcher-{engine}-{architecture}-python{python}"
        assert target.lock.is_file()


def test_wheels_are_no_newer_than_the_c_library_under_them() -> None:
    """Amazon Linux 2, under Python 3.11, has glibc 2.26; a wheel for 2.28 would not load there."""
    old, new = (set(Target("obstore", "arm64", python).platforms()) for python in ("3.11", "3.14"))
    assert "manylinux_2_28_aarch64" in new - old
    assert {"manylinux_2_26_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= old


def read_zip(zip_file: Path) -> list[zipfile.ZipInfo]:
    """Return the entries of a zip."""
    with zipfile.ZipFile(zip_file) as packed:
        return packed.infolist()


def test_lambda_may_read_every_file(obstore_package: Package) -> None:
    """Lambda runs as a user of its own: files that only their owner may read fail at import."""
    modes: set[Any] = {entry.external_attr >> 16 for entry in read_zip(obstore_package.zip_file)}
    assert modes == {0o100644}
