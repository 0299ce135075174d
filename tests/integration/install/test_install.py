"""The wheel, installed into empty environments by the words of the README."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from batcher.cli.output import NOT_DURABLE, WRONG_USAGE
from batcher.errors import DISTRIBUTION, install_hint
from integration.install.environments import Environment
from support.lock import exclusive_lock

if TYPE_CHECKING:
    from support.s3_servers import Moto

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
IN_README = "/tmp/my-bucket"  # noqa: S108  # replaced by a folder of the test
LINES_IN_README = "/tmp/my-lines"  # noqa: S108  # as above
RECORD = '{"n": 1}'


def run_here(*command: str) -> str:
    """Run a command with this Python, and return what it prints."""
    ran = subprocess.run(  # noqa: S603  # our own commands
        [sys.executable, *command], capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Build the wheel from the source distribution, once for all processes of the run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "distributions"
    with exclusive_lock(folder):
        if not list(folder.glob("*.whl")):
            run_here("-m", "build", "--outdir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    """Return the wheel's metadata, which PyPI shows."""
    with ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(opened.read(name).decode())


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Return an environment that is not created yet, with this machine's cache of pip."""
    return Environment(tmp_path, Path(run_here("-m", "pip", "cache", "dir").strip()))


@pytest.fixture
def installed(environment: Environment, wheel: Path) -> Callable[..., Environment]:
    """Return a function that installs the wheel with an extra, and with others beside it."""

    def install(extra: str = "", *besides: str) -> Environment:
        environment.create()
        words = [f"'{wheel}[{extra}]'" if extra else str(wheel), *besides]
        environment.shell(f"pip install --quiet --no-compile {' '.join(words)}")
        environment.shell("pip check")
        assert environment.shell("batcher --help").stdout.startswith("Usage: batcher")
        return environment

    return install


def fenced(language: str, first: str) -> str:
    """Return the only fenced block of the README in this language that starts with this text."""
    (found,) = (
        text
        for spelled, text in FENCED.findall(README)
        if spelled == language and text.startswith(first)
    )
    return str(found)


def objects(folder: Path) -> Iterator[Path]:
    """Yield the objects in a folder."""
    return (path for path in folder.rglob("*.ndjson.gz") if ".meta" not in path.parts)


def test_the_wheel_has_the_package_alone(wheel: Path) -> None:
    """Every file of the package, its marker of types, and no test, bench or document."""
    with ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "batcher").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == package
    assert "batcher/py.typed" in names


def test_the_page_on_pypi_has_absolute_links_to_files_that_exist(metadata: Message) -> None:
    """The README has relative ones, which PyPI does not follow. Its code is not changed."""
    page = metadata.get_payload()
    assert isinstance(page, str)
    assert FENCED.findall(page) == FENCED.findall(README)
    text = FENCED.sub("", page)
    addresses = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    prefixes = [
        f"{addresses['Source']}/blob/main/",
        addresses["Source"].replace("github.com", "raw.githubusercontent.com") + "/main/",
    ]
    links = [link for link in LINK.findall(text) if not link.startswith("#")]
    assert links
    for link in links:
        assert link.startswith("https://"), link
        for prefix in prefixes:
            if link.startswith(prefix):
                path = link.removeprefix(prefix).partition("#")[0]
                assert (ROOT / path).exists(), link
    assert all(url.startswith(addresses["Source"]) for url in addresses.values())


def test_the_metadata_has_the_extras_of_users_alone(metadata: Message) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == DISTRIBUTION
    assert metadata.get_all("Provides-Extra") == sorted(project["optional-dependencies"])
    held = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not [line for line in held if line.startswith(("boto", "aioboto", "aiobotocore"))]


