"""LocalStack: somebody else's models of SQS, Kinesis and their event source mappings.

Its functions are processes (`localstack_host`); what they write goes to SeaweedFS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from e2e.emulator import HOST, Emulator, free_port
from e2e.localstack_pipelines import Deployed, Queueing, Streaming
from e2e.pipelines import Pipeline, Wanted
from e2e.project import Project
from e2e.sandboxes import CLIENT
from e2e.template import Spec
from e2e.tools import LOCALSTACK_FILES, runtime_client
from support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

SERVICES = "s3,sqs,kinesis,lambda,iam,sts,logs"
ROLE = "arn:aws:iam::000000000000:role/e2e"
NOTED = "invocations"


@contextmanager
def running(python: Path, folder: Path, s3: SeaweedFS) -> Iterator[Emulator]:
    """Run it by `python`; functions write to `s3`."""
    port = free_port()
    here = Path(__file__).parent
    place = f"{HOST}:{port}"
    environ = {
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "FILESYSTEM_ROOT": str(LOCALSTACK_FILES),
        "OVERRIDE_IN_DOCKER": "0",  # else it would write to /var/lib
        "SERVICES": SERVICES,
        "GATEWAY_LISTEN": place,
        "LOCALSTACK_HOST": place,
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        "NODE_OPTIONS": f"--require {here / 'loopback.cjs'}",
        "E2E_CLIENT": json.dumps(CLIENT),
        "E2E_RUNTIME": str(runtime_client()),
        "E2E_ENVIRON": json.dumps(_without_endpoint(s3.environ)),
        "E2E_INVOCATIONS": str(folder / NOTED),
    }
    (folder / NOTED).touch()
    with Emulator([python, "-P", here / "localstack_host.py"], environ, folder, port) as emulator:
        yield emulator


def _without_endpoint(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out what each function has of its own: where its S3 is."""
    return {name: value for name, value in environ.items() if name != "AWS_ENDPOINT_URL_S3"}


class LocalStack:
    """A cloud whose event sources are LocalStack's."""

    def __init__(
        self, project: Project, server: SeaweedFS, emulator: Emulator, invocations: Path
    ) -> None:
        """Run what `project` has packaged."""
        self._project = project
        self._server = server
        self._emulator = emulator
        self._invocations = invocations

    @contextmanager
    def deploy(self, wanted: Wanted) -> Iterator[Pipeline]:
        """See `Cloud.deploy`."""
        spec = wanted.spec(self._project)
        name = f"e2e-{token_hex(8)}"
        self._server.create_bucket(name)
        with FaultProxy(self._server.url) as proxy:
            self._create_function(name, spec, proxy)
            kind = Streaming if wanted.kind == "kinesis" else Queueing
            at = Deployed(name, wanted, spec, self._server.environ, self._invocations)
            pipeline = kind(self._emulator, proxy, at)
            try:
                yield pipeline
            finally:
                pipeline.end()

    def _create_function(self, name: str, spec: Spec, proxy: FaultProxy) -> None:
        function = spec.function
        client = self._emulator.client("lambda")
        places = {"BATCHER_BUCKET": name, "AWS_ENDPOINT_URL_S3": proxy.url}
        client.create_function(
            FunctionName=name,
            Runtime=function.runtime,
            Handler=function.handler,
            Timeout=function.timeout_s,
            MemorySize=function.memory_mb,
            Role=ROLE,
            Environment={"Variables": {**function.environ, **places}},
            Code={"ZipFile": self._project.zip_file.read_bytes()},
        )
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
