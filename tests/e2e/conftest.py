"""What the end to end tests share: the package, the clouds it is deployed to, and their counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from e2e import tools
from e2e.counts import Counts, table
from e2e.localstack import NOTED, LocalStack, running
from e2e.modelled import Modelled
from e2e.pipelines import Cloud
from e2e.project import Project

if TYPE_CHECKING:
    from contract.servers import SeaweedFS

ROWS: list[Counts] = []
"""Of the scenarios so far."""
TOLD: list[str] = []
"""What else is worth a line at the end."""
PLACES = ["warm", "cold", "localstack"]
if not tools.python_of_localstack():
    PLACES.remove("localstack")
    TOLD.append("skipped: LocalStack, for python3.13 is not on the PATH; PYTHON313= says where")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Package the project, once for all."""
    made = Project(tmp_path_factory.mktemp("project"))
    TOLD.append(f"packaged: {made}")
    return made


@pytest.fixture(scope="session", params=["warm", "cold"])
def model(
    request: pytest.FixtureRequest,
    project: Project,
    seaweedfs: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Modelled:
    """Give a cloud of our own models, which models everything."""
    folder = tmp_path_factory.mktemp("sandboxes")
    return Modelled(project, seaweedfs, folder, is_cold=request.param == "cold")


@pytest.fixture(scope="session")
def localstack(
    project: Project, seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """Give a cloud of somebody else's models."""
    folder = tmp_path_factory.mktemp("localstack")
    with running(tools.localstack(), folder, seaweedfs) as emulator:
        yield LocalStack(project, seaweedfs, emulator, folder / NOTED)


@pytest.fixture(scope="session", params=PLACES)
def cloud(
    request: pytest.FixtureRequest,
    project: Project,
    seaweedfs: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Cloud:
    """Give what plays the event sources."""
    if request.param == "localstack":
        given: Cloud = request.getfixturevalue("localstack")
        return given
    folder = tmp_path_factory.mktemp("sandboxes")
    return Modelled(project, seaweedfs, folder, is_cold=request.param == "cold")


@pytest.fixture
def count() -> Callable[[Counts], None]:
    """Put a scenario's counts into the table that is printed at the end."""
    return ROWS.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if ROWS:
        terminalreporter.section("where the messages are")
        for line in [*TOLD, *table(ROWS)]:
            terminalreporter.write_line(line)