def test_the_first_object_by_the_words_of_the_readme(
    tmp_path: Path, wheel: Path, record_property: Callable[[str, object], None]
) -> None:
    """From nothing: no environment, nothing in pip's cache. The time is printed, not judged."""
    environment = Environment(tmp_path, tmp_path / "cache")
    folder, line = tmp_path / "my-bucket", fenced("sh", f"pip install {DISTRIBUTION}")
    example = fenced("python", "import asyncio\nfrom batcher").replace(IN_README, str(folder))
    (tmp_path / "example.py").write_text(example)
    started_s = time.monotonic()
    environment.create()
    environment.shell(line.replace(DISTRIBUTION, str(wheel)))
    key, records, size_bytes = environment.shell("python example.py").stdout.split()
    took_s = time.monotonic() - started_s
    record_property("shown", f"from nothing to the first object in a folder: {took_s:.1f} s")
    (first,) = objects(folder)
    assert first == folder / key
    assert (first.stat().st_size, int(records)) == (int(size_bytes), 1)

    lines_folder = tmp_path / "my-lines"
    commands = fenced("sh", 'echo \'{"user": 8').replace(LINES_IN_README, str(lines_folder))
    shown = environment.shell(commands).stdout
    assert len(list(objects(lines_folder))) == 1
    users = [json.loads(line)["user"] for line in shown.splitlines() if line.startswith("{")]
    assert users == [8]
    assert sum(line.endswith(".ndjson.gz") for line in shown.splitlines()) == 1

    environment.shell("pip check")
    unaided = environment.on_a_terminal(f"echo '{RECORD}' | batcher write - file://{folder}/a")
    assert install_hint("cli") in unaided
    for arguments, extra in (
        ("write - s3://my-bucket/a --engine aioboto3", "aioboto3"),
        ("check s3://my-bucket/a", "cli"),
        ("demo", "demo"),
    ):
        refused = environment.shell(f"echo '{RECORD}' | batcher {arguments}", expect=WRONG_USAGE)
        assert install_hint(extra) in refused.stderr
        assert "Traceback" not in refused.stderr


def test_beside_the_newest_boto3(installed: Callable[..., Environment], tmp_path: Path) -> None:
    """Nothing that batcher needs holds boto3 back."""
    environment = installed("", "boto3")
    newest = environment.shell("pip index versions boto3").stdout.split()[1].strip("()")
    version = environment.shell("python -c 'import boto3; print(boto3.__version__)'").stdout
    assert version.strip() == newest
    environment.shell(f"echo '{RECORD}' | batcher write - file://{tmp_path}/out")
    assert len(list(objects(tmp_path / "out"))) == 1


def test_the_extra_cli_has_a_progress_bar_and_talks_to_aws(
    installed: Callable[..., Environment], tmp_path: Path
) -> None:
    """`batcher check` comes as far as its first request, which no server answers."""
    environment = installed("cli")
    shown = environment.on_a_terminal(f"echo '{RECORD}' | batcher write - file://{tmp_path}/out")
    assert "pip install" not in shown
    assert "\x1b[" in shown, "a progress bar moves the cursor"
    closed = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    checked = environment.shell(
        "batcher check s3://my-bucket/events --json", closed, expect=NOT_DURABLE
    )
    findings = {found["check"]: found["mark"] for found in json.loads(checked.stdout)["findings"]}
    assert (findings.pop("settings"), findings.pop("bucket")) == ("ok", "error")
    assert set(findings.values()) == {"not_checked"}


def test_the_extra_aioboto3_writes_by_either_engine(
    installed: Callable[..., Environment], moto: Moto, bucket: str
) -> None:
    environment = installed("aioboto3")
    moto.create_bucket(bucket)
    for engine in ("aioboto3", "obstore"):
        environment.shell(
            f"echo '{RECORD}' | batcher write - s3://{bucket}/{engine} --engine {engine}",
            moto.environ,
        )
        listed = moto.client.list_objects_v2(Bucket=bucket, Prefix=f"{engine}/")
        assert listed["KeyCount"] == 1


def test_the_extra_demo_runs_the_demo(installed: Callable[..., Environment]) -> None:
    shown = installed("demo").shell("batcher demo").stdout
    assert "Every record is accounted for" in " ".join(shown.split())
