"""What the end to end tests share: the package, the clouds it is deployed to, and their counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from e2e import tools
from e2e.localstack import NOTED, LocalStack, running
from e2e.modelled_cloud import Modelled
from e2e.pipelines import Cloud
from e2e.project import ENGINES, Projects
from e2e.record_counts import Counts, table

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

COUNTS, PACKAGED = "counts", "packaged"
"""What a test tells the table at the end, from whichever process it runs in."""
HAS_LOCALSTACK = bool(tools.python_of_localstack())
NO_LOCALSTACK = "skipped: LocalStack, for python3.13 is not on the PATH; PYTHON313= says where"
WARM, COLD = "warm", "cold"
PLACES = [f"{WARM}-obstore", f"{COLD}-obstore", f"{WARM}-aioboto3"]
"""Where all scenarios run. Cold starts of the other engine take longer, and show nothing else."""
ONE_PROCESS = pytest.mark.xdist_group("localstack")  # there is one LocalStack


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Projects:
    """Return the packages of the engines, each made when it is asked for."""
    return Projects(tmp_path_factory.mktemp("projects"))


@pytest.fixture(scope="session", params=PLACES)
def model(
    request: pytest.FixtureRequest,
    projects: Projects,
    seaweedfs: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Modelled:
    """Return a cloud of our own models, which models everything."""
    return _modelled(request.param, projects, seaweedfs, tmp_path_factory)


@pytest.fixture(scope="session")
def localstack(
    projects: Projects,
    seaweedfs: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cloud]:
    """Return a cloud of somebody else's models."""
    folder = tmp_path_factory.mktemp("localstack")
    with running(tools.localstack(), folder, seaweedfs) as emulator:
        yield LocalStack(projects.get(ENGINES[0]), seaweedfs, emulator, folder / NOTED)


@pytest.fixture(
    scope="session",
    params=[*PLACES, *[pytest.param("localstack", marks=ONE_PROCESS)] * HAS_LOCALSTACK],
)
def cloud(
    request: pytest.FixtureRequest,
    projects: Projects,
    seaweedfs: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Cloud:
    """Return what plays the event sources."""
    if request.param == "localstack":
        given: Cloud = request.getfixturevalue("localstack")
        return given
    return _modelled(request.param, projects, seaweedfs, tmp_path_factory)


def _modelled(
    place: str, projects: Projects, server: SeaweedFS, folders: pytest.TempPathFactory
) -> Modelled:
    temperature, engine = place.split("-")
    folder = folders.mktemp("sandboxes")
    return Modelled(projects.get(engine), server, folder, is_cold=temperature == COLD)


@pytest.fixture
def count(
    record_property: Callable[[str, object], None], projects: Projects
) -> Callable[[Counts], None]:
    """Put a scenario's counts into the table that is printed at the end."""

    def note(counts: Counts) -> None:
        record_property(COUNTS, asdict(counts))
        for project in projects.made.values():
            record_property(PACKAGED, str(project))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    told: dict[str, list[Any]] = {COUNTS: [], PACKAGED: []}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                for name, value in report.user_properties:
                    if name in told:
                        told[name].append(value)
    if told[COUNTS]:
        terminalreporter.section("where the messages are")
        notes = [] if HAS_LOCALSTACK else [NO_LOCALSTACK]
        notes += [f"packaged: {one}" for one in sorted(set(told[PACKAGED]))]
        for line in [*notes, *table([Counts(**row) for row in told[COUNTS]])]:
            terminalreporter.write_line(line)
